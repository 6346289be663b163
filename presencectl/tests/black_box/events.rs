//! The output of `events`, and lost connections.

use std::io::{BufRead, BufReader};
use std::sync::mpsc::channel;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::fake_daemon::{FakeDaemon, Socket, hear, ok, presence, record, say, snapshot};
use crate::sandbox::Sandbox;

fn daemon(play: impl Fn(Socket, usize) + Send + Sync + 'static) -> (FakeDaemon, Sandbox) {
    let daemon = FakeDaemon::start_with_sockets(|_| ok(&json!({})), play);
    let sandbox = Sandbox::with_daemon(&daemon.address());
    (daemon, sandbox)
}

fn close(mut socket: Socket, code: u16) {
    let frame = CloseFrame {
        code: code.into(),
        reason: "why".into(),
    };
    let _ = socket.close(Some(frame));
    while socket.read().is_ok() {}
}

#[test]
fn changes_are_printed_as_lines() {
    let (_daemon, sandbox) = daemon(|mut socket, _| {
        assert_eq!(hear(&mut socket).unwrap()["type"], "watchAll");
        say(
            &mut socket,
            &snapshot("1.1", &json!([record("alice", "ONLINE", 1)]), false),
        );
        say(
            &mut socket,
            &presence("1.2", &json!([record("alice", "IDLE", 2), record("bob", "ONLINE", 3)])),
        );
        say(
            &mut socket,
            &presence("1.3", &json!([{"userId": "bob", "revision": 4, "removed": true}])),
        );
        hear(&mut socket);
    });
    let running = sandbox.start(&["events"]);
    assert_eq!(running.line(), "2026-11-23T05:00:00.000Z  alice  ONLINE → IDLE  active");
    assert_eq!(
        running.line(),
        "2026-11-23T05:00:00.000Z  bob  OFFLINE → ONLINE  active"
    );
    assert_eq!(running.line(), "2026-11-23T05:00:02.000Z  bob  ONLINE → forgotten");
}

#[test]
fn a_daemon_that_hangs_is_noticed_soon_and_the_stream_goes_on() {
    let (_daemon, sandbox) = daemon(|mut socket, number| {
        assert_eq!(hear(&mut socket).unwrap()["type"], "watchAll");
        say(&mut socket, &snapshot("1.1", &json!([]), false));
        if number > 0 {
            say(&mut socket, &presence("1.2", &json!([record("bob", "ONLINE", 3)])));
        }
        // From here on no ping is answered.
        while hear(&mut socket).is_some() {}
    });
    let running = sandbox.start(&["events", "--timeout", "500ms"]);
    let lost = running.error_line();
    assert!(lost.contains("no answer for 3s"), "{lost}");
    assert!(running.line().ends_with("bob  OFFLINE → ONLINE  active"));
}

#[test]
fn named_users_are_watched_individually() {
    let (_daemon, sandbox) = daemon(|mut socket, _| {
        let asked = hear(&mut socket).unwrap();
        assert_eq!(
            (&asked["type"], &asked["userIds"]),
            (&json!("watch"), &json!(["alice", "bob"]))
        );
        say(
            &mut socket,
            &snapshot(
                "1.1",
                &json!([record("alice", "ONLINE", 1), {"userId": "bob", "status": "OFFLINE", "since": null,
                        "lastSeen": null, "lastActive": null, "revision": 0, "customStatus": "ONLINE"}]),
                false,
            ),
        );
        say(
            &mut socket,
            &presence("1.2", &json!([record("bob", "DO_NOT_DISTURB", 3)])),
        );
        hear(&mut socket);
    });
    let running = sandbox.start(&["events", "-o", "ndjson", "--user", "alice", "bob"]);
    assert!(running.error_line().contains("\"bob\" was never seen; waiting"));
    let line: Value = serde_json::from_str(&running.line()).unwrap();
    assert_eq!(line["v"], 1);
    assert_eq!(
        (&line["userId"], &line["from"], &line["to"]),
        (&json!("bob"), &json!("OFFLINE"), &json!("DO_NOT_DISTURB"))
    );
}

