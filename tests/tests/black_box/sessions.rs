//! Sessions: several devices of a user, kick, forget, idleness.

use std::time::Duration;

use presence::wire::record::{Record, Update};
use presence::wire::server_message::ServerMessage;
use presence::{CustomStatus, Reason, Status};
use presence_tests::Daemon;
use presence_tests::clock::wall_now;
use presence_tests::websocket::{HandshakeError, Socket, shows};
use serde_json::json;

/// Changes the user `marker`: an update of it proves that no other update was pending.
async fn marker(daemon: &Daemon) -> Record {
    let rest = daemon.rest();
    let came = rest.report("marker", json!({"status": "ONLINE"})).await;
    // A report that ends on its way to the log is no event.
    daemon.logged(came.ok()).await;
    rest.report("marker", json!({"status": "OFFLINE"})).await.ok()
}

/// Connects a watcher of alice and the marker.
async fn watcher(daemon: &Daemon) -> Socket {
    let mut bob = daemon.session("bob").await;
    bob.watch(&["alice", "marker"]).await;
    bob
}

#[tokio::test(flavor = "multi_thread")]
async fn the_close_of_one_of_two_devices_is_no_event() {
    let daemon = Daemon::start(&["--grace", "0s"]).await;
    let (first, second, third) = (
        daemon.session("alice").await,
        daemon.session("alice").await,
        daemon.session("alice").await,
    );
    let mut bob = watcher(&daemon).await;
    first.close(Some(1000)).await;
    second.reset();
    presence_tests::wait_until("one session is left", async || {
        (daemon.rest().record("alice").await.sessions == Some(1)).then_some(())
    })
    .await;
    assert_eq!(bob.updates_before("marker", marker(&daemon)).await, []);
    third.close(Some(1000)).await;
    bob.wait_for_status("alice", Status::Offline).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_close_of_an_old_socket_changes_nothing() {
    let daemon = Daemon::start(&["--grace", "0s"]).await;
    for code in [Some(1000), Some(1001), None] {
        let old = daemon.session("alice").await;
        let mut bob = watcher(&daemon).await;
        // On another node the close of the old one could come before it.
        let new = daemon.session("alice").await;
        old.close(code).await;
        assert_eq!(bob.updates_before("marker", marker(&daemon)).await, [], "{code:?}");
        let explain = daemon.home_of("alice").await.explain("alice").await;
        assert_eq!(explain.status, Status::Online);
        assert_eq!(
            explain
                .sessions
                .iter()
                .map(|session| &session.session_id)
                .collect::<Vec<_>>(),
            [&new.session]
        );
        new.close(Some(1000)).await;
        bob.wait_for_status("alice", Status::Offline).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kick_closes_with_4003_and_shows_offline_at_once() {
    let daemon = Daemon::start(&["--grace", "20s"]).await;
    let rest = daemon.rest();
    let (mut phone, mut laptop) = (daemon.socket("alice").await, daemon.socket("alice").await);
    phone.be_active().await;
    rest.report("alice", json!({"status": "ONLINE"})).await;
    let lost = daemon.socket("alice").await;
    lost.reset();
    presence_tests::wait_until("the reset is noticed", async || rest.explain("alice").await.grace).await;
    let mut bob = watcher(&daemon).await;
    let active = rest.record("alice").await.last_active;

    assert_eq!(rest.kick("alice").await, 3, "two connections and a report");
    for device in [&mut phone, &mut laptop] {
        let (code, _, reconnect) = device.goodbye().await;
        assert_eq!((code, reconnect), (4003, None));
    }
    let told = bob.wait_for_status("alice", Status::Offline).await;
    assert_eq!(told.last_active, active, "the operator's doing is not the user's");
    assert_eq!(rest.explain("alice").await.grace, None);
    assert_eq!(rest.kick("alice").await, 0);
    assert_eq!(rest.kick("nobody ever seen").await, 0);
    let back = daemon.socket("alice").await;
    assert_eq!(back.user.as_ref().unwrap().status, Status::Online);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_user_is_removed_and_starts_anew() {
    let daemon = Daemon::start(&[]).await;
    let rest = daemon.rest();
    let mut alice = daemon.socket("alice").await;
    alice.set_custom_status("DO_NOT_DISTURB").await;
    let mut bob = watcher(&daemon).await;
    assert_eq!(rest.forget("alice").await, 1);
    let (code, _, reconnect) = alice.goodbye().await;
    assert_eq!((code, reconnect), (4010, None));
    let is_removed = |update: &Update| matches!(update, Update::Removed(removed) if removed.removed);
    let told = bob.updates_until("alice is removed", is_removed).await;
    let removed = told.iter().find(|update| is_removed(update)).unwrap().revision();
    assert!(told.iter().all(|update| update.revision() <= removed), "{told:?}");

    let record = rest.record("alice").await;
    assert_eq!(record.status, Status::Offline);
    assert!(record.revision >= removed, "{record:?}: clients drop what is older");
    assert_eq!((record.since, record.last_seen, record.last_active), (None, None, None));
    assert_eq!(rest.custom_status("alice").await, "ONLINE");
    drop(alice);
    assert_eq!(
        bob.updates_before("marker", marker(&daemon)).await,
        [],
        "nothing late brings it back"
    );

    let anew = daemon.session("alice").await;
    let own = anew.user.as_ref().unwrap();
    assert_eq!(
        (own.status, own.custom_status),
        (Status::Online, Some(CustomStatus::Online))
    );
    assert!(own.revision > removed);
    let is_back = |update: &Update| update.user_id().as_str() == "alice" && update.revision() >= own.revision;
    let told = bob.updates_until("alice is back", is_back).await;
    assert_eq!(told.last().unwrap().revision(), own.revision);
    assert!(
        told.iter().all(|update| shows(update, "alice", Status::Online)),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_user_stays_forgotten_over_a_restart() {
    let mut daemon = Daemon::start(&[]).await;
    let alice = daemon.socket("alice").await;
    daemon.rest().set_custom_status("alice", "IDLE").await;
    let known = daemon.rest().record("alice").await.revision;
    daemon.rest().forget("alice").await;
    drop(alice);
    daemon.crash_and_start_again().await;
    let record = daemon.rest().record("alice").await;
    assert_eq!((record.status, record.last_seen), (Status::Offline, None));
    assert!(record.revision > known, "{record:?}: clients drop what is older");
    assert_eq!(daemon.rest().custom_status("alice").await, "ONLINE");
    let anew = daemon.socket("alice").await;
    assert!(anew.user.as_ref().unwrap().revision > known);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_idle_when_all_reporting_sessions_are() {
    let daemon = Daemon::start(&[]).await;
    let (mut phone, mut laptop) = (daemon.socket("alice").await, daemon.socket("alice").await);
    let _abstaining = daemon.socket("alice").await;
    let mut bob = watcher(&daemon).await;
    phone.be_idle().await;
    assert_eq!(bob.wait_for_status("alice", Status::Idle).await.reason, None);
    assert_eq!(daemon.rest().record("alice").await.reason, Some(Reason::Inactive));
    laptop.be_active().await;
    bob.wait_for_status("alice", Status::Online).await;
    laptop.be_idle().await;
    bob.wait_for_status("alice", Status::Idle).await;
    let before = wall_now();
    phone.be_active().await;
    let told = bob.wait_for_status("alice", Status::Online).await;
    assert!(told.last_active.unwrap() >= daemon.earliest_of(before));
    phone.be_idle().await;
    let told = bob.wait_for_status("alice", Status::Idle).await;
    assert!(told.last_active.unwrap() <= told.last_seen.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_session_that_reported_activity_times_out_to_idle() {
    let daemon = Daemon::start(&["--ping-interval", "3s", "--ping-timeout", "2s", "--idle-after", "4s"]).await;
    let _abstaining = daemon.session("carol").await;
    let mut bob = daemon.session("bob").await;
    bob.watch(&["alice", "carol"]).await;
    let mut alice = daemon.socket("alice").await;
    alice.be_active().await;
    let explain = daemon.home_of("alice").await.explain("alice").await;
    assert_eq!(explain.next.len(), 1, "{explain:?}");
    assert!(explain.next[0].why.starts_with("IDLE"), "{explain:?}");
    let told = bob.updates_until("alice is idle", |update| {
        presence_tests::websocket::shows(update, "alice", Status::Idle)
    });
    let told = told.await;
    assert!(
        told.iter().all(|update| update.user_id().as_str() == "alice"),
        "{told:?}"
    );
    let idle = daemon.rest().record("alice").await;
    let since = idle.since.unwrap();
    let due = explain.sessions[0].last_active.unwrap().after(Duration::from_secs(4));
    let in_time = daemon.earliest_of(due)..due.after(Duration::from_secs(2));
    assert!(in_time.contains(&since), "{since} {due}");
    assert!(
        since >= daemon.earliest_of(explain.next[0].at),
        "not before the time that was told"
    );
    assert_eq!(daemon.rest().record("carol").await.status, Status::Online);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconnect_tells_when_the_user_was_active_and_is_no_event() {
    let daemon = Daemon::start(&["--idle-after", "300s"]).await;
    let mut bob = watcher(&daemon).await;
    let mut alice = daemon.socket("alice").await;
    bob.wait_for_status("alice", Status::Online).await;
    let ago = Duration::from_secs(200);
    let earliest = daemon.earliest_of(wall_now()).before(ago);
    let told = alice.ask(json!({"type": "activity", "agoMs": 200_000})).await;
    let last_active = |told: ServerMessage| match told {
        ServerMessage::Ok { user: Some(user), .. } => user.last_active.unwrap(),
        other => panic!("{other:?}"),
    };
    let active = last_active(told);
    assert!(
        (earliest..=wall_now().before(ago).after(Duration::from_secs(1))).contains(&active),
        "{active}"
    );
    alice.close(Some(3000)).await;
    let mut alice = daemon.socket("alice").await;
    let told = alice.ask(json!({"type": "activity", "agoMs": 250_000})).await;
    assert_eq!(last_active(told), active, "never back");
    assert_eq!(daemon.rest().record("alice").await.last_active, Some(active));
    assert_eq!(bob.updates_before("marker", marker(&daemon)).await, []);
    alice.send(&json!({"type": "activity", "idle": true, "agoMs": 400_000}));
    let told = bob.wait_for_status("alice", Status::Idle).await;
    assert_eq!(told.last_active, Some(active));
    let mut carol = daemon.socket("carol").await;
    let told = carol.ask(json!({"type": "activity", "agoMs": 400_000})).await;
    let is_idle = |told| matches!(told, ServerMessage::Ok { user: Some(user), .. } if user.status == Status::Idle);
    assert!(is_idle(told));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_limited_to_32_connections() {
    let daemon = Daemon::start(&[]).await;
    let mut devices = Vec::new();
    for _ in 0..32 {
        devices.push(daemon.socket("alice").await);
    }
    let mut bob = watcher(&daemon).await;
    let one_more = || {
        Socket::connect(
            daemon.address(),
            presence_tests::websocket::HandshakeHeaders::user("alice"),
        )
    };
    assert_eq!(one_more().await.unwrap_err(), HandshakeError::Closed(4029));
    assert_eq!(daemon.rest().record("alice").await.sessions, Some(32));
    assert_eq!(bob.updates_before("marker", marker(&daemon)).await, []);
    devices.pop().unwrap().close(Some(1000)).await;
    presence_tests::wait_until("there is room again", async || one_more().await.ok()).await;
}
