//! What happens when, to the tick, on engines whose time the test owns.

use std::time::Duration;

use presence::wire::record::Viewer;
use presence::{Actor, CustomStatus, EndReason, ReportInput, Source, Status};

use super::fixture::{engine_options, user};
use super::stepped_engine::{BEGIN, Stepped, TICK};
use crate::connection::close_reason::CloseReason;
use crate::connection::frame::Opcode;
use crate::engine::deadlines::DeadlineOf;
use crate::revocation::Revocation;

const GRACE: Duration = Duration::from_secs(5);
const IDLE_AFTER: Duration = Duration::from_secs(300);

#[tokio::test]
async fn a_revoked_credential_ends_its_connection_in_a_ping_interval() {
    let stepped = Stepped::new().await;
    let (ann, bob) = (stepped.connect("ann").await, stepped.connect("bob").await);
    let (gone, kept) = (Revocation::default(), Revocation::default());
    ann.conn.depend_on(Some(gone.clone()), None);
    bob.conn.depend_on(Some(kept), None);
    let cid = stepped.connect("cid").await;
    cid.conn.depend_on(Some(gone.clone()), None);
    cid.conn.close_with(CloseReason::Forgotten);
    assert_eq!(stepped.engine.revoked_connections(), 0);
    gone.revoke();
    assert_eq!(stepped.engine.revoked_connections(), 1, "the other ends already");
    // Also one that is heard all the time, and is never pinged.
    for _ in 0..engine_options(Duration::ZERO).pings.interval.as_secs() {
        ann.conn.note_received(stepped.clock.mono(), None);
        bob.conn.note_received(stepped.clock.mono(), None);
        stepped.advance(Duration::from_secs(1));
    }
    stepped.advance(TICK);
    assert_eq!(ann.conn.close_reason(), Some(CloseReason::CredentialRevoked));
    assert_eq!(stepped.engine.revoked_connections(), 0, "it has ended");
    assert_eq!(bob.conn.close_reason(), None);
}

#[tokio::test]
async fn a_grace_period_ends_on_its_tick_and_not_before() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    stepped.disconnect(&ann, EndReason::Lost);
    stepped.advance(GRACE - TICK);
    assert_eq!(stepped.status("ann").await, Status::Online);
    stepped.advance(2 * TICK);
    assert_eq!(stepped.status("ann").await, Status::Offline);
}

#[tokio::test]
async fn a_user_is_idle_after_the_time_without_activity() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    stepped.advance(Duration::from_secs(1));
    stepped.engine.activity(&ann.conn, Duration::ZERO).expect("a session");
    stepped.advance(IDLE_AFTER - TICK);
    assert_eq!(stepped.status("ann").await, Status::Online);
    stepped.advance(2 * TICK);
    assert_eq!(stepped.status("ann").await, Status::Idle);
}

#[tokio::test]
async fn a_wall_clock_step_ends_no_grace_and_idles_no_user() {
    let stepped = Stepped::new().await;
    let (ann, bob) = (stepped.connect("ann").await, stepped.connect("bob").await);
    stepped.engine.activity(&bob.conn, Duration::ZERO).expect("a session");
    stepped.disconnect(&ann, EndReason::Lost);
    for wall in [BEGIN.after(Duration::from_secs(86_400)), BEGIN] {
        stepped.clock.set_wall(wall);
        stepped.advance(TICK);
        assert_eq!(stepped.status("ann").await, Status::Online);
        assert_eq!(stepped.status("bob").await, Status::Online);
    }
}

#[tokio::test]
async fn a_stall_of_the_process_moves_every_deadline() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    stepped.disconnect(&ann, EndReason::Lost);
    stepped.clock.stall(Duration::from_secs(60));
    assert!(stepped.clock.beat().is_some(), "a stall");
    stepped.engine.turn_wheel();
    assert_eq!(stepped.status("ann").await, Status::Online);
    stepped.advance(GRACE);
    assert_eq!(stepped.status("ann").await, Status::Offline);
}

#[tokio::test]
async fn changes_between_two_deliveries_reach_a_watcher_as_one() {
    let stepped = Stepped::new().await;
    let (ann, watcher) = (stepped.connect("ann").await, stepped.connect("watcher").await);
    stepped.watch(&watcher, &["ann"]).await;
    stepped.engine.away(&ann.conn, None).expect("a session");
    stepped.engine.activity(&ann.conn, Duration::ZERO).expect("a session");
    stepped.engine.away(&ann.conn, None).expect("a session");
    stepped.deliver();
    assert_eq!(watcher.told(), [("ann".to_owned(), Some(Status::Idle))]);
    stepped.deliver();
    assert!(watcher.told().is_empty(), "nothing is told twice");
}

