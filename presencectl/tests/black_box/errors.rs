//! Failures of commands: exit codes, messages, and that secrets are never printed.

use std::io::{Read, Write};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::json;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::fake_daemon::{Answer, FakeDaemon, ok, problem};
use crate::sandbox::{SECRET, Sandbox, chmod};

#[test]
fn a_missing_daemon_is_exit_code_3_with_a_suggestion() {
    let sandbox = Sandbox::new();
    for arguments in [
        vec!["get", "alice"],
        vec!["online"],
        vec!["stats"],
        vec!["events"],
        vec!["explain", "alice"],
    ] {
        let run = sandbox.run(&arguments);
        assert_eq!(run.code, 3, "{run:?}");
        assert!(run.stderr.contains("start the daemon with `presenced`"), "{run:?}");
        assert_eq!(run.stdout, "");
    }
}

#[test]
fn a_stopped_daemon_is_exit_code_3() {
    let gone = FakeDaemon::start(|_| ok(&json!({}))).address;
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    assert_ne!(gone, closed);
    let sandbox = Sandbox::with_daemon(&closed.to_string());
    for arguments in [vec!["get", "alice"], vec!["events"], vec!["set-status", "alice", "dnd"]] {
        let run = sandbox.run(&arguments);
        assert_eq!(run.code, 3, "{run:?}");
        assert!(
            run.stderr.contains("refused") && run.stderr.contains("`presenced`"),
            "{run:?}"
        );
    }
}

#[test]
fn a_hung_daemon_is_reported_within_the_timeout() {
    // The kernel accepts connections for it; nobody answers.
    let hung = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let sandbox = Sandbox::with_daemon(&hung.local_addr().unwrap().to_string());
    for arguments in [
        vec!["get", "alice"],
        vec!["online"],
        vec!["stats"],
        vec!["explain", "alice"],
        vec!["events"],
        vec!["watch", "--once"],
        vec!["simulate", "--users", "1"],
    ] {
        let run = sandbox.run(&[&arguments[..], &["--timeout", "200ms"]].concat());
        assert_eq!((run.code, run.stdout.as_str()), (3, ""), "{run:?}");
        assert!(
            run.stderr.contains("within 200ms") && run.stderr.contains("hung"),
            "{run:?}"
        );
        assert!(!run.stderr.contains("start the daemon"), "{run:?}");
        assert!(
            !run.stderr.contains("all the same"),
            "nothing was to be changed: {run:?}"
        );
    }
    let doctor = sandbox.run(&["doctor", "--timeout", "200ms"]);
    assert_eq!(doctor.code, 3, "{doctor:?}");
    assert!(
        doctor.stdout.contains("within 200ms") && !doctor.stdout.contains("start"),
        "{doctor:?}"
    );
}

#[test]
fn a_change_without_an_answer_may_have_been_made() {
    let hung = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let sandbox = Sandbox::with_daemon(&hung.local_addr().unwrap().to_string());
    let run = sandbox.run(&["set-status", "dnd", "--user", "alice", "--timeout", "200ms"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.stderr.contains("may have been made all the same"), "{run:?}");
    let run = sandbox.run(&["kick", "alice", "--yes", "--ignore-unknown", "--timeout", "200ms"]);
    assert!(run.stderr.contains("may have been made all the same"), "{run:?}");
}

#[test]
fn a_change_that_was_never_sent_was_not_made() {
    // The lock of a daemon is held, but nothing listens at its address.
    let address = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let run = Sandbox::with_daemon(&address.to_string()).run(&["set-status", "alice", "dnd"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(!run.stderr.contains("all the same"), "{run:?}");
}

#[test]
fn silence_is_reported_after_one_timeout_and_not_several() {
    let hung = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let sandbox = Sandbox::with_daemon(&hung.local_addr().unwrap().to_string());
    // Several of these are longer than a line is waited for here.
    let running = sandbox.start(&["stats", "--timeout", "4s"]);
    assert!(running.error_line().contains("no answer"));
}

#[test]
fn a_daemon_that_sends_a_byte_now_and_then_holds_up_no_command() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let sandbox = Sandbox::with_daemon(&listener.local_addr().unwrap().to_string());
    let (_end, ended) = channel::<()>();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n");
        // A byte whenever the test has not ended meanwhile.
        while ended.recv_timeout(Duration::from_millis(50)) == Err(RecvTimeoutError::Timeout) {
            if stream.write_all(b" ").is_err() {
                return;
            }
        }
    });
    let running = sandbox.start(&["stats", "--timeout", "500ms"]);
    assert!(running.error_line().contains("no answer"));
    assert_eq!(running.end().0.code(), Some(3));
}

