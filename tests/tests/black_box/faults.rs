//! Faults: a full disk, a locked database, a blocked log. Reads continue, writes are answered 503, nothing is
//! acknowledged that is not stored, and service resumes without a restart.

use presence::wire::error_code::Code;
use presence::wire::record::Record;
use presence::wire::server_message::ServerMessage;
use presence::{CustomStatus, Status};
use presence_tests::daemon::{LogTarget, Setup};
use presence_tests::{Daemon, Rest, presencectl, wait_until};
use rusqlite::Connection;
use serde_json::json;

/// Asserts that writes fail, reads succeed, and connects are accepted.
async fn assert_reads_only(daemon: &Daemon) {
    let rest = daemon.rest();
    let before = rest.record("alice").await;
    rest.set_custom_status("alice", "IDLE")
        .await
        .rejected(503, "store_unavailable");
    rest.report("alice", json!({"status": "ONLINE"}))
        .await
        .rejected(503, "store_unavailable");
    assert_eq!(rest.custom_status("alice").await, "DO_NOT_DISTURB", "nothing changed");
    let record = rest.record("alice").await;
    assert_eq!(
        (record.status, record.custom_status, record.revision),
        (before.status, before.custom_status, before.revision)
    );
    assert_eq!(rest.custom_status("stored").await, "IDLE");
    assert_eq!(rest.list("").await.counts.do_not_disturb, 1);
    let mut guest = daemon.socket("guest").await;
    assert_eq!(guest.user.as_ref().unwrap().status, Status::Online);
    let answer = guest.ask(json!({"type": "setStatus", "customStatus": "IDLE"})).await;
    assert!(
        matches!(
            answer,
            ServerMessage::Error {
                code: Code::StoreUnavailable,
                ..
            }
        ),
        "{answer:?}"
    );
    guest.close(Some(1000)).await;
    assert!(!daemon.rest().stats().await.store.writable);
    let ready = rest.get("/readyz").await;
    assert_eq!(ready.status, 503, "{}", ready.body);
    assert_eq!(rest.get("/healthz").await.status, 200);
}

async fn assert_writes_again(rest: &Rest) {
    wait_until("writes are taken again", async || {
        let answer = rest.set_custom_status("alice", "IDLE").await;
        (answer.status == 200).then_some(())
    })
    .await;
    assert_eq!(rest.custom_status("alice").await, "IDLE");
    wait_until("ready again", async || {
        (rest.get("/readyz").await.status == 200).then_some(())
    })
    .await;
    assert!(rest.stats().await.store.writable);
}

