//! A server that puts control sequences into every field.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::fake_daemon::{Answer, FakeDaemon, Request, Socket, hear, ok, presence, problem, record, say, snapshot};

/// Ids that the daemon rejects.
pub(crate) const REJECTED: [&str; 12] = [
    "\u{1b}[31mred",
    "\u{1b}[2J\u{1b}[H",
    "\u{1b}]0;title\u{7}",
    "\u{1b}]52;c;ZXZpbA==\u{7}",
    "\u{1b}P+q544e\u{1b}\\",
    "\u{9b}31mred",
    "\u{9d}0;title\u{9c}",
    "a\rb",
    "a\nb",
    "a\u{8}\u{8}b",
    "a\u{7}",
    "\u{e}shifted",
];
const NODE: &str = "node\u{1b}[31m\u{9b}\u{7f}\u{202e}";
const TEXT: &str = "bad \u{1b}]0;title\u{7}\u{202e} thing\nnext \u{9b}2J";
const NOW: &str = "2026-11-23T05:00:03.000Z";

/// Starts the server with these stats and hostile texts in them.
pub(crate) fn start(mut stats: Value) -> FakeDaemon {
    stats["node"] = json!(NODE);
    stats["version"] = json!(TEXT);
    FakeDaemon::start_with_sockets(move |request| answer(request, &stats), serve)
}

fn users(ids: &[&str]) -> Value {
    let one = |(index, id): (usize, &&str)| {
        let mut record = record(id, "ONLINE", index as u64 + 1);
        record["nodes"] = json!([NODE]);
        record
    };
    ids.iter().enumerate().map(one).collect()
}

fn answer(request: &Request, stats: &Value) -> Answer {
    let line = request.line.as_str();
    if line.contains("/api/stats") {
        return ok(stats);
    }
    if line.contains("/explain") {
        let session = json!({"sessionId": TEXT, "node": NODE, "since": NOW, "lastHeard": NOW, "lastActive": null, "idle": false,
                             "source": TEXT});
        return ok(
            &json!({"now": NOW, "userId": "alice", "status": "IDLE", "rule": 3, "reason": "custom", "sessions": [session],
                        "grace": null, "choice": {"customStatus": "IDLE", "setAt": NOW, "setBy": "user"},
                        "next": [{"at": NOW, "why": TEXT}]}),
        );
    }
    if line.starts_with("POST") {
        return ok(&json!({"now": NOW, "users": users(&["alice", "bob"])}));
    }
    problem(400, TEXT, TEXT)
}

/// Sends other hostile messages on each connection; after the last kind it behaves.
fn serve(mut socket: Socket, number: usize) {
    hear(&mut socket);
    match number {
        0 => {
            say(&mut socket, &snapshot("1.1", &users(&["alice", "bob"]), false));
            for id in REJECTED {
                say(&mut socket, &presence("1.2", &users(&[id])));
            }
        }
        1 => say(&mut socket, &snapshot("1.1", &users(&REJECTED), false)),
        2 => {
            say(
                &mut socket,
                &json!({"type": "error", "id": "watchAll", "code": TEXT, "message": TEXT}),
            );
            say(
                &mut socket,
                &json!({"type": "goodbye", "reason": TEXT, "reconnectAfterMs": 10}),
            );
        }
        3 => say(&mut socket, &json!({"type": TEXT})),
        4 => drop(socket.send(Message::text(TEXT))),
        _ => {
            say(
                &mut socket,
                &snapshot("1.1", &users(&["alice", "bob", "survivor"]), false),
            );
            while hear(&mut socket).is_some() {}
        }
    }
}
