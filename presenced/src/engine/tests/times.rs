//! Last active is when the user last did something, last seen when it was last heard: in memory, and on disk.

use std::sync::Arc;
use std::time::Duration;

use presence::wire::record::{Record, Viewer};
use presence::{Actor, CustomStatus, EndReason, Reading, ReportInput, Source, Status, Wall};

use super::client::Client;
use super::fixture::{Fixture, user};
use super::stepped_engine::{BEGIN, Stepped};
use crate::connection::close_reason::CloseReason;
use crate::engine::Engine;

async fn record(fixture: &Fixture, name: &str) -> Record {
    let record = fixture.engine.record(&user(name), Viewer::Internal).await;
    record.expect("a record")
}

fn times(record: &Record) -> (Option<Wall>, Option<Wall>) {
    (record.last_active, record.last_seen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_shows_its_last_frame_and_message() {
    let fixture = Fixture::new().await;
    let ann = fixture.connect("ann").await;
    let came = record(&fixture, "ann").await;
    fixture.a_moment().await;
    fixture.engine.message(&ann.conn);
    let message = fixture.engine.clock.wall();
    fixture.a_moment().await;
    ann.heard(&fixture);
    let heard = record(&fixture, "ann").await;
    assert!(heard.last_seen > came.last_seen, "any frame is heard");
    assert_eq!(heard.last_active, came.last_active, "and is no activity");
    fixture.a_moment().await;
    ann.end(&fixture, EndReason::Lost);
    let lost = record(&fixture, "ann").await;
    assert_eq!(lost.last_seen, heard.last_seen, "not when the loss was noticed");
    let active = lost
        .last_active
        .expect("it never reported activity: its last message counts");
    assert!(
        active > came.last_seen.expect("a time") && active <= message,
        "a pong is no message"
    );
    fixture
        .until("the grace ends", |engine| engine.stats().users.total() == 0)
        .await;
    assert_eq!(times(&record(&fixture, "ann").await), times(&lost));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_by_the_server_moves_no_last_active() {
    let fixture = Fixture::new().await;
    let ann = fixture.connect("ann").await;
    fixture.engine.activity(&ann.conn, Duration::ZERO).expect("a session");
    let active = record(&fixture, "ann").await.last_active;
    assert!(active.is_some());
    fixture.a_moment().await;
    ann.heard(&fixture);
    ann.end(&fixture, EndReason::Dropped);
    assert_eq!(record(&fixture, "ann").await.last_active, active);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operators_custom_status_moves_no_time() {
    let fixture = Fixture::new().await;
    let _ann = fixture.connect("ann").await;
    fixture.set_status("ann", CustomStatus::Idle).await;
    let before = record(&fixture, "ann").await;
    assert!(before.last_active.is_some(), "setting one is activity");
    fixture.a_moment().await;
    let set = fixture
        .engine
        .set_custom_status(
            &user("ann"),
            CustomStatus::DoNotDisturb,
            Actor::Operator,
            Viewer::Internal,
        )
        .await
        .expect("a custom status");
    assert_eq!(set.status, Status::DoNotDisturb);
    assert_eq!(times(&set), times(&before));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kick_moves_no_time() {
    let fixture = Fixture::new().await;
    let _ann = fixture.connect("ann").await;
    let report = ReportInput {
        source: Source::default(),
        status: Status::Online,
        ttl: None,
        update_last_active: true,
    };
    fixture.engine.report(&user("ann"), report).await.expect("a report");
    let before = record(&fixture, "ann").await;
    fixture.a_moment().await;
    assert_eq!(fixture.engine.kick(&user("ann")).await, Ok(2));
    let kicked = record(&fixture, "ann").await;
    assert_eq!((kicked.status, times(&kicked)), (Status::Offline, times(&before)));
    assert!(kicked.since > kicked.last_seen, "the status changed all the same");
    fixture.written().await;
    let stored = fixture.stored("ann").await.expect("a row");
    assert_eq!((stored.since, stored.last_seen), (kicked.since, kicked.last_seen));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_seen_of_a_present_user_is_written_once_a_minute() {
    let fixture = Fixture::new().await;
    let ann = fixture.connect("ann").await;
    fixture.written().await;
    let due_in = |fixture: &Fixture| {
        let mut entry = fixture.engine.users.find(&user("ann")).expect("ann");
        let now = fixture.engine.clock.mono();
        let wait = entry.disk.times_due().since(now);
        entry.disk.set_times_due(now);
        wait
    };
    let usual = Duration::from_secs(30)..Duration::from_secs(60);
    assert!(usual.contains(&due_in(&fixture)), "a crash loses a minute at most");
    fixture.a_moment().await;
    ann.heard(&fixture);
    let seen = record(&fixture, "ann").await.last_seen;
    fixture.written().await;
    let stored = fixture.stored("ann").await.expect("a row");
    assert_eq!(stored.last_seen, seen);
    assert!(usual.contains(&due_in(&fixture)), "and again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn times_without_an_event_are_written_too() {
    let fixture = Fixture::new().await;
    let (_stays, leaves) = (fixture.connect("ann").await, fixture.connect("ann").await);
    fixture.written().await;
    fixture.a_moment().await;
    // She is ONLINE already, so nobody is told of anything.
    fixture.set_status("ann", CustomStatus::Online).await;
    let after_set = record(&fixture, "ann").await;
    fixture.written().await;
    let stored = fixture.stored("ann").await.expect("a row");
    assert_eq!((stored.last_active, stored.last_seen), times(&after_set));
    fixture.a_moment().await;
    leaves.end(&fixture, EndReason::Closed);
    let left = record(&fixture, "ann").await;
    assert!(left.last_active > after_set.last_active);
    assert_eq!((left.status, left.revision), (Status::Online, after_set.revision));
    fixture.written().await;
    let stored = fixture.stored("ann").await.expect("a row");
    assert_eq!((stored.last_active, stored.last_seen), times(&left));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_with_unread_bytes_is_not_timed_out() {
    let fixture = Fixture::new().await;
    let mut ann = fixture.connect("ann").await;
    let start = fixture.engine.clock.read();
    let judge = |ann: &Client, seconds| {
        let mono = start.mono.after(Duration::from_secs(seconds));
        ann.conn.on_deadline(Reading { mono, ..start })
    };
    assert!(judge(&ann, 30).is_some(), "a ping leaves");
    assert_eq!(ann.conn.close_reason(), None);
    ann.say().await;
    let again = judge(&ann, 41).expect("the daemon was too busy to read, and looks again");
    assert!(again <= start.mono.after(Duration::from_secs(42)), "soon");
    assert_eq!(ann.conn.close_reason(), None);
    ann.read_what_was_said();
    assert!(judge(&ann, 42).is_none());
    assert_eq!(ann.conn.close_reason(), Some(CloseReason::PingTimeout));
}

/// Ann asks for something behind a change that waits for the disk, and is heard after that. When she was last active.
async fn last_active_after<Asked: Future<Output = ()> + Send + 'static>(
    ask: impl FnOnce(Arc<Engine>) -> Asked,
) -> Option<Wall> {
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    let store = stepped.store.clone();
    let held = store.hold_commits();
    let first = tokio::spawn({
        let engine = Arc::clone(&stepped.engine);
        async move { engine.report(&user("ann"), report(false)).await }
    });
    tokio::task::yield_now().await;
    let asked = tokio::spawn(ask(Arc::clone(&stepped.engine)));
    tokio::task::yield_now().await;
    stepped.advance(Duration::from_secs(3));
    stepped.engine.heard(&ann.conn);
    drop(held);
    first.await.expect("no panic").expect("a record");
    asked.await.expect("no panic");
    let record = stepped.record("ann").await;
    assert_eq!(record.last_seen, Some(BEGIN.after(Duration::from_secs(3))));
    record.last_active
}

fn report(update_last_active: bool) -> ReportInput {
    ReportInput {
        source: Source::default(),
        status: Status::Online,
        ttl: None,
        update_last_active,
    }
}

#[tokio::test]
async fn a_user_was_active_when_a_change_was_asked_for_though_it_waited() {
    let by_status = last_active_after(|engine| async move {
        let ann = user("ann");
        let set = engine.set_custom_status(&ann, CustomStatus::Idle, Actor::User, Viewer::Own);
        set.await.expect("a record");
    });
    assert_eq!(by_status.await, Some(BEGIN));
    let by_report = last_active_after(|engine| async move {
        let reported = engine.report(&user("ann"), report(true)).await;
        reported.expect("a record");
    });
    assert_eq!(by_report.await, Some(BEGIN));
}
