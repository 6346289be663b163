//! Simulated users connect, act and disconnect.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::DEADLINE;
use crate::fake_daemon::{Answer, FakeDaemon, NO_ANSWER, Request, Socket, hear, ok, problem, record, say, snapshot};
use crate::sandbox::{Running, Sandbox};

pub(crate) fn stats() -> Value {
    json!({"now": "2026-11-23T05:00:00.000Z", "node": "n1", "version": "0.1.0", "schemaVersion": 1, "uptimeSeconds": 5,
           "users": {"ONLINE": 0, "IDLE": 0, "DO_NOT_DISTURB": 0},
           "sessions": {"connections": 0, "observers": 0, "reports": 0, "inGrace": 0, "watchers": 0, "watches": 0},
           "rates": {"changesPerSecond": 0.0, "deliveriesPerSecond": 0.0, "connectsPerSecond": 0.0},
           "store": {"kind": "sqlite", "writable": true, "pendingWrites": 0},
           "limits": {"maxConnections": 100, "openFiles": 20000}})
}

pub(crate) fn answer(request: &Request) -> Answer {
    match request.line.starts_with("DELETE") {
        true => ok(&json!({"ended": 0})),
        false => ok(&stats()),
    }
}

/// Serves one simulated user. Returns the close code, `None` if the connection was dropped.
pub(crate) fn serve(socket: Socket, revisions: &AtomicU64) -> Option<u16> {
    serve_changes(socket, revisions, || ())
}

/// The same; calls `on_change` after each answer to a change.
fn serve_changes(mut socket: Socket, revisions: &AtomicU64, on_change: impl Fn()) -> Option<u16> {
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => {
                let asked: Value = serde_json::from_str(&text).unwrap();
                let revision = revisions.fetch_add(1, Ordering::Relaxed);
                match asked["type"].as_str().unwrap() {
                    "watch" => say(&mut socket, &snapshot("1.1", &json!([]), false)),
                    "setStatus" => {
                        let record = record("sim-00001", asked["customStatus"].as_str().unwrap(), revision);
                        say(&mut socket, &json!({"type": "ok", "id": asked["id"], "user": record}));
                        on_change();
                    }
                    _ => {}
                }
            }
            Ok(Message::Close(frame)) => {
                let _ = socket.flush();
                return frame.map(|frame| frame.code.into());
            }
            Ok(_) => {}
            Err(_) => return None,
        }
    }
}

#[test]
fn simulated_users_are_measured_and_all_disconnect() {
    let Counting {
        daemon,
        ends,
        changed,
        open_or_clean,
        ..
    } = daemon_that_counts();
    let sandbox = Sandbox::with_daemon(&daemon.address());
    let running = sandbox.start(&[
        "simulate",
        "--users",
        "10",
        "--rate",
        "100",
        "--duration",
        "1h",
        "-o",
        "json",
    ]);
    // However slow the machine is: of each user at most one answer is still under way. Many users may be away that were not
    // to leave cleanly; others come and leave meanwhile.
    let mut changes = 0;
    while changes < 20 || open_or_clean.load(Ordering::SeqCst) < 8 {
        changed.recv_timeout(DEADLINE).unwrap();
        changes += 1;
    }
    interrupt(&running);
    let (status, lines, errors) = running.end();
    assert_eq!(
        (status.code(), errors.as_str()),
        (Some(0), ""),
        "no progress bar without a terminal"
    );
    let document: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(
        (
            &document["v"],
            &document["ok"],
            &document["users"],
            &document["errorCount"]
        ),
        (&json!(1), &json!(true), &json!(10), &json!(0))
    );
    assert!(document["changes"].as_u64().unwrap() > 5, "{document}");
    assert!(document["changeToAck"]["count"].as_u64().unwrap() > 5, "{document}");
    assert!(document["connect"]["p99Ms"].as_f64().unwrap() > 0.0, "{document}");
    let connects = document["connects"].as_u64().unwrap();
    let sockets = daemon
        .requests()
        .iter()
        .filter(|request| request.line == "GET /ws")
        .count() as u64;
    assert_eq!(sockets, connects, "no connection is made only as a test");
    // The daemon's threads may see the end of a connection after the run has ended.
    let ends: Vec<Option<u16>> = (0..connects).map(|_| ends.recv_timeout(DEADLINE).unwrap()).collect();
    let clean = ends.iter().filter(|end| **end == Some(1000)).count();
    assert!(clean >= 5, "{clean} of {connects} closed cleanly");
    for request in daemon.requests().iter().filter(|request| request.line == "GET /ws") {
        assert!(
            request.header("authorization").unwrap().starts_with("Bearer "),
            "{request:?}"
        );
    }
}

