//! `watch` without a terminal: errors, and the snapshot.

use serde_json::json;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::fake_daemon::{FakeDaemon, Request, hear, problem, record, say, snapshot};
use crate::sandbox::Sandbox;

/// A daemon with alice that rejects every request.
fn of_alice() -> FakeDaemon {
    let refuse = |_: &Request| problem(503, "store_unavailable", "the detail of the problem");
    FakeDaemon::start_with_sockets(refuse, |mut socket, _| {
        assert_eq!(hear(&mut socket).unwrap()["type"], "watchAll");
        say(
            &mut socket,
            &snapshot("1.1", &json!([record("alice", "IDLE", 3)]), false),
        );
        while hear(&mut socket).is_some() {}
    })
}

#[test]
fn watch_without_a_terminal_suggests_alternatives() {
    let daemon = of_alice();
    let sandbox = Sandbox::with_daemon(&daemon.address());
    let run = sandbox.run(&["watch"]);
    assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run:?}");
    assert!(
        run.stderr.contains("`watch --once`") && run.stderr.contains("`events`"),
        "{run:?}"
    );
    for format in ["json", "ndjson", "csv"] {
        let run = sandbox.run(&["watch", "--once", "-o", format]);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run:?}");
        assert!(run.stderr.contains("`events`"), "{run:?}");
    }
    assert_eq!(daemon.requests().len(), 0);
}

#[test]
fn a_token_is_rejected_for_the_dashboard() {
    let daemon = of_alice();
    let sandbox = Sandbox::with_daemon(&daemon.address());
    let token = sandbox.private("token", "a-token");
    let url = format!("http://{}", daemon.address());
    let arguments = ["--server", url.as_str(), "--token", token.to_str().unwrap()];
    for command in [&["watch", "--once"][..], &["events"]] {
        let run = sandbox.run(&[&arguments[..], command].concat());
        assert_eq!((run.code, run.stdout.as_str()), (4, ""), "{run:?}");
        assert!(run.stderr.contains("--secret-file"), "{run:?}");
    }
    assert_eq!(daemon.requests().len(), 0);
}

#[test]
fn an_unreachable_daemon_is_exit_code_3() {
    let run = Sandbox::new().run(&["watch", "--once"]);
    assert_eq!((run.code, run.stdout.as_str()), (3, ""), "{run:?}");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap().to_string();
    drop(closed);
    let run = Sandbox::with_daemon(&address).run(&["watch", "--once"]);
    assert_eq!((run.code, run.stdout.as_str()), (3, ""), "{run:?}");
    let going = FakeDaemon::start_with_sockets(
        |_| problem(503, "store_unavailable", "no"),
        |mut socket, _| {
            let _ = socket.close(Some(CloseFrame {
                code: 1012.into(),
                reason: "".into(),
            }));
        },
    );
    let run = Sandbox::with_daemon(&going.address()).run(&["watch", "--once"]);
    assert_eq!((run.code, run.stdout.as_str()), (3, ""), "{run:?}");
    assert!(run.stderr.contains("1012"), "{run:?}");
}

#[test]
fn a_snapshot_is_plain_text_of_the_size_of_the_variables() {
    let daemon = of_alice();
    let sandbox = Sandbox::with_daemon(&daemon.address());
    for (columns, lines) in [(100, 30), (60, 12)] {
        let mut command = sandbox.command(&["watch", "--once"]);
        command
            .env("COLUMNS", columns.to_string())
            .env("LINES", lines.to_string());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let picture = String::from_utf8(output.stdout).unwrap();
        assert_eq!(picture.lines().count(), lines, "{picture}");
        let widest = picture.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= columns, "{widest}: {picture}");
        assert!(picture.lines().all(|line| line.trim_end() == line), "{picture}");
        assert!(picture.contains("alice") && picture.contains("IDLE"), "{picture}");
        assert!(!picture.contains('\u{1b}'), "{picture:?}");
    }
}

#[test]
fn a_snapshot_of_a_user_shows_errors() {
    let daemon = of_alice();
    let sandbox = Sandbox::with_daemon(&daemon.address());
    let run = sandbox.run(&["watch", "--once", "--user", "bob"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(
        run.stdout.contains("bob") && run.stdout.contains("the detail of the problem"),
        "{}",
        run.stdout
    );
    assert!(
        daemon
            .requests()
            .iter()
            .any(|request| request.line == "GET /api/presence/bob/explain")
    );
}