#[test]
fn a_response_that_stops_halfway_is_reported_within_the_timeout() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let sandbox = Sandbox::with_daemon(&listener.local_addr().unwrap().to_string());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"now\"");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let run = sandbox.run(&["stats", "--timeout", "200ms"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.stderr.contains("no answer"), "{run:?}");
}

#[test]
fn rejected_requests_are_exit_code_1_and_unauthorized_4() {
    for (status, code, exit) in [
        (401, "unauthenticated", 4),
        (403, "forbidden", 4),
        (400, "invalid_user_id", 1),
        (429, "rate_limited", 1),
        (503, "store_unavailable", 1),
        (500, "a_code_of_a_newer_daemon", 1),
    ] {
        let daemon = FakeDaemon::start(move |_| problem(status, code, "the detail of the problem"));
        let sandbox = Sandbox::with_daemon(&daemon.address());
        for arguments in [
            vec!["get", "alice"],
            vec!["set-status", "alice", "idle"],
            vec!["kick", "alice", "--yes"],
        ] {
            let run = sandbox.run(&arguments);
            assert_eq!(run.code, exit, "{run:?}");
            assert!(
                run.stderr.contains("the detail of the problem") && run.stderr.contains(code),
                "{run:?}"
            );
            assert_eq!(run.stdout, "");
        }
    }
}

#[test]
fn a_store_that_fails_is_told_apart_for_reads_and_changes() {
    let daemon = FakeDaemon::start(|_| problem(503, "store_unavailable", "the database can't be reached"));
    let sandbox = Sandbox::with_daemon(&daemon.address());
    for (arguments, part) in [
        (vec!["get", "alice"], "what is stored could not be read"),
        (vec!["explain", "alice"], "what is stored could not be read"),
        (vec!["set-status", "alice", "idle"], "the change was not acknowledged"),
        (vec!["forget", "alice", "--yes"], "the change was not acknowledged"),
    ] {
        let run = sandbox.run(&arguments);
        assert!(run.stderr.contains(part), "{run:?}");
    }
}

#[test]
fn a_usage_error_is_exit_code_2_without_a_request() {
    let daemon = FakeDaemon::start(|_| ok(&json!({})));
    let sandbox = Sandbox::with_daemon(&daemon.address());
    for arguments in [
        vec!["nonsense"],
        vec!["get"],
        vec!["get", ""],
        vec!["get", ".."],
        vec!["get", " alice"],
        vec!["set-status", "offline"],
        vec!["set-status", "away"],
        vec!["online", "--status", "offline"],
        vec!["online", "--limit", "0"],
        vec!["online", "-o", "xml"],
        vec!["--server", "wss://127.0.0.1", "stats"],
        vec!["--server", "http://a", "--context", "b", "stats"],
        vec!["--context", "unknown", "stats"],
        vec!["kick", "alice"],
        vec!["forget", "alice"],
        vec!["simulate", "--users", "0"],
        vec!["token", "alice", "--ttl", "soon"],
        vec!["token", "alice", "--ttl", "0s"],
        vec!["watch"],
        vec!["stats", "--timeout", "0s"],
    ] {
        let run = sandbox.run(&arguments);
        assert_eq!(run.code, 2, "{arguments:?}: {run:?}");
        assert!(!run.stderr.is_empty() && run.stdout.is_empty(), "{run:?}");
    }
    assert_eq!(daemon.requests().len(), 0);
}

