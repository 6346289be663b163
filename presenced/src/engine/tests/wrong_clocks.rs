//! Wall clocks that step, stand still or start wrong, to the tick, on engines whose time the test owns.

use std::time::Duration;

use presence::wire::record::{Record, Viewer};
use presence::wire::server_message::ServerMessage;
use presence::{Actor, CustomStatus, EndReason, ReportInput, Source, Status, Wall};

use super::fixture::user;
use super::stepped_engine::{BEGIN, Stepped, SteppedClient, TICK};
use crate::engine::list::ListRequest;

pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// Earlier than the engine's first time by this much.
pub(super) fn before_begin(by: Duration) -> Wall {
    Wall::from_millis(BEGIN.as_millis() - i64::try_from(by.as_millis()).expect("a test's time"))
}

pub(super) fn report(ttl: Duration) -> ReportInput {
    ReportInput {
        source: Source::default(),
        status: Status::Online,
        ttl: Some(ttl),
        update_last_active: true,
    }
}

#[tokio::test]
async fn a_report_holds_for_its_ttl_at_most_after_any_start() {
    for early in [HOUR, 24 * HOUR, 365 * 24 * HOUR] {
        let stepped = Stepped::new().await;
        let ttl = Duration::from_secs(5);
        stepped
            .engine
            .report(&user("ann"), report(ttl))
            .await
            .expect("a record");
        let stepped = stepped.crash_at(before_begin(early)).await;
        stepped.clock.set_wall(BEGIN.after(ttl));
        assert_eq!(stepped.status("ann").await, Status::Online);
        stepped.advance(ttl - TICK);
        assert_eq!(stepped.status("ann").await, Status::Online, "{early:?}");
        stepped.advance(2 * TICK);
        assert_eq!(stepped.status("ann").await, Status::Offline, "{early:?}");
    }
}

#[tokio::test]
async fn a_report_refreshed_before_a_start_holds_for_its_last_ttl() {
    let stepped = Stepped::new().await;
    let (long, short) = (Duration::from_secs(86_400), Duration::from_secs(20));
    stepped
        .engine
        .report(&user("ann"), report(long))
        .await
        .expect("a record");
    stepped.advance(Duration::from_secs(1000));
    stepped
        .engine
        .report(&user("ann"), report(short))
        .await
        .expect("a record");
    let stepped = stepped.crash_at(before_begin(HOUR)).await;
    stepped.advance(short + TICK);
    assert_eq!(stepped.status("ann").await, Status::Offline);
}

#[tokio::test]
async fn a_report_ends_in_time_across_a_start_with_a_right_clock() {
    let stepped = Stepped::new().await;
    stepped
        .engine
        .report(&user("ann"), report(HOUR))
        .await
        .expect("a record");
    let stepped = stepped.crash(HOUR / 4).await;
    stepped.advance(HOUR / 4 * 3 - TICK);
    assert_eq!(stepped.status("ann").await, Status::Online);
    stepped.advance(2 * TICK);
    assert_eq!(stepped.status("ann").await, Status::Offline);
}

pub(super) async fn record(stepped: &Stepped, name: &str) -> Record {
    let record = stepped.engine.record(&user(name), Viewer::Internal).await;
    record.expect("a record")
}

#[tokio::test]
async fn a_clock_ahead_for_a_moment_holds_up_no_other_users_times() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    stepped.clock.set_wall(BEGIN.after(HOUR));
    let _bob = stepped.connect("bob").await;
    stepped.clock.set_wall(BEGIN);
    stepped.advance(Duration::from_secs(10));
    stepped.engine.activity(&ann.conn, Duration::ZERO).expect("a session");
    let later = Some(BEGIN.after(Duration::from_secs(10)));
    let told = record(&stepped, "ann").await;
    assert_eq!((told.last_active, told.last_seen), (later, later));
    let explained = stepped.engine.explain(&user("ann")).await.expect("an explanation");
    assert_eq!(Some(explained.now), later);
    let (ann, viewer) = (user("ann"), Viewer::Internal);
    let set = stepped
        .engine
        .set_custom_status(&ann, CustomStatus::Idle, Actor::User, viewer);
    assert_eq!(set.await.expect("a record").since, later);
}

