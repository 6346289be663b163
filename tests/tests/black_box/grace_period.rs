//! The grace period: lost sessions still count, and a reconnect within it is no event.

use presence::wire::record::Update;
use presence::{Reason, Status};
use presence_tests::clock::wall_now;
use presence_tests::{Daemon, RawClient, Socket, wait_until};

/// Long enough for a reconnect on a busy machine, short enough for a test.
const GRACE: [&str; 2] = ["--grace", "4s"];

/// Returns the updates of alice until the grace period of `control`, lost now, has ended: alice's earlier grace period
/// has ended by then too.
async fn updates_of_alice_until_grace_ends(daemon: &Daemon, bob: &mut Socket) -> Vec<Update> {
    daemon.socket("control").await.reset();
    let gone = |update: &Update| presence_tests::websocket::shows(update, "control", Status::Offline);
    let mut told = bob.updates_until("the control's grace ends", gone).await;
    told.retain(|update| update.user_id().as_str() == "alice");
    told
}

async fn watcher(daemon: &Daemon) -> Socket {
    let mut bob = daemon.socket("bob").await;
    bob.watch(&["alice", "control"]).await;
    bob
}

async fn wait_for_grace(daemon: &Daemon) {
    wait_until("the loss is noticed", async || {
        daemon.rest().explain("alice").await.grace
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_reload_is_no_event() {
    let daemon = Daemon::start(&GRACE).await;
    let old = daemon.session("alice").await;
    let mut bob = watcher(&daemon).await;
    old.close(Some(1001)).await;
    assert_eq!(daemon.rest().record("alice").await.status, Status::Online);
    let new = daemon.socket("alice").await;
    assert_eq!(new.user.as_ref().unwrap().status, Status::Online);
    assert_eq!(updates_of_alice_until_grace_ends(&daemon, &mut bob).await, []);
    assert_eq!(daemon.rest().record("alice").await.sessions, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_and_reconnect_is_no_event() {
    let daemon = Daemon::start(&GRACE).await;
    let old = daemon.session("alice").await;
    let mut bob = watcher(&daemon).await;
    old.reset();
    wait_for_grace(&daemon).await;
    let _new = daemon.socket("alice").await;
    assert_eq!(updates_of_alice_until_grace_ends(&daemon, &mut bob).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_reconnects_in_a_row_are_no_event() {
    let daemon = Daemon::start(&GRACE).await;
    let mut alice = daemon.session("alice").await;
    let mut bob = watcher(&daemon).await;
    for round in 0..10 {
        match round % 3 {
            0 => alice.reset(),
            1 => drop(alice),
            _ => drop(alice.close(Some(1001)).await),
        }
        alice = daemon.socket("alice").await;
    }
    assert_eq!(updates_of_alice_until_grace_ends(&daemon, &mut bob).await, []);
    wait_until("only the last is left", async || {
        (daemon.rest().record("alice").await.sessions == Some(1)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_user_is_offline_after_grace_with_the_times_of_the_loss() {
    let daemon = Daemon::start(&["--grace", "4s"]).await;
    let mut alice = daemon.socket("alice").await;
    let mut bob = watcher(&daemon).await;
    let active_from = wall_now();
    alice.be_active().await;
    let active_to = wall_now();
    assert!(matches!(
        alice.ask(serde_json::json!({"type": "ping"})).await,
        presence::wire::server_message::ServerMessage::Pong { .. }
    ));
    let heard_to = wall_now();
    alice.reset();
    wait_for_grace(&daemon).await;
    let explain = daemon.rest().explain("alice").await;
    let grace = explain.grace.unwrap();
    assert_eq!((explain.status, explain.sessions.len()), (Status::Online, 0));
    assert_eq!(explain.next.last().map(|next| next.at), Some(grace.until));
    assert!(explain.next.last().unwrap().why.starts_with("OFFLINE"));
    assert_eq!(
        daemon.rest().record("alice").await.sessions,
        Some(0),
        "grace is no session"
    );

    let told = bob.wait_for_status("alice", Status::Offline).await;
    let (seen, active) = (told.last_seen.unwrap(), told.last_active.unwrap());
    assert!(
        daemon.earliest_of(active_from) <= active && active <= active_to,
        "{active_from} {active} {active_to}"
    );
    assert!(
        daemon.earliest_of(active_from) <= seen && seen <= heard_to,
        "{seen} {heard_to}: not the time of detection"
    );
    assert!(
        told.since.unwrap() >= daemon.earliest_of(grace.until),
        "{told:?} {grace:?}"
    );
    assert_eq!(daemon.rest().record("alice").await.reason, Some(Reason::NoSession));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_close_of_another_device_does_not_end_grace() {
    let daemon = Daemon::start(&GRACE).await;
    let (phone, laptop) = (daemon.socket("alice").await, daemon.socket("alice").await);
    let mut bob = watcher(&daemon).await;
    phone.reset();
    wait_for_grace(&daemon).await;
    let until = daemon.rest().explain("alice").await.grace.unwrap().until;
    laptop.close(Some(1000)).await;
    let record = presence_tests::wait_until("the laptop is known to have left", async || {
        let record = daemon.rest().record("alice").await;
        (record.sessions == Some(0)).then_some(record)
    })
    .await;
    assert_eq!(record.status, Status::Online);
    let told = bob.wait_for_status("alice", Status::Offline).await;
    assert!(told.since.unwrap() >= daemon.earliest_of(until));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_lost_while_idle_comes_back_idle() {
    let daemon = Daemon::start(&GRACE).await;
    let mut alice = daemon.session("alice").await;
    let mut bob = watcher(&daemon).await;
    alice.be_idle().await;
    bob.wait_for_status("alice", Status::Idle).await;
    alice.reset();
    wait_for_grace(&daemon).await;
    assert!(daemon.rest().explain("alice").await.grace.unwrap().idle);
    let mut alice = daemon.socket("alice").await;
    assert_eq!(alice.user.as_ref().unwrap().status, Status::Idle);
    // As clients do: what was inherited holds for the length of a grace period at most.
    alice.be_idle().await;
    assert_eq!(updates_of_alice_until_grace_ends(&daemon, &mut bob).await, []);
    alice.be_active().await;
    bob.wait_for_status("alice", Status::Online).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_grace_period_a_loss_is_offline_at_once() {
    let daemon = Daemon::start(&["--grace", "0s"]).await;
    let mut bob = watcher(&daemon).await;
    let alice = daemon.socket("alice").await;
    bob.wait_for_status("alice", Status::Online).await;
    alice.reset();
    bob.wait_for_status("alice", Status::Offline).await;
    let page = daemon.socket("alice").await;
    bob.wait_for_status("alice", Status::Online).await;
    page.close(Some(1001)).await;
    bob.wait_for_status("alice", Status::Offline).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_frame_that_starts_grace_moves_last_active() {
    let daemon = Daemon::start(&["--grace", "1s"]).await;
    let mut bob = watcher(&daemon).await;
    let mut alice = daemon.socket("alice").await;
    alice.be_active().await;
    let before = wall_now();
    alice.close(Some(1001)).await;
    let after = wall_now();
    let told = bob.wait_for_status("alice", Status::Offline).await;
    assert_eq!(told.last_seen, told.last_active);
    assert!(daemon.earliest_of(before) <= told.last_seen.unwrap() && told.last_seen.unwrap() <= after);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_handshake_creates_no_session() {
    let daemon = Daemon::start(&GRACE).await;
    let mut bob = watcher(&daemon).await;
    for headers in [
        [("x-user-id", "alice"), ("x-secret-token", "wrong")],
        [("x-user-id", "alice"), ("origin", "https://elsewhere.example")],
        [("x-user-id", "alice"), ("sec-websocket-protocol", "chat.v7")],
    ] {
        let response = RawClient::connect(daemon.address())
            .await
            .upgrade("/ws", &headers)
            .await;
        assert!((400..500).contains(&response.status), "{headers:?} {}", response.head);
    }
    let record = daemon.rest().record("alice").await;
    assert_eq!(
        (record.status, record.revision.get(), record.last_seen),
        (Status::Offline, 0, None)
    );
    assert_eq!(updates_of_alice_until_grace_ends(&daemon, &mut bob).await, []);
}