#[tokio::test]
async fn a_custom_status_set_while_offline_reaches_observers_alone() {
    let stepped = Stepped::new().await;
    let (watcher, observer) = (stepped.connect("watcher").await, stepped.observe());
    stepped.watch(&watcher, &["ann"]).await;
    stepped.engine.watch_all(&observer.conn, None, None).await;
    stepped.deliver();
    observer.messages();
    let (ann, custom, viewer) = (user("ann"), CustomStatus::DoNotDisturb, Viewer::Internal);
    let set = stepped.engine.set_custom_status(&ann, custom, Actor::User, viewer);
    set.await.expect("a record");
    stepped.deliver();
    assert!(watcher.told().is_empty());
    assert_eq!(observer.told(), [("ann".to_owned(), Some(Status::Offline))]);
}

#[tokio::test]
async fn a_silent_client_is_pinged_and_then_given_up() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    stepped.advance(Duration::from_secs(25) - TICK);
    assert!(ann.frames().iter().all(|frame| frame.0 != Opcode::Ping as u8));
    stepped.advance(2 * TICK);
    assert!(ann.frames().iter().any(|frame| frame.0 == Opcode::Ping as u8));
    stepped.advance(Duration::from_secs(10) - TICK);
    assert_eq!(ann.conn.close_reason(), None);
    stepped.advance(2 * TICK);
    assert_eq!(ann.conn.close_reason(), Some(CloseReason::PingTimeout));
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_given_up_and_delays_no_other() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    let slow = stepped.connect_with_room("slow", 64).await;
    let fast = stepped.connect("fast").await;
    for watcher in [&slow, &fast] {
        let watched = stepped.engine.watch(&watcher.conn, None, vec![user("ann")], None).await;
        watched.expect("a watch");
    }
    stepped.deliver();
    fast.messages();
    let mut told = 0;
    for step in 0..30 {
        stepped.advance(Duration::from_secs(1));
        fast.conn.note_received(stepped.clock.mono(), None);
        let changed = match step % 2 {
            0 => stepped.engine.away(&ann.conn, None),
            _ => stepped.engine.activity(&ann.conn, Duration::ZERO),
        };
        changed.expect("a session");
        stepped.deliver();
        told += fast.told().len();
    }
    assert_eq!(told, 30, "each change, at once");
    stepped.advance(TICK);
    assert_eq!(slow.conn.close_reason(), Some(CloseReason::TooSlow));
    assert_eq!(fast.conn.close_reason(), None);
}

#[tokio::test]
async fn a_slow_client_gets_the_latest_record_when_it_reads_again() {
    let stepped = Stepped::new().await;
    let (ann, slow) = (stepped.connect("ann").await, stepped.connect("slow").await);
    stepped.watch(&slow, &["ann"]).await;
    // Its buffer is full to the last byte: what follows waits in the outbox.
    let long = "x".repeat((1 << 20) - 8);
    slow.conn.send_text(&long);
    slow.conn.send_text("{}");
    stepped.engine.away(&ann.conn, None).expect("a session");
    stepped.engine.activity(&ann.conn, Duration::ZERO).expect("a session");
    stepped.deliver();
    assert!(slow.conn.blocked_since().is_some());
    slow.read_all();
    while slow.conn.blocked_since().is_some() {
        slow.conn.attend().await;
    }
    slow.read_all();
    stepped.deliver();
    assert_eq!(slow.told(), [("ann".to_owned(), Some(Status::Online))]);
}

#[tokio::test]
async fn after_a_crash_the_restart_grace_ends_on_its_tick() {
    let stepped = Stepped::new().await;
    let _ann = stepped.connect("ann").await;
    stepped.write().await;
    let stepped = stepped.crash(Duration::from_secs(100)).await;
    assert_eq!(stepped.status("ann").await, Status::Online);
    stepped.advance(Duration::from_secs(30) - TICK);
    assert_eq!(stepped.status("ann").await, Status::Online);
    stepped.advance(2 * TICK);
    assert_eq!(stepped.status("ann").await, Status::Offline);
}

