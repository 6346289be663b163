//! Custom statuses: their effect on status, times and events, their author, their rate limit.

use std::time::Duration;

use presence::wire::record::Record;
use presence::wire::server_message::ServerMessage;
use presence::{Actor, CustomStatus, Reason, Status};
use presence_tests::clock::Stopwatch;
use presence_tests::{Daemon, Socket, wait_until};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn setting_the_same_custom_status_again_is_no_event() {
    let daemon = Daemon::start(&[]).await;
    let rest = daemon.rest();
    let mut alice = daemon.socket("alice").await;
    let first = daemon.logged(alice.set_custom_status("IDLE").await).await;
    let mut bob = daemon.session("bob").await;
    bob.watch(&["alice", "marker"]).await;
    let set_at = rest.explain("alice").await.choice.set_at.unwrap();
    daemon.later_than(Some(set_at)).await;

    let again: Record = rest.set_custom_status("alice", "IDLE").await.ok();
    let again = daemon.logged(again).await;
    assert_eq!(again.revision, first.revision);
    assert!(
        rest.explain("alice").await.choice.set_at.unwrap() > set_at,
        "the time of the custom status moves"
    );
    let marker = async { rest.report("marker", json!({"status": "ONLINE"})).await.ok::<Record>() };
    assert_eq!(bob.updates_before("marker", marker).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_change_reaches_only_the_user_and_operators() {
    let daemon = Daemon::start(&[]).await;
    let rest = daemon.rest();
    let mut alice = daemon.socket("alice").await;
    alice.be_idle().await;
    let mut bob = daemon.session("bob").await;
    bob.watch(&["alice", "marker"]).await;
    let mut operator = daemon.observer().await;
    operator.watch(&["alice"]).await;
    // The custom status IDLE shows what the idle session already shows.
    let saved: Record = rest.set_custom_status_as_operator("alice", "IDLE").await.ok();
    let saved = daemon.logged(saved).await;
    assert_eq!(
        (saved.status, saved.custom_status),
        (Status::Idle, Some(CustomStatus::Idle))
    );
    let is_it = |update: &presence::wire::record::Update| update.revision() == saved.revision;
    alice.updates_until("the own custom status", is_it).await;
    operator.updates_until("the custom status, for operators", is_it).await;
    let marker = async { rest.report("marker", json!({"status": "ONLINE"})).await.ok::<Record>() };
    assert_eq!(bob.updates_before("marker", marker).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_status_by_an_operator_moves_no_time() {
    let daemon = Daemon::start(&[]).await;
    let rest = daemon.rest();
    let mut alice = daemon.socket("alice").await;
    alice.be_active().await;
    let before = rest.record("alice").await;
    let saved: Record = rest.set_custom_status_as_operator("alice", "DO_NOT_DISTURB").await.ok();
    assert_eq!(
        (saved.status, saved.reason),
        (Status::DoNotDisturb, Some(Reason::Custom))
    );
    assert_eq!(
        (saved.last_active, saved.last_seen),
        (before.last_active, before.last_seen)
    );
    alice.wait_for_status("alice", Status::DoNotDisturb).await;
    let custom = rest.explain("alice").await.choice;
    assert_eq!(
        (custom.custom_status, custom.set_by),
        (CustomStatus::DoNotDisturb, Some(Actor::Operator))
    );
    alice.set_custom_status("ONLINE").await;
    assert_eq!(rest.explain("alice").await.choice.set_by, Some(Actor::User));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_status_is_activity_of_a_connection_that_reports_it() {
    let daemon = Daemon::start(&[]).await;
    let rest = daemon.rest();
    let mut alice = daemon.socket("alice").await;
    alice.be_idle().await;
    let idle = rest.record("alice").await;
    assert_eq!(idle.status, Status::Idle);
    let earliest = daemon.later_than(idle.last_active).await;
    let saved = alice.set_custom_status("ONLINE").await;
    assert_eq!(
        saved.status,
        Status::Online,
        "a user who sets a custom status is present"
    );
    assert!(saved.last_active.unwrap() >= earliest);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_status_set_while_offline_moves_no_time() {
    let daemon = Daemon::start(&[]).await;
    let rest = daemon.rest();
    daemon.socket("alice").await.close(Some(1000)).await;
    // Her node may tell the others a moment after her client has seen the end.
    let before = wait_until("she is known to have left", async || {
        let record = rest.record("alice").await;
        (record.status == Status::Offline && record.since.is_some() && !record.stale).then_some(record)
    })
    .await;
    let saved: Record = rest.set_custom_status("alice", "IDLE").await.ok();
    let saved = daemon.logged(saved).await;
    assert!(saved.revision > before.revision);
    assert_eq!(
        (saved.status, saved.since, saved.last_seen, saved.last_active),
        (Status::Offline, before.since, before.last_seen, before.last_active)
    );
}

/// The first custom status of twenty still counts then.
const COUNTED_FOR: Duration = Duration::from_secs(8);

/// Sets the custom status of this user, who is connected, twenty times, and is refused then. None if the machine took so long that the
/// first ones may count no more.
async fn refused_after_20(daemon: &Daemon, user: &str) -> Option<Socket> {
    let rest = daemon.rest();
    let mut socket = daemon.socket(user).await;
    let setting = Stopwatch::start();
    for index in 0..10 {
        let custom = ["IDLE", "ONLINE"][index % 2];
        assert_eq!(rest.set_custom_status(user, custom).await.status, 200);
        socket.set_custom_status(custom).await;
    }
    let before = daemon.logged(rest.record(user).await).await;
    let answer = rest.set_custom_status(user, "DO_NOT_DISTURB").await;
    let refused = socket
        .ask(json!({"type": "setStatus", "customStatus": "DO_NOT_DISTURB"}))
        .await;
    if setting.elapsed() >= COUNTED_FOR {
        return None;
    }
    answer.rejected(429, "rate_limited");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=10).contains(&wait), "{wait}");
    let ServerMessage::Error {
        code, retry_after_ms, ..
    } = refused
    else {
        panic!("{refused:?}")
    };
    assert_eq!(code, presence::wire::error_code::Code::RateLimited);
    assert!((1..=10_000).contains(&retry_after_ms.unwrap()), "{retry_after_ms:?}");
    let after = rest.record(user).await;
    assert_eq!(
        (after.status, after.revision),
        (before.status, before.revision),
        "nothing changed"
    );
    Some(socket)
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_statuses_are_limited_to_20_in_10_seconds() {
    let daemon = Daemon::start(&["--grace", "1s", "--restart-grace", "1s"]).await;
    let rest = daemon.rest();
    for attempt in 0..5 {
        let user = format!("alice-{attempt}");
        let Some(_connection) = refused_after_20(&daemon, &user).await else {
            continue;
        };
        assert_eq!(
            rest.set_custom_status("bob", "IDLE").await.status,
            200,
            "others are not held up"
        );
        wait_until("the time that was told", async || {
            (rest.set_custom_status(&user, "DO_NOT_DISTURB").await.status == 200).then_some(())
        })
        .await;
        return;
    }
    panic!("the machine is too slow");
}