#[test]
fn a_url_of_another_scheme_is_rejected_with_the_reason() {
    let run = Sandbox::new().run(&["--server", "wss://presence.example", "online"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("starts with http:// or https://"), "{run:?}");
}

#[test]
fn a_secret_file_others_can_read_is_rejected_with_the_fix() {
    let daemon = FakeDaemon::start(|_| ok(&json!({})));
    let sandbox = Sandbox::with_daemon(&daemon.address());
    let secret = sandbox.path("presenced/secret");
    chmod(&secret, 0o640);
    let run = sandbox.run(&["stats"]);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(
        run.stderr.contains(&format!("chmod 600 {}", secret.display())),
        "{run:?}"
    );
    assert_eq!(daemon.requests().len(), 0);
}

#[test]
fn secrets_are_never_printed() {
    let daemon = FakeDaemon::start_with_sockets(
        |_| problem(403, "forbidden", "no"),
        |mut socket, _| {
            let frame = CloseFrame {
                code: 4003.into(),
                reason: "".into(),
            };
            let _ = socket.close(Some(frame));
            while socket.read().is_ok() {}
        },
    );
    let sandbox = Sandbox::with_daemon(&daemon.address());
    let key = "0123456789abcdef0123456789abcdef";
    for arguments in [
        vec!["get", "alice"],
        vec!["online"],
        vec!["events"],
        vec!["doctor"],
        vec!["doctor", "-o", "json"],
        vec!["token", "alice"],
        vec!["simulate", "--users", "1", "--duration", "0s"],
        vec!["context", "show"],
    ] {
        let run = sandbox.run(&arguments);
        let printed = format!("{}{}", run.stdout, run.stderr);
        assert!(
            !printed.contains(SECRET) && !printed.contains(key),
            "{arguments:?}: {printed}"
        );
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = FakeDaemon::start(|_| ok(&json!({})));
    let location = format!("http://{}/api/stats", elsewhere.address());
    let daemon = FakeDaemon::start(move |_| Answer {
        status: 307,
        headers: vec![("location", location.clone())],
        body: String::new(),
    });
    let run = Sandbox::with_daemon(&daemon.address()).run(&["stats"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains("not as presenced does"), "{run:?}");
    assert_eq!(elsewhere.requests().len(), 0);
}

#[test]
fn a_proxy_of_the_environment_is_not_used() {
    let proxy = FakeDaemon::start(|_| ok(&json!({})));
    let daemon = FakeDaemon::start(|_| problem(403, "forbidden", "from the daemon itself"));
    let sandbox = Sandbox::with_daemon(&daemon.address());
    let url = format!("http://{}", proxy.address());
    let output = sandbox
        .command(&["stats"])
        .env("HTTP_PROXY", &url)
        .env("http_proxy", &url)
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("from the daemon itself"));
    assert_eq!(proxy.requests().len(), 0);
}

#[test]
fn a_response_of_another_server_is_reported_as_such() {
    let daemon = FakeDaemon::start(|_| Answer {
        status: 502,
        headers: vec![("content-type", "text/html".into())],
        body: "<h1>Bad Gateway\u{1b}[31m</h1>".into(),
    });
    let run = Sandbox::with_daemon(&daemon.address()).run(&["get", "alice"]);
    assert_eq!(run.code, 1);
    assert!(
        run.stderr.contains("502") && run.stderr.contains("another program or a proxy"),
        "{run:?}"
    );
    assert!(!run.stderr.contains('\u{1b}'));
}

#[test]
fn a_program_on_the_port_of_a_daemon_that_is_gone_gets_no_credential() {
    let other = FakeDaemon::start(|_| ok(&json!({})));
    let mut sandbox = Sandbox::with_daemon(&other.address());
    sandbox.release_lock();
    let secret = sandbox.data_dir().join("secret");
    let token = sandbox.private("token", "a.b.c");
    let (secret, token) = (secret.to_str().unwrap(), token.to_str().unwrap());
    for arguments in [
        vec!["online"],
        vec!["get", "alice"],
        vec!["stats"],
        vec!["set-status", "dnd", "--user", "alice"],
        vec!["kick", "alice", "--yes"],
        vec!["events"],
        vec!["watch", "--once"],
        vec!["simulate", "--users", "1", "--duration", "1s"],
        vec!["doctor"],
        vec!["stats", "--secret-file", secret],
        vec!["get", "alice", "--token", token],
    ] {
        let run = sandbox.run(&arguments);
        assert_eq!(run.code, 3, "{arguments:?} {run:?}");
        let text = format!("{}{}", run.stdout, run.stderr);
        assert!(text.contains("no process holds the lock"), "{run:?}");
        assert!(text.contains("start the daemon with `presenced`"), "{run:?}");
    }
    let named = format!("http://{}", other.address());
    sandbox.run(&["stats", "--server", &named]);
    let local = format!("http://localhost:{}", other.address.port());
    sandbox.run(&["stats", "--server", &local]);
    let requests = other.requests();
    assert!(
        !requests.is_empty(),
        "a server that is named is asked, without the secret"
    );
    for request in requests {
        assert_eq!(request.header("x-secret-token"), None, "{request:?}");
        assert_eq!(request.header("authorization"), None, "{request:?}");
    }
}
