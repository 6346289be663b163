//! Simulations that are refused or fail: without the secret, beyond the daemon's limit, with too many errors.

use std::sync::atomic::AtomicU64;

use crate::fake_daemon::{FakeDaemon, ok};
use crate::sandbox::{SECRET, Sandbox};
use crate::simulate::{answer, serve, stats};

#[test]
fn users_that_must_be_forgotten_need_the_secret() {
    let daemon = FakeDaemon::start(answer);
    let sandbox = Sandbox::with_daemon(&daemon.address());
    let token = sandbox.private("token", "a.b.c");
    let run = sandbox.run(&[
        "simulate",
        "--users",
        "1",
        "--forget",
        "--token",
        token.to_str().unwrap(),
    ]);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(daemon.requests().is_empty(), "{:?}", daemon.requests());
}

#[test]
fn too_many_errors_fail_the_run() {
    let daemon = FakeDaemon::start_with_sockets(answer, |mut socket, number| {
        if number == 0 {
            serve(socket, &AtomicU64::new(1));
        } else {
            let _ = socket.close(None);
        }
    });
    let run = Sandbox::with_daemon(&daemon.address()).run(&["simulate", "--users", "3", "--duration", "1s"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stdout.contains("above the limit of 1 %"), "{run:?}");
}

#[test]
fn more_users_than_the_connection_limit_are_rejected() {
    let daemon = FakeDaemon::start(|_| ok(&stats()));
    let run = Sandbox::with_daemon(&daemon.address()).run(&["simulate", "--users", "101"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("allows 100 simulated users"), "{run:?}");
}

#[test]
fn further_nodes_need_the_first_address_and_the_secret_by_name() {
    let daemon = FakeDaemon::start(answer);
    let sandbox = Sandbox::with_daemon(&daemon.address());
    let secret = sandbox.private("secret", "the-internal-secret-0123456789\n");
    let (data_dir, secret) = (sandbox.data_dir(), secret.to_str().unwrap());
    let also = ["simulate", "--users", "1", "--also", "http://127.0.0.1:1"];
    for found in [
        &[][..],
        &["--data-dir", data_dir.to_str().unwrap(), "--secret-file", secret],
    ] {
        let run = sandbox.run(&[&also, found].concat());
        assert_eq!(run.code, 2, "{run:?}");
        assert!(
            run.stderr.contains("add --server URL and --secret-file FILE"),
            "{run:?}"
        );
    }
    assert!(daemon.requests().is_empty(), "{:?}", daemon.requests());
    let help = sandbox.run(&["simulate", "--help"]).stdout;
    let words: Vec<&str> = help.split_whitespace().collect();
    assert!(words.join(" ").contains("Needs --server and --secret-file"), "{help}");
}

#[test]
fn a_further_node_that_is_never_reached_fails_the_run_and_is_named() {
    let daemon = FakeDaemon::start_with_sockets(answer, |socket, _| {
        serve(socket, &AtomicU64::new(1));
    });
    let sandbox = Sandbox::new();
    let secret = sandbox.private("secret", SECRET);
    let server = format!("http://{}", daemon.address());
    let found = ["--server", &server, "--secret-file", secret.to_str().unwrap()];
    let simulate = ["simulate", "--users", "4", "--rate", "0", "--duration", "1s", "--keep"];
    let also = ["--also", "http://127.0.0.1:1"];
    let run = sandbox.run(&[&simulate[..], &found, &also].concat());
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stdout.contains("never reached http://127.0.0.1:1: "), "{run:?}");
    assert!(!run.stdout.contains("told to wait"), "{run:?}");
    assert_eq!(sandbox.run(&[&simulate[..], &found].concat()).code, 0);
}
