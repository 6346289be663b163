//! Simulations that are refused or fail: without the secret, beyond the daemon's limit, with too many errors.

use std::sync::atomic::AtomicU64;

use crate::fake_daemon::{FakeDaemon, ok};
use crate::sandbox::Sandbox;
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
