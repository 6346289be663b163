//! The requests that commands send, and their output.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::fake_daemon::{Answer, FakeDaemon, Request, ok, record};
use crate::sandbox::{SECRET, Sandbox};

const NOW: &str = "2026-11-23T05:02:05.000Z";

/// Responds with the queried records, or with the record of a custom status.
fn answer(request: &Request) -> Answer {
    if request.line == "PUT /api/user/custom-status" {
        let user = request.header("x-user-id").unwrap_or_else(|| "of-the-token".into());
        return ok(&record(&user, "DO_NOT_DISTURB", 7));
    }
    if request.line.starts_with("DELETE") {
        return ok(&json!({"ended": 3}));
    }
    let ids = request.json()["userIds"].as_array().unwrap().clone();
    let users: Value = ids.iter().map(|id| record(id.as_str().unwrap(), "IDLE", 1)).collect();
    ok(&json!({"now": NOW, "users": users}))
}

#[test]
fn set_status_with_the_secret_is_by_the_operator() {
    let daemon = FakeDaemon::start(answer);
    let run = Sandbox::with_daemon(&daemon.address()).run(&["set-status", "dnd", "--user", "利用者"]);
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (0, "利用者 is shown as DO_NOT_DISTURB\n")
    );
    let request = &daemon.requests()[0];
    assert_eq!(
        request.json(),
        json!({"customStatus": "DO_NOT_DISTURB", "by": "operator"})
    );
    assert_eq!(request.header("x-user-id").as_deref(), Some("利用者"));
    assert_eq!(request.header("x-secret-token").as_deref(), Some(SECRET));
}

#[test]
fn set_status_takes_the_user_as_a_position_or_an_option() {
    let daemon = FakeDaemon::start(answer);
    let sandbox = Sandbox::with_daemon(&daemon.address());
    for arguments in [
        &["set-status", "bob", "Do-Not-Disturb"][..],
        &["set-status", "--user", "bob", "dnd"],
    ] {
        assert_eq!(sandbox.run(arguments).code, 0, "{arguments:?}");
    }
    assert_eq!(
        sandbox.run(&["set-status", "dnd", "dnd"]).code,
        0,
        "a user may have any name"
    );
    let users: Vec<_> = daemon
        .requests()
        .iter()
        .map(|request| request.header("x-user-id"))
        .collect();
    assert_eq!(users, [Some("bob".into()), Some("bob".into()), Some("dnd".into())]);
}

#[test]
fn set_status_without_a_user_changes_nothing() {
    let daemon = FakeDaemon::start(answer);
    let sandbox = Sandbox::with_daemon(&daemon.address());
    for (arguments, advice) in [
        (&["set-status", "dnd"][..], "set-status USER DO_NOT_DISTURB"),
        (&["set-status", "dnd", "bob"], "set-status USER STATUS"),
        (&["set-status", "bob"], "set-status USER STATUS"),
        (&["set-status", "bob", "dnd", "--user", "eve"], "cannot be used with"),
    ] {
        let run = sandbox.run(arguments);
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.stderr.contains(advice), "{run:?}");
    }
    assert_eq!(daemon.requests().len(), 0);
}

#[test]
fn set_status_with_a_token_is_by_the_user() {
    let daemon = FakeDaemon::start(answer);
    let sandbox = Sandbox::with_daemon(&daemon.address());
    let token = sandbox.private("token", "aaa.bbb.ccc\n");
    let run = sandbox.run(&["--token", token.to_str().unwrap(), "set-status", "dnd", "-o", "json"]);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        (&document["v"], &document["user"]["userId"]),
        (&json!(1), &json!("of-the-token"))
    );
    let request = &daemon.requests()[0];
    assert_eq!(request.json(), json!({"customStatus": "DO_NOT_DISTURB"}));
    assert_eq!(request.header("authorization").as_deref(), Some("Bearer aaa.bbb.ccc"));
    assert_eq!(
        (request.header("x-secret-token"), request.header("x-user-id")),
        (None, None)
    );
}

#[test]
fn get_shows_an_aligned_table_with_relative_and_absolute_times() {
    let daemon = FakeDaemon::start(answer);
    let run = Sandbox::with_daemon(&daemon.address()).run(&["get", "alice", "bo"]);
    let lines: Vec<_> = run.stdout.lines().collect();
    assert!(lines[0].starts_with("USER   STATUS  SINCE "), "{run:?}");
    assert!(
        lines[1].starts_with("alice  IDLE    2026-11-23 05:00:00Z (2m 5s ago)"),
        "{run:?}"
    );
    assert!(
        lines[2].starts_with("bo     IDLE    2026-11-23 05:00:00Z (2m 5s ago)"),
        "{run:?}"
    );
    assert_eq!(lines[3], "2 users: 2 IDLE");
    assert!(!run.stdout.contains('\u{1b}'), "no colour into a pipe");
}