#[tokio::test]
async fn a_users_told_times_wait_for_the_clock_and_go_on() {
    let stepped = Stepped::new().await;
    stepped.clock.set_wall(BEGIN.after(HOUR));
    let bob = stepped.connect("bob").await;
    stepped.clock.set_wall(BEGIN);
    let ahead = Some(BEGIN.after(HOUR));
    for _ in 0..3 {
        stepped.advance(Duration::from_secs(10));
        bob.conn.note_received(stepped.clock.mono(), None);
        stepped.engine.activity(&bob.conn, Duration::ZERO).expect("a session");
        stepped.engine.away(&bob.conn, None).expect("a session");
        let told = record(&stepped, "bob").await;
        assert_eq!((told.last_active, told.last_seen, told.since), (ahead, ahead, ahead));
        let explained = stepped.engine.explain(&user("bob")).await.expect("an explanation");
        assert_eq!(Some(explained.now), ahead);
    }
    stepped.clock.set_wall(BEGIN.after(HOUR + TICK));
    stepped.engine.activity(&bob.conn, Duration::ZERO).expect("a session");
    let now = Some(BEGIN.after(HOUR + TICK));
    let told = record(&stepped, "bob").await;
    assert_eq!((told.last_active, told.last_seen, told.since), (now, now, now));
}

/// The server's `now` in each message since the last call.
fn nows(client: &SteppedClient) -> Vec<Wall> {
    let now_of = |message| match message {
        ServerMessage::Presence { now, .. } | ServerMessage::Snapshot { now, .. } => Some(now),
        _ => None,
    };
    client.messages().into_iter().filter_map(now_of).collect()
}

#[tokio::test]
async fn frames_of_others_carry_the_clock_as_it_is() {
    let stepped = Stepped::new().await;
    let (ann, watcher) = (stepped.connect("ann").await, stepped.connect("watcher").await);
    stepped.clock.set_wall(BEGIN.after(HOUR));
    let bob = stepped.connect("bob").await;
    stepped.clock.set_wall(BEGIN);
    for name in ["ann", "bob"] {
        let watched = stepped.engine.watch(&watcher.conn, None, vec![user(name)], None).await;
        watched.expect("a watch");
        stepped.deliver();
    }
    assert_eq!(
        nows(&watcher),
        [BEGIN, BEGIN.after(HOUR)],
        "not before a time beside it"
    );
    for client in [&ann, &bob] {
        stepped.engine.away(&client.conn, None).expect("a session");
        stepped.deliver();
    }
    assert_eq!(nows(&watcher), [BEGIN, BEGIN.after(HOUR)]);
}

#[tokio::test]
async fn now_is_not_before_the_latest_of_several_records() {
    let stepped = Stepped::new().await;
    let watcher = stepped.connect("watcher").await;
    let mut clients = Vec::new();
    for (name, hours) in [("ann", 1), ("bob", 2), ("cid", 0)] {
        stepped.clock.set_wall(BEGIN.after(hours * HOUR));
        clients.push(stepped.connect(name).await);
    }
    stepped.clock.set_wall(BEGIN);
    let names = ["ann", "bob", "cid"].map(user);
    let watched = stepped.engine.watch(&watcher.conn, None, names.into(), None).await;
    watched.expect("a watch");
    stepped.deliver();
    assert_eq!(nows(&watcher), [BEGIN.after(2 * HOUR)], "a snapshot");
    for client in &clients {
        stepped.engine.away(&client.conn, None).expect("a session");
    }
    stepped.deliver();
    assert_eq!(nows(&watcher), [BEGIN.after(2 * HOUR)], "an event");
    let request = ListRequest {
        limit: 10,
        ..ListRequest::default()
    };
    assert_eq!(stepped.engine.list(&request).now, BEGIN.after(2 * HOUR), "a list");
}