#[tokio::test]
async fn a_report_outlives_a_step_of_the_wall_clock_and_ends_in_time() {
    let stepped = Stepped::new().await;
    let input = ReportInput {
        source: Source::default(),
        status: Status::Online,
        ttl: Some(Duration::from_secs(60)),
        update_last_active: false,
    };
    let reported = stepped.engine.report(&user("ann"), input).await;
    assert_eq!(reported.expect("a record").status, Status::Online);
    stepped.clock.set_wall(BEGIN.after(Duration::from_secs(86_400)));
    // Another durable write reads everything back.
    let (ann, custom, viewer) = (user("ann"), CustomStatus::Idle, Viewer::Internal);
    let set = stepped.engine.set_custom_status(&ann, custom, Actor::Operator, viewer);
    assert_eq!(set.await.expect("a record").status, Status::Idle);
    stepped.advance(Duration::from_secs(60) - TICK);
    assert_eq!(stepped.status("ann").await, Status::Idle);
    stepped.advance(2 * TICK);
    assert_eq!(stepped.status("ann").await, Status::Offline);
}

#[tokio::test]
async fn last_seen_is_written_within_a_minute_and_not_with_each_frame() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    stepped.write().await;
    let last_seen = async || stepped.stored("ann").await.expect("a row").last_seen;
    let first = last_seen().await;
    stepped.advance(Duration::from_secs(30));
    stepped.engine.heard(&ann.conn);
    stepped.write().await;
    assert_eq!(last_seen().await, first);
    stepped.advance(Duration::from_secs(30));
    stepped.engine.heard(&ann.conn);
    stepped.write().await;
    assert_eq!(last_seen().await, Some(BEGIN.after(Duration::from_secs(60))));
}

/// How many entries of the wheel are for users; takes them all.
fn armed_for_users(stepped: &Stepped) -> usize {
    let distant = stepped.clock.mono().after(Duration::from_secs(86_400));
    let armed = stepped.engine.deadlines.take_due(distant);
    let of_users = armed.iter().filter(|(_, whose)| matches!(whose, DeadlineOf::User(_)));
    of_users.count()
}

#[tokio::test]
async fn activity_that_delays_idleness_adds_no_deadline() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    for _ in 0..100 {
        stepped.advance(Duration::from_secs(1));
        stepped.engine.activity(&ann.conn, Duration::ZERO).expect("a session");
    }
    assert_eq!(armed_for_users(&stepped), 1);
}

#[tokio::test]
async fn a_stale_deadline_of_a_user_adds_no_other() {
    let stepped = Stepped::new().await;
    for (source, seconds) in [("long", 1000), ("short", 60)] {
        let input = ReportInput {
            source: source.parse().expect("a source"),
            status: Status::Online,
            ttl: Some(Duration::from_secs(seconds)),
            update_last_active: false,
        };
        stepped.engine.report(&user("ann"), input).await.expect("a record");
    }
    // The first was armed for ten minutes ahead, until the second came.
    for _ in 0..700 {
        stepped.advance(Duration::from_secs(1));
    }
    assert_eq!(armed_for_users(&stepped), 1);
}

#[tokio::test]
async fn engines_side_by_side_share_nothing() {
    let (first, second) = (Stepped::new().await, Stepped::new().await);
    let ann = first.connect("ann").await;
    let watcher = second.connect("watcher").await;
    second.watch(&watcher, &["ann"]).await;
    first.disconnect(&ann, EndReason::Closed);
    first.write().await;
    second.deliver();
    assert!(watcher.told().is_empty());
    assert_eq!(first.engine.stats().sessions.connections, 0);
    assert_eq!(second.engine.stats().sessions.connections, 1);
    assert!(!first.engine.is_in_memory(&user("ann")), "nothing needs it there");
    assert!(second.engine.is_in_memory(&user("ann")), "it is watched");
}

#[tokio::test]
async fn a_custom_status_counts_for_no_session_after_an_absence() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    let (id, custom) = (user("ann"), CustomStatus::Online);
    let set = stepped.engine.set_custom_status(&id, custom, Actor::User, Viewer::Own);
    set.await.expect("a record");
    stepped.disconnect(&ann, EndReason::Lost);
    // The grace period is over, and the timers are late.
    stepped.clock.advance(GRACE);
    let ann = stepped.connect("ann").await;
    stepped.engine.away(&ann.conn, None).expect("a session");
    assert_eq!(stepped.status("ann").await, Status::Idle);
}