#[test]
fn an_interrupted_simulation_disconnects_and_reports() {
    let Counting {
        daemon, ends, welcomed, ..
    } = daemon_that_counts();
    let sandbox = Sandbox::with_daemon(&daemon.address());
    let running = sandbox.start(&[
        "simulate",
        "--users",
        "5",
        "--rate",
        "0",
        "--duration",
        "1h",
        "-o",
        "json",
    ]);
    // All users are connected after five welcomes.
    for _ in 0..5 {
        welcomed.recv_timeout(DEADLINE).unwrap();
    }
    interrupt(&running);
    let (status, lines, _) = running.end();
    assert_eq!(status.code(), Some(0));
    assert_eq!(serde_json::from_str::<Value>(&lines[0]).unwrap()["v"], 1);
    let ends: Vec<Option<u16>> = (0..5).map(|_| ends.recv_timeout(DEADLINE).unwrap()).collect();
    assert!(ends.iter().all(|end| *end == Some(1000)), "{ends:?}");
}

/// As Ctrl-C does.
fn interrupt(running: &Running) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(running.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}

/// A daemon, and what happens to it.
struct Counting {
    daemon: FakeDaemon,
    /// The close code of each connection as it ends.
    ends: Receiver<Option<u16>>,
    /// A message for each connection that begins.
    welcomed: Receiver<()>,
    /// A message for each change that was answered.
    changed: Receiver<()>,
    /// Connections that are open, or were closed with 1000.
    open_or_clean: Arc<AtomicU64>,
}

fn daemon_that_counts() -> Counting {
    let (sender, welcomed) = channel();
    let (ended, ends) = channel();
    let (answered, changed) = channel();
    let revisions = AtomicU64::new(1);
    let counted = Arc::new(AtomicU64::new(0));
    let open_or_clean = Arc::clone(&counted);
    let daemon = FakeDaemon::start_with_sockets(answer, move |socket, _| {
        let _ = sender.send(());
        counted.fetch_add(1, Ordering::SeqCst);
        let on_change = || answered.send(()).unwrap_or_default();
        let end = serve_changes(socket, &revisions, on_change);
        if end != Some(1000) {
            counted.fetch_sub(1, Ordering::SeqCst);
        }
        let _ = ended.send(end);
    });
    Counting {
        daemon,
        ends,
        welcomed,
        changed,
        open_or_clean,
    }
}

#[test]
fn a_restart_and_what_it_asked_to_wait_for_are_no_failures() {
    let revisions = AtomicU64::new(1);
    let daemon = FakeDaemon::start_with_sockets(answer, move |socket, number| match number {
        0 | 1 => restart(socket, 10),
        _ => {
            serve(socket, &revisions);
        }
    });
    let run = Sandbox::with_daemon(&daemon.address()).run(&[
        "simulate",
        "--users",
        "2",
        "--rate",
        "0",
        "--duration",
        "3s",
        "--keep",
        "-o",
        "json",
    ]);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        (&document["restarts"], &document["errorCount"]),
        (&json!(2), &json!(0)),
        "{document}"
    );
    assert_eq!(run.code, 0);
}

#[test]
fn simulated_users_are_forgotten_unless_kept() {
    let daemon = FakeDaemon::start_with_sockets(answer, |socket, _| {
        serve(socket, &AtomicU64::new(1));
    });
    let sandbox = Sandbox::with_daemon(&daemon.address());
    let run = |more: &[&str]| {
        let run = sandbox.run(&[&["simulate", "--users", "3", "--rate", "0", "--duration", "0s"], more].concat());
        assert_eq!(run.code, 0, "{run:?}");
        assert!(run.stdout.ends_with("\n\nno errors\n"), "{run:?}");
    };
    let forgotten = || {
        daemon
            .requests()
            .iter()
            .filter(|request| request.line.starts_with("DELETE /api/user/sim-"))
            .count()
    };
    run(&["--keep"]);
    assert_eq!(forgotten(), 0);
    run(&[]);
    assert_eq!(forgotten(), 3);
}