#[tokio::test]
async fn each_step_of_the_clock_is_counted_by_direction() {
    let stepped = Stepped::new().await;
    stepped.beat();
    for wall in [BEGIN.after(HOUR), BEGIN.after(2 * HOUR), BEGIN] {
        stepped.clock.set_wall(wall);
        stepped.beat();
        stepped.advance(Duration::from_millis(200));
        stepped.beat();
    }
    let figures = stepped.metrics_text();
    for figure in [
        r#"clock_steps_total{direction="forward"} 2"#,
        r#"clock_steps_total{direction="back"} 1"#,
    ] {
        assert!(figures.contains(figure), "{figures}");
    }
    assert!(figures.contains("clock_behind_seconds 7200"), "{figures}");
}

#[tokio::test]
async fn a_start_with_an_earlier_clock_than_the_last_run_is_noticed() {
    let stepped = Stepped::new().await;
    let stepped = stepped.crash_at(before_begin(HOUR)).await;
    assert_eq!(stepped.clock.behind(), Some(HOUR));
    let stepped = stepped.crash_at(before_begin(HOUR / 2)).await;
    assert_eq!(stepped.clock.behind(), None, "the last run knew no better");
}

#[tokio::test]
async fn last_seen_is_written_in_time_though_the_clock_was_set_back() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    stepped.write().await;
    stepped.clock.set_wall(before_begin(HOUR));
    stepped.advance(Duration::from_secs(60));
    stepped.engine.heard(&ann.conn);
    assert_eq!(stepped.engine.stats().pending_writes, 1);
}

#[tokio::test]
async fn steps_of_the_clock_move_no_deadline() {
    let steps = [BEGIN.after(24 * HOUR), before_begin(24 * HOUR), Wall::from_millis(0)];
    for wall in steps {
        let stepped = Stepped::new().await;
        let (lost, silent) = (stepped.connect("lost").await, stepped.connect("silent").await);
        let idle = stepped.connect("idle").await;
        stepped.engine.activity(&idle.conn, Duration::ZERO).expect("a session");
        let ttl = Duration::from_secs(7);
        stepped
            .engine
            .report(&user("ann"), report(ttl))
            .await
            .expect("a record");
        stepped.disconnect(&lost, EndReason::Lost);
        stepped.clock.set_wall(wall);
        stepped.beat();
        // What each deadline decides, and when.
        let mut passed = Duration::ZERO;
        for (at, name, before, after) in [
            (5, "lost", Status::Online, Status::Offline),
            (7, "ann", Status::Online, Status::Offline),
            (300, "idle", Status::Online, Status::Idle),
        ] {
            let at = Duration::from_secs(at);
            idle.conn.note_received(stepped.clock.mono(), None);
            stepped.advance(at - TICK - passed);
            assert_eq!(stepped.status(name).await, before, "{name} {wall}");
            stepped.advance(2 * TICK);
            assert_eq!(stepped.status(name).await, after, "{name} {wall}");
            passed = at + TICK;
        }
        assert!(
            silent.conn.close_reason().is_none(),
            "pings are sent only as the wheel turns"
        );
    }
}

#[tokio::test]
async fn a_change_after_the_clock_went_back_is_not_before_what_was_heard() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    stepped.advance(HOUR);
    stepped.engine.heard(&ann.conn);
    stepped.clock.set_wall(BEGIN);
    let name = user("ann");
    let set = stepped
        .engine
        .set_custom_status(&name, CustomStatus::Idle, Actor::User, Viewer::Internal);
    let record = set.await.expect("a record");
    let heard = Some(BEGIN.after(HOUR));
    assert_eq!((record.last_seen, record.last_active), (heard, heard));
}