#[test]
fn a_lost_connection_is_reported_and_the_stream_resumes() {
    let (sender, since) = channel();
    let (_daemon, sandbox) = daemon(move |mut socket, number| {
        sender.send(hear(&mut socket).unwrap()["since"].clone()).unwrap();
        if number == 0 {
            say(
                &mut socket,
                &snapshot("1.1", &json!([record("alice", "ONLINE", 1)]), false),
            );
            say(&mut socket, &presence("1.2", &json!([record("alice", "IDLE", 2)])));
            // The connection is dropped.
        } else {
            say(
                &mut socket,
                &snapshot(
                    "1.9",
                    &json!([record("alice", "IDLE", 2), record("bob", "ONLINE", 7)]),
                    true,
                ),
            );
            say(&mut socket, &presence("1.10", &json!([record("alice", "ONLINE", 8)])));
            hear(&mut socket);
        }
    });
    let running = sandbox.start(&["events"]);
    assert!(running.line().contains("alice  ONLINE → IDLE"));
    assert!(running.error_line().contains("connection lost"));
    assert!(running.error_line().contains("reconnected to the daemon"));
    assert!(running.line().contains("bob  OFFLINE → ONLINE"), "the missed change");
    assert!(running.line().contains("alice  IDLE → ONLINE"), "the next change");
    assert_eq!(since.recv().unwrap(), Value::Null);
    assert_eq!(since.recv().unwrap(), "1.2");
}

#[test]
fn after_a_restart_without_resume_only_differences_are_printed() {
    let (_daemon, sandbox) = daemon(|mut socket, number| {
        hear(&mut socket);
        if number == 0 {
            let users = json!([record("alice", "ONLINE", 1), record("bob", "IDLE", 2)]);
            say(&mut socket, &snapshot("1.1", &users, false));
        } else {
            say(&mut socket, &snapshot("2.1", &json!([record("bob", "IDLE", 9)]), false));
            say(&mut socket, &presence("2.2", &json!([record("bob", "ONLINE", 10)])));
            hear(&mut socket);
        }
    });
    let running = sandbox.start(&["events"]);
    assert!(running.line().contains("alice  ONLINE → OFFLINE  no_session"));
    assert!(running.line().contains("bob  IDLE → ONLINE"));
}

#[test]
fn the_servers_reconnect_delay_is_used() {
    let (_daemon, sandbox) = daemon(|mut socket, number| {
        hear(&mut socket);
        if number == 0 {
            say(
                &mut socket,
                &json!({"type": "goodbye", "reason": "restart", "reconnectAfterMs": 300}),
            );
            close(socket, 1012);
        } else {
            hear(&mut socket);
        }
    });
    let running = sandbox.start(&["events"]);
    let reported = running.error_line();
    assert!(
        reported.contains("code 1012") && reported.contains("retrying in 0.3 s"),
        "{reported}"
    );
    assert!(running.error_line().contains("reconnected"));
}

#[test]
fn a_permanent_close_code_ends_the_command() {
    for code in [4003, 4008, 4010] {
        let (daemon, sandbox) = daemon(move |mut socket, _| {
            hear(&mut socket);
            close(socket, code);
        });
        let (status, _, errors) = sandbox.start(&["events"]).end();
        assert_eq!(status.code(), Some(1));
        assert!(errors.contains(&code.to_string()), "{errors}");
        assert_eq!(daemon.requests().len(), 1, "no reconnect");
    }
}

#[test]
fn a_closed_pipe_ends_the_stream_without_a_change() {
    let (_daemon, sandbox) = daemon(|mut socket, _| {
        hear(&mut socket);
        say(&mut socket, &snapshot("1.1", &json!([]), false));
        say(&mut socket, &presence("1.2", &json!([record("alice", "ONLINE", 2)])));
        hear(&mut socket);
    });
    let mut child = sandbox.command(&["events"]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.contains("alice"));
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()),
        (Some(0), "")
    );
}

#[test]
fn a_token_is_rejected_for_the_change_stream() {
    let (daemon, sandbox) = daemon(|_, _| {});
    let token = sandbox.private("token", "a.b.c");
    let run = sandbox.run(&["events", "--token", token.to_str().unwrap()]);
    assert_eq!(run.code, 4);
    assert!(run.stderr.contains("would make its user present"), "{run:?}");
    assert_eq!(daemon.requests().len(), 0);
}

#[test]
fn a_stream_whose_daemon_is_gone_sends_no_secret_when_it_reconnects() {
    let (go_on, gone) = channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let (daemon, mut sandbox) = daemon(move |mut socket, number| {
        hear(&mut socket);
        say(&mut socket, &snapshot("1.1", &json!([]), false));
        if number == 0 {
            gone.lock().unwrap().recv().unwrap();
        }
    });
    let running = sandbox.start(&["events"]);
    while daemon.requests().is_empty() {
        std::thread::yield_now();
    }
    sandbox.release_lock();
    go_on.send(()).unwrap();
    while !running.error_line().contains("no process holds the lock") {}
    assert_eq!(daemon.requests().len(), 1, "{:?}", daemon.requests());
}