async fn with_users(daemon: &Daemon) -> presence_tests::Socket {
    daemon.rest().set_custom_status("stored", "IDLE").await.ok::<Record>();
    let mut alice = daemon.socket("alice").await;
    alice.set_custom_status("DO_NOT_DISTURB").await;
    alice
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_only_writes() {
    let mut daemon = Daemon::start(&[]).await;
    let _alice = with_users(&daemon).await;
    daemon.process().limit_file_size(1);
    assert_reads_only(&daemon).await;
    daemon.process().unlimit_file_size();
    assert_writes_again(&daemon.rest()).await;
    daemon.crash_and_start_again().await;
    assert_eq!(
        daemon.rest().custom_status("alice").await,
        "IDLE",
        "what was acknowledged is on disk"
    );
    assert_eq!(
        daemon.rest().custom_status("guest").await,
        "ONLINE",
        "what was refused is not"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unwritten_statuses_are_written_when_the_disk_has_room() {
    let mut daemon = Daemon::start(&["--grace", "0s"]).await;
    let alice = daemon.socket("alice").await;
    daemon.flushed().await;
    daemon.process().limit_file_size(1);
    alice.close(Some(1000)).await;
    let left = daemon.rest().record("alice").await;
    assert_eq!(left.status, Status::Offline);
    let _late = daemon.socket("late").await;
    daemon.process().unlimit_file_size();
    daemon.flushed().await;
    daemon.crash_and_start_again().await;
    let after = daemon.rest().record("alice").await;
    assert_eq!(
        (after.status, after.last_seen),
        (Status::Offline, left.last_seen),
        "no ghost"
    );
    assert_eq!(daemon.rest().record("late").await.status, Status::Online, "in grace");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_serves_though_its_address_cannot_be_written() {
    let mut daemon = Daemon::start(&[]).await;
    daemon.kill();
    // The name under which it is written first is taken by what no start can remove.
    let draft = daemon.file("address.new");
    std::fs::create_dir(&draft).unwrap();
    daemon.start_again().await;
    assert_eq!(daemon.rest().set_custom_status("alice", "IDLE").await.status, 200);
    wait_until("the log says so", async || {
        daemon
            .log()
            .contains("can't find the daemon by its address")
            .then_some(())
    })
    .await;
    std::fs::remove_dir(&draft).unwrap();
    let address = wait_until("the address is written", async || {
        std::fs::read_to_string(daemon.file("address")).ok()
    });
    assert!(address.await.contains(&daemon.address().to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database_stops_only_writes() {
    let daemon = Daemon::start(&[]).await;
    let _alice = with_users(&daemon).await;
    for lock in ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"] {
        let other = Connection::open(daemon.file("presence.db")).unwrap();
        other.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        other.execute_batch(lock).unwrap();
        assert_reads_only(&daemon).await;
        other.execute_batch("ROLLBACK").unwrap();
        drop(other);
        assert_writes_again(&daemon.rest()).await;
        wait_until("as before", async || {
            (daemon.rest().set_custom_status("alice", "DO_NOT_DISTURB").await.status == 200).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connect_during_a_write_failure_shows_the_custom_status() {
    let daemon = Daemon::start(&[]).await;
    daemon.rest().set_custom_status("alice", "IDLE").await.ok::<Record>();
    daemon.process().limit_file_size(1);
    let mut bob = daemon.socket("bob").await;
    bob.watch(&["alice"]).await;
    let alice = daemon.socket("alice").await;
    let own = alice.user.as_ref().unwrap();
    assert_eq!(
        (own.status, own.custom_status),
        (Status::Idle, Some(CustomStatus::Idle))
    );
    bob.wait_for_status("alice", Status::Idle).await;
    daemon.process().unlimit_file_size();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_or_closed_log_pipe_stalls_no_request() {
    for log in [LogTarget::NeverRead, LogTarget::Closed] {
        let mut daemon = Setup::new(&["--log-level", "trace"]).logging_to(log).start().await;
        let rest = daemon.rest();
        // Far more than the capacity of a pipe.
        for round in 0..60 {
            for index in 0..10 {
                rest.set_custom_status(&format!("user-{round}-{index}"), "IDLE")
                    .await
                    .ok::<Record>();
            }
            let mut socket = daemon.socket("alice").await;
            assert!(
                matches!(socket.ask(json!({"type": "ping"})).await, ServerMessage::Pong { .. }),
                "{log:?}"
            );
        }
        assert_eq!(daemon.terminate().await.code(), Some(0), "{log:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn presencectl_health_tells_a_daemon_that_is_alive_from_one_that_is_ready() {
    let mut daemon = Daemon::start(&[]).await;
    for (arguments, text) in [(&["health"][..], "alive\n"), (&["health", "--ready"], "ready\n")] {
        let output = presencectl::run(&daemon, arguments).await;
        assert_eq!((output.code, &*output.out), (0, text), "{output:?}");
    }
    let lock = daemon.lock_database().await;
    let rest = daemon.rest();
    rest.set_custom_status("alice", "IDLE")
        .await
        .rejected(503, "store_unavailable");
    let failed = presencectl::run(&daemon, &["health", "--ready", "-o", "json"]).await;
    assert_eq!(failed.code, 1, "{failed:?}");
    assert_eq!(failed.json()["ok"], false);
    assert!(failed.json()["problems"][0].is_string(), "{failed:?}");
    assert_eq!(presencectl::run(&daemon, &["health"]).await.code, 0);
    drop(lock);
    // No secret is needed.
    std::fs::remove_file(daemon.file("secret")).unwrap();
    assert_eq!(presencectl::run(&daemon, &["health"]).await.code, 0);
    daemon.terminate().await;
    assert_eq!(presencectl::run(&daemon, &["health"]).await.code, 3);
}