#[test]
fn get_reads_any_number_of_ids_from_stdin_in_order() {
    let daemon = FakeDaemon::start(answer);
    let ids: String = (0..2500).map(|n| format!("user-{n}\n")).collect();
    let run = Sandbox::with_daemon(&daemon.address()).run_with_stdin(&["get", "-", "-o", "ndjson"], &ids);
    let got: Vec<_> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .collect();
    assert_eq!(got.len(), 2500);
    for (n, record) in got.iter().enumerate() {
        assert_eq!(record["userId"], format!("user-{n}"));
    }
    let sizes: Vec<_> = daemon
        .requests()
        .iter()
        .map(|request| request.json()["userIds"].as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [1000, 1000, 500]);
}

/// 2,500 present users in pages.
fn listing(request: &Request) -> Answer {
    let query = request.line.split_once('?').unwrap().1;
    let parameter = |name: &str| {
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(&format!("{name}=")))
            .map(str::to_owned)
    };
    let from: usize = parameter("cursor").map_or(0, |cursor| cursor.trim_start_matches('c').parse().unwrap());
    let limit: usize = parameter("limit").unwrap().parse().unwrap();
    let to = (from + limit.min(1000)).min(2500);
    let users: Value = (from..to)
        .map(|n| {
            let mut record = record(&format!("user-{n:04}"), "ONLINE", 1);
            record["lastSeen"] = json!(format!("2026-11-23T04:{:02}:00.000Z", n % 60));
            record
        })
        .collect();
    let next = if to < 2500 {
        json!(format!("c{to}"))
    } else {
        Value::Null
    };
    ok(&json!({"now": NOW, "users": users, "next": next, "counts": {"ONLINE": 2500, "IDLE": 0, "DO_NOT_DISTURB": 0}}))
}

fn listed(arguments: &[&str]) -> (Value, usize) {
    let daemon = FakeDaemon::start(listing);
    let run = Sandbox::with_daemon(&daemon.address()).run(&[&["online", "-o", "json"], arguments].concat());
    (serde_json::from_str(&run.stdout).unwrap(), daemon.requests().len())
}

#[test]
fn online_pages_up_to_the_limit() {
    let (all, pages) = listed(&[]);
    assert_eq!(
        (all["users"].as_array().unwrap().len(), all["more"].as_bool(), pages),
        (2500, Some(false), 3)
    );
    let (some, pages) = listed(&["--limit", "1200"]);
    assert_eq!(
        (some["users"].as_array().unwrap().len(), some["more"].as_bool(), pages),
        (1200, Some(true), 2)
    );
    assert_eq!(some["users"][1199]["userId"], "user-1199");
}

#[test]
fn online_sorts_all_users_before_applying_the_limit() {
    let (latest, pages) = listed(&["--sort", "last-seen", "--limit", "2"]);
    assert_eq!((latest["users"].as_array().unwrap().len(), pages), (2, 3));
    assert_eq!(latest["users"][0]["lastSeen"], "2026-11-23T04:59:00.000Z");
}

#[test]
fn online_filters_on_the_server() {
    let daemon = FakeDaemon::start(listing);
    let sandbox = Sandbox::with_daemon(&daemon.address());
    sandbox.run(&["online", "--status", "dnd", "--prefix", "a&b=/", "--limit", "1"]);
    assert_eq!(
        daemon.requests()[0].line,
        "GET /api/presence?limit=1&status=DO_NOT_DISTURB&prefix=a%26b%3D%2F"
    );
}

#[test]
fn kick_and_forget_encode_the_user_in_the_path() {
    let daemon = FakeDaemon::start(answer);
    let sandbox = Sandbox::with_daemon(&daemon.address());
    let run = sandbox.run(&["kick", "a/../b%2f", "--yes"]);
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (0, "a/../b%2f is OFFLINE; 3 sessions ended\n")
    );
    let run = sandbox.run(&["forget", "query", "-y", "-o", "json"]);
    assert_eq!(run.stdout, "{\"v\":1,\"userId\":\"query\",\"ended\":3}\n");
    let requests = daemon.requests();
    let lines: Vec<_> = requests
        .iter()
        .map(|request| request.line.as_str())
        .filter(|line| line.starts_with("DELETE"))
        .collect();
    assert_eq!(
        lines,
        [
            "DELETE /api/presence/a%2F..%2Fb%252f/sessions",
            "DELETE /api/user/query"
        ]
    );
}

