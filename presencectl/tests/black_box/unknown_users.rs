//! Commands that name users of whom the service knows nothing.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::fake_daemon::{Answer, FakeDaemon, Request, hear, ok, problem, record, say, snapshot};
use crate::sandbox::Sandbox;

const NOW: &str = "2026-11-23T05:02:05.000Z";

/// Knows nobody: records without times, and nothing to end. `set` has a custom status that was set to ONLINE.
fn nobody(request: &Request) -> Answer {
    if request.line.starts_with("DELETE") {
        return ok(&json!({"ended": 0}));
    }
    if request.line.starts_with("GET") {
        let user = request.line.split('/').nth(3).unwrap();
        let set_at = if user == "set" { json!(NOW) } else { Value::Null };
        return ok(
            &json!({"now": NOW, "userId": user, "status": "OFFLINE", "rule": 1, "reason": "no_session",
                          "sessions": [], "grace": null, "next": [],
                          "choice": {"customStatus": "ONLINE", "setAt": set_at, "setBy": null}}),
        );
    }
    let ids = request.json()["userIds"].as_array().unwrap().clone();
    let users: Value = ids
        .iter()
        .map(|id| match id.as_str().unwrap() {
            "alice" => record("alice", "IDLE", 1),
            user => json!({"userId": user, "status": "OFFLINE", "since": null, "lastSeen": null, "lastActive": null,
                           "revision": 0, "customStatus": "ONLINE", "sessions": 0, "reason": "no_session"}),
        })
        .collect();
    ok(&json!({"now": NOW, "users": users}))
}

#[test]
fn a_user_never_seen_is_exit_code_1() {
    let daemon = FakeDaemon::start(nobody);
    let sandbox = Sandbox::with_daemon(&daemon.address());
    for arguments in [
        &["get", "typo"][..],
        &["explain", "typo"],
        &["kick", "typo", "--yes"],
        &["forget", "typo", "--yes"],
    ] {
        let run = sandbox.run(arguments);
        assert_eq!(run.code, 1, "{run:?}");
        assert!(run.stderr.contains("\"typo\" was never seen"), "{run:?}");
        let would_change = arguments.contains(&"--yes");
        assert_eq!(run.stderr.contains("nothing was done"), would_change, "{run:?}");
        assert!(
            !daemon
                .requests()
                .iter()
                .any(|request| request.line.starts_with("DELETE"))
        );
    }
    for arguments in [
        &["get", "typo", "--ignore-unknown"][..],
        &["explain", "typo", "--ignore-unknown"],
        &["kick", "typo", "--yes", "--ignore-unknown"],
        &["forget", "typo", "--yes", "--ignore-unknown"],
        &["get", "alice"],
        &["explain", "alice"],
        &["explain", "set"],
        &["kick", "set", "--yes"],
        &["forget", "set", "--yes"],
    ] {
        let run = sandbox.run(arguments);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{arguments:?} {run:?}");
    }
}

#[test]
fn a_kick_is_not_tried_with_a_credential_that_was_rejected() {
    let daemon = FakeDaemon::start(|request| match request.line.starts_with("DELETE") {
        true => ok(&json!({"ended": 0})),
        false => problem(403, "forbidden", "no"),
    });
    let run = Sandbox::with_daemon(&daemon.address()).run(&["kick", "alice", "--yes"]);
    assert_eq!(run.code, 4, "{run:?}");
    let requests = daemon.requests();
    assert!(
        !requests.iter().any(|request| request.line.starts_with("DELETE")),
        "{requests:?}"
    );
}

#[test]
fn get_prints_all_records_before_it_names_the_unknown() {
    let daemon = FakeDaemon::start(nobody);
    let sandbox = Sandbox::with_daemon(&daemon.address());
    let run = sandbox.run(&["get", "alice", "typo", "other", "-o", "json"]);
    assert_eq!(run.code, 1, "{run:?}");
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(document["users"].as_array().unwrap().len(), 3);
    assert!(
        run.stderr.contains("2 of 3 users were never seen: \"typo\", \"other\""),
        "{run:?}"
    );
}

#[test]
fn events_name_a_user_never_seen_once_and_not_at_each_reconnect() {
    let daemon = FakeDaemon::start_with_sockets(nobody, |mut socket, number| {
        hear(&mut socket);
        let typo = json!({"userId": "typo", "status": "OFFLINE", "since": null, "lastSeen": null, "lastActive": null,
                          "revision": 0, "customStatus": "ONLINE"});
        say(&mut socket, &snapshot("1.1", &json!([typo]), false));
        if number == 1 {
            let kicked = CloseFrame {
                code: 4003.into(),
                reason: "kicked".into(),
            };
            let _ = socket.close(Some(kicked));
            hear(&mut socket);
        }
    });
    let sandbox = Sandbox::with_daemon(&daemon.address());
    let (_, _, errors) = sandbox.start(&["events", "--user", "typo"]).end();
    assert!(errors.contains("reconnected"), "{errors}");
    assert_eq!(errors.matches("\"typo\" was never seen").count(), 1, "{errors}");
}
