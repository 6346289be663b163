//! Hostile text of users and servers in every format, checked in the raw output.

use serde_json::{Value, json};

use crate::fake_daemon::{FakeDaemon, Request, hear, ok, presence, problem, record, say, snapshot};
use crate::sandbox::Sandbox;

/// Ids that the daemon accepts: no control characters, but everything else.
const IDS: [&str; 14] = [
    "=HYPERLINK(\"http://evil\",\"x\")",
    "+1",
    "-1",
    "@SUM(A1)",
    "'quoted",
    "a,b;c",
    "say \"hi\"",
    "a\u{202e}gnp.exe",
    "a\u{200b}lice",
    "\u{feff}bom",
    "利用者/../%2e%2e",
    "__proto__",
    "line\u{2028}separator",
    "back\\slash\\u{202e}",
];

fn users() -> Value {
    let record = |(index, id): (usize, &&str)| {
        let mut record = record(id, "ONLINE", index as u64 + 1);
        record["nodes"] = json!(["node\u{1b}[31m\u{9b}\u{7f}"]);
        record
    };
    IDS.iter().enumerate().map(record).collect()
}

fn answer(request: &Request) -> crate::fake_daemon::Answer {
    let now = "2026-11-23T05:00:00.000Z";
    if request.line.contains("/explain") {
        return ok(
            &json!({"now": now, "userId": IDS[7], "status": "IDLE", "rule": 3, "reason": "custom",
            "sessions": [{"sessionId": "s\u{1b}]0;x\u{7}", "node": "=n\u{202e}", "since": now, "lastHeard": now,
                          "lastActive": null, "idle": false}],
            "grace": null, "choice": {"customStatus": "IDLE", "setAt": now, "setBy": "user"},
            "next": [{"at": now, "why": "OFFLINE\u{1b}[2J\r"}]}),
        );
    }
    if request.line.starts_with("POST") {
        return ok(&json!({"now": now, "users": users()}));
    }
    ok(&json!({"now": now, "users": users(), "next": null, "counts": {"ONLINE": 14, "IDLE": 0, "DO_NOT_DISTURB": 0}}))
}

/// Checks for hostile characters; lines end with `\n` alone.
fn assert_harmless(text: &str) {
    let hostile = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    assert!(!text.contains(hostile), "{text:?}");
}

#[test]
fn every_format_of_every_command_escapes_user_text() {
    let daemon = FakeDaemon::start(answer);
    let sandbox = Sandbox::with_daemon(&daemon.address());
    for format in ["table", "json", "ndjson", "csv"] {
        for command in [vec!["get", "x"], vec!["online"], vec!["explain", "x"]] {
            let mut arguments = vec!["-o", format];
            arguments.extend(command);
            let run = sandbox.run(&arguments);
            assert_eq!(run.code, 0, "{run:?}");
            assert!(!run.stdout.is_empty());
            assert_harmless(&run.stdout);
        }
    }
}

#[test]
fn json_ids_read_back_unchanged() {
    let daemon = FakeDaemon::start(answer);
    let sandbox = Sandbox::with_daemon(&daemon.address());
    let document: Value = serde_json::from_str(&sandbox.run(&["-o", "json", "online"]).stdout).unwrap();
    assert_eq!(document["v"], 1);
    let ids: Vec<_> = document["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["userId"].as_str().unwrap())
        .collect();
    assert_eq!(ids, IDS);
    let lines = sandbox.run(&["-o", "ndjson", "online"]).stdout;
    for (line, id) in lines.lines().zip(IDS) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&line["v"], line["userId"].as_str().unwrap()), (&json!(1), id));
    }
    assert_eq!(lines.lines().count(), IDS.len());
}

#[test]
fn csv_has_a_row_per_user_and_no_formula() {
    let daemon = FakeDaemon::start(answer);
    let run = Sandbox::with_daemon(&daemon.address()).run(&["-o", "csv", "online"]);
    let rows: Vec<_> = run.stdout.lines().map(csv_fields).collect();
    assert_eq!(rows.len(), IDS.len() + 1);
    assert_eq!(rows[0][..3], ["userId", "status", "since"]);
    for row in &rows[1..] {
        assert_eq!(row.len(), rows[0].len(), "{row:?}");
        assert!(!row[0].starts_with(['=', '+', '-', '@']), "{row:?}");
        assert_eq!(row[2], "2026-11-23T05:00:00.000Z");
    }
    assert_eq!(rows[1][0], format!("'{}", IDS[0]));
    assert_eq!(rows[7][0], IDS[6]);
}

/// A strict parser of RFC 4180.
fn csv_fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let field = fields.last_mut().unwrap();
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => field.push(c),
        }
    }
    assert!(!quoted, "{line}");
    fields
}

#[test]
fn error_messages_escape_control_characters() {
    let daemon = FakeDaemon::start(|_| problem(400, "invalid_value", "bad \u{1b}]0;title\u{7}\u{202e} thing\nnext"));
    let sandbox = Sandbox::with_daemon(&daemon.address());
    for arguments in [
        vec!["get", "alice"],
        vec!["get", "a\u{1b}[31mb"],
        vec!["explain", "a\u{1b}[31mb"],
        vec!["set-status", "\u{1b}[31m\u{9b}x"],
        vec!["--context", "\u{1b}[31m", "stats"],
        vec!["--secret-file", "/no/\u{1b}[31m", "stats"],
        vec!["no\u{1b}[31msuch"],
        vec!["man", "\u{1b}[31m"],
    ] {
        let run = sandbox.run(&arguments);
        assert_ne!(run.code, 0);
        assert_harmless(&run.stderr);
        assert!(!run.stderr.is_empty());
    }
}

#[test]
fn the_change_stream_escapes_user_text() {
    for format in ["table", "json", "ndjson", "csv"] {
        let daemon = FakeDaemon::start_with_sockets(answer, |mut socket, _| {
            hear(&mut socket);
            say(&mut socket, &snapshot("1.1", &json!([]), false));
            say(&mut socket, &presence("1.2", &users()));
            hear(&mut socket);
        });
        let sandbox = Sandbox::with_daemon(&daemon.address());
        let running = sandbox.start(&["events", "-o", format]);
        let lines = if format == "csv" { IDS.len() + 1 } else { IDS.len() };
        for _ in 0..lines {
            assert_harmless(&running.line());
        }
    }
}