#[test]
fn a_kick_without_sessions_reports_that_the_user_is_offline() {
    let daemon = FakeDaemon::start(|_| ok(&json!({"ended": 0})));
    let sandbox = Sandbox::with_daemon(&daemon.address());
    let run = sandbox.run(&["kick", "alice", "--yes"]);
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (
            0,
            "alice is OFFLINE; there was no session, and no grace period remains\n"
        )
    );
    let run = sandbox.run(&["kick", "alice", "--yes", "-o", "json"]);
    assert_eq!(run.stdout, "{\"v\":1,\"userId\":\"alice\",\"ended\":0}\n");
}

#[test]
fn a_revocation_names_its_time_and_what_holds_then() {
    let daemon = FakeDaemon::start(|request| match request.line.starts_with("PUT") {
        true => ok(&json!({"before": NOW, "kept": true, "ended": 1,
            "unreached": [{"node": "b\u{1b}", "error": "no way\u{1b}"}]})),
        false => answer(request),
    });
    let sandbox = Sandbox::with_daemon(&daemon.address());
    let at = "2026-11-23T05:02:04+00:00";
    let run = sandbox.run(&["revoke", "a/b%2f", "--before", at, "--yes"]);
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (
            0,
            "tokens of a/b%2f that were issued before 2026-11-23T05:02:05.000Z are refused; an earlier call named this later time, \
             which stays; 1 session ended\n"
        )
    );
    assert_eq!(
        run.stderr,
        "presencectl: node \"b\\u{1b}\" was not told and looks for itself, every 2 s: no way\\u{1b}\n"
    );
    let run = sandbox.run(&["revoke", "alice", "-y", "-o", "json"]);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        document,
        json!({"v": 1, "userId": "alice", "before": NOW, "kept": true, "ended": 1,
            "unreached": [{"node": "b\u{1b}", "error": "no way\u{1b}"}]})
    );
    let requests = daemon.requests();
    let sent: Vec<_> = requests
        .iter()
        .filter(|request| request.line.starts_with("PUT"))
        .collect();
    assert_eq!(sent[0].line, "PUT /api/presence/a%2Fb%252f/revocation");
    assert_eq!(sent[0].json(), json!({"before": "2026-11-23T05:02:04.000Z"}));
    assert_eq!(sent[1].json(), json!({}));
}

#[test]
fn a_revocation_of_a_time_that_is_none_is_not_sent() {
    let daemon = FakeDaemon::start(answer);
    let sandbox = Sandbox::with_daemon(&daemon.address());
    for time in ["yesterday", "2026-11-23", "-10m", "10"] {
        let run = sandbox.run(&["revoke", "alice", "--yes", "--before", time]);
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.stderr.contains("how long ago"), "{run:?}");
    }
    assert_eq!(daemon.requests().len(), 0);
}

#[test]
fn commands_that_end_sessions_require_yes_without_a_terminal() {
    let daemon = FakeDaemon::start(answer);
    let sandbox = Sandbox::with_daemon(&daemon.address());
    for command in ["kick", "forget", "revoke"] {
        let run = sandbox.run_with_stdin(&[command, "alice"], "y\n");
        assert_eq!(run.code, 2);
        assert!(run.stderr.contains("--yes"), "{run:?}");
    }
    assert_eq!(daemon.requests().len(), 0);
}

#[test]
fn a_token_is_one_line_that_names_the_user() {
    let run = Sandbox::with_daemon("127.0.0.1:1").run(&["token", "alice", "--ttl", "5m"]);
    assert_eq!(run.code, 0);
    assert_eq!(run.stdout.trim_end().split('.').count(), 3);
    assert_eq!(run.stdout.lines().count(), 1);
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let daemon = FakeDaemon::start(listing);
    let sandbox = Sandbox::with_daemon(&daemon.address());
    let mut child = sandbox.command(&["online"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn completions_and_man_pages_contain_every_command() {
    let sandbox = Sandbox::new();
    let commands = [
        "set-status",
        "get",
        "online",
        "events",
        "explain",
        "kick",
        "forget",
        "revoke",
        "stats",
        "doctor",
        "simulate",
        "token",
    ];
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = sandbox.run(&["completions", shell]);
        assert_eq!(run.code, 0);
        assert!(commands.iter().all(|command| run.stdout.contains(command)), "{shell}");
    }
    let page = sandbox.run(&["man"]).stdout;
    for command in commands {
        assert!(page.contains(&format!(".SH {}\n", command.to_uppercase())), "{command}");
        let page = sandbox.run(&["man", command]).stdout;
        assert!(page.contains("Examples"), "{command}");
        let of = concat!("\"presencectl ", env!("CARGO_PKG_VERSION"), "\"");
        assert!(page.contains(of), "{command}: {page}");
    }
}