/// The result of a simulation that is ended once this was received.
fn result_after(daemon: &FakeDaemon, arguments: &[&str], enough: &Receiver<()>) -> Value {
    let sandbox = Sandbox::with_daemon(&daemon.address());
    let simulate = ["simulate", "--users", "1", "--duration", "1h", "--keep", "-o", "json"];
    let running = sandbox.start(&[&simulate[..], arguments].concat());
    enough.recv_timeout(DEADLINE).unwrap();
    interrupt(&running);
    let (_, lines, _) = running.end();
    serde_json::from_str(&lines[0]).unwrap()
}

fn restart(mut socket: Socket, reconnect_after_ms: u64) {
    say(
        &mut socket,
        &json!({"type": "goodbye", "reason": "restart", "reconnectAfterMs": reconnect_after_ms}),
    );
    let _ = socket.close(Some(CloseFrame {
        code: 1012.into(),
        reason: "".into(),
    }));
    while socket.read().is_ok() {}
}

#[test]
fn a_connect_that_fails_is_an_error_only_outside_a_restart() {
    let (sender, last) = channel();
    let daemon = FakeDaemon::start_with_rejections(
        answer,
        move |socket, number| match number {
            0 => restart(socket, 10),
            // Connected again, and lost.
            3 => drop(socket),
            _ => {
                sender.send(()).unwrap();
                serve(socket, &AtomicU64::new(1));
            }
        },
        |number| match number {
            1 => Some(503),
            2 | 4 => Some(500),
            _ => None,
        },
    );
    let document = result_after(&daemon, &["--rate", "0"], &last);
    let counted = ["restarts", "postponed", "errorCount"].map(|name| document[name].as_u64().unwrap());
    assert_eq!(counted, [1, 2, 2], "{document}");
}

#[test]
fn a_refused_change_is_an_error_unless_it_is_to_be_repeated() {
    let (sender, last) = channel();
    let changes = AtomicU64::new(0);
    let daemon = FakeDaemon::start_with_sockets(answer, move |mut socket, _| {
        while let Some(asked) = hear(&mut socket) {
            if asked["type"] != "setStatus" {
                continue;
            }
            let mut refused = json!({"type": "error", "id": asked["id"], "code": "store_unavailable", "message": "no"});
            match changes.fetch_add(1, Ordering::Relaxed) {
                0 => refused["retryAfterMs"] = json!(10),
                1 => {}
                // The next change comes after the answer to the one before.
                _ => return sender.send(()).unwrap_or_default(),
            }
            say(&mut socket, &refused);
        }
    });
    let document = result_after(&daemon, &["--rate", "50"], &last);
    assert_eq!(document["postponed"], 1, "{document}");
    assert_eq!(document["errors"]["store_unavailable"], 1, "{document}");
}

#[test]
fn a_simulated_user_stays_away_for_as_long_as_the_daemon_asks() {
    let daemon = FakeDaemon::start_with_sockets(answer, |socket, _| restart(socket, 3_600_000));
    let sandbox = Sandbox::with_daemon(&daemon.address());
    let run = sandbox.run(&["simulate", "--users", "1", "--rate", "0", "--duration", "2s", "--keep"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stdout.contains("1 connections ended by a restart"), "{run:?}");
    let connects = daemon
        .requests()
        .iter()
        .filter(|request| request.line == "GET /ws")
        .count();
    assert_eq!(connects, 1);
}

#[test]
fn forgetting_ends_with_the_daemon_and_goes_on_after_an_error() {
    for (status, errors) in [(NO_ANSWER, 1), (500, 20)] {
        let daemon = FakeDaemon::start_with_sockets(
            move |request| match request.line.starts_with("DELETE") {
                true => problem(status, "internal", "broken"),
                false => ok(&stats()),
            },
            |socket, _| {
                serve(socket, &AtomicU64::new(1));
            },
        );
        let sandbox = Sandbox::with_daemon(&daemon.address());
        let run = sandbox.run(&[
            "simulate",
            "--users",
            "20",
            "--rate",
            "0",
            "--duration",
            "0s",
            "-o",
            "json",
        ]);
        let document: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!((run.code, &document["errorCount"]), (1, &json!(errors)), "{document}");
    }
}
