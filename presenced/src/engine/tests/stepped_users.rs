//! Reports, kicks and durable changes on engines whose time the test owns.

use std::sync::Arc;
use std::time::Duration;

use presence::{Actor, CustomStatus, EndReason, ReportInput, Revision, Source, Status};
use tokio::sync::oneshot;

use super::fixture::{DEADLINE, user};
use super::stepped_engine::{BEGIN, Stepped, TICK};
use crate::engine::EngineError;
use crate::engine::persistence::UnknownOutcome;
use crate::engine::users::UserLock;
use crate::store::NewPreference;

fn report(source: &str, status: Status, ttl_seconds: Option<u64>) -> ReportInput {
    ReportInput {
        source: source.parse::<Source>().expect("a source"),
        status,
        ttl: ttl_seconds.map(Duration::from_secs),
        update_last_active: false,
    }
}

async fn reported(stepped: &Stepped, source: &str, ttl_seconds: Option<u64>) {
    let input = report(source, Status::Online, ttl_seconds);
    let reported = stepped.engine.report(&user("ann"), input).await;
    reported.expect("a record");
}

#[tokio::test]
async fn a_refreshed_report_ends_when_its_new_time_is_up() {
    let stepped = Stepped::new().await;
    reported(&stepped, "gateway", Some(60)).await;
    stepped.advance(Duration::from_secs(30));
    reported(&stepped, "gateway", Some(60)).await;
    stepped.advance(Duration::from_secs(60) - TICK);
    assert_eq!(stepped.status("ann").await, Status::Online);
    stepped.advance(2 * TICK);
    assert_eq!(stepped.status("ann").await, Status::Offline);
}

#[tokio::test]
async fn a_report_that_ends_takes_no_other_off_the_disk() {
    let stepped = Stepped::new().await;
    reported(&stepped, "short", Some(60)).await;
    reported(&stepped, "long", None).await;
    stepped.advance(Duration::from_secs(60) + TICK);
    stepped.write().await;
    let row = stepped.stored("ann").await.expect("a row");
    let sources: Vec<_> = row.durable.reports.iter().map(|one| one.source.to_string()).collect();
    assert_eq!(sources, ["long"]);
}

#[tokio::test]
async fn a_report_ends_in_time_though_idleness_comes_later() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    stepped.engine.activity(&ann.conn, Duration::ZERO).expect("a session");
    reported(&stepped, "gateway", Some(60)).await;
    let reports = || stepped.engine.stats().sessions.reports;
    stepped.advance(Duration::from_secs(60) - TICK);
    assert_eq!(reports(), 1);
    stepped.advance(2 * TICK);
    assert_eq!(reports(), 0);
}

#[tokio::test]
async fn the_limit_of_reports_keeps_out_new_ones_alone() {
    let stepped = Stepped::new().await;
    for source in ["a", "b", "c", "d"] {
        reported(&stepped, source, None).await;
    }
    let ann = user("ann");
    let result = stepped.engine.report(&ann, report("e", Status::Online, None)).await;
    assert_eq!(result, Err(EngineError::TooManyReports));
    let result = stepped.engine.report(&ann, report("e", Status::Offline, None)).await;
    assert!(result.is_ok(), "nothing is added: {result:?}");
    let result = stepped.engine.report(&ann, report("d", Status::Idle, None)).await;
    assert!(result.is_ok(), "nothing is added: {result:?}");
    assert_eq!(stepped.engine.stats().sessions.reports, 4);
}

#[tokio::test]
async fn a_kick_shows_what_a_write_with_unknown_outcome_stored() {
    let stepped = Stepped::new().await;
    let (ann, _client) = (user("ann"), stepped.connect("ann").await);
    let pin = stepped.engine.users.pin(&ann).expect("ann");
    let version = stepped.engine.users.lock(&pin).state.profile().version();
    let preference = NewPreference {
        custom: CustomStatus::Idle,
        set_at: BEGIN,
        set_by: Actor::User,
    };
    let store = &stepped.store;
    let saved = store.save_preference(&ann, preference, version, Revision::new(1)).await;
    saved.expect("a row");
    stepped
        .engine
        .persistence
        .unknown_outcomes
        .push(pin, UnknownOutcome::Change);
    assert_eq!(stepped.engine.kick(&ann).await, Ok(1));
    assert_eq!(stepped.engine.custom_status(&ann).await, Ok(CustomStatus::Idle));
}

#[tokio::test]
async fn a_kicked_connection_is_no_session_any_more() {
    let stepped = Stepped::new().await;
    let (ann, watcher) = (stepped.connect("ann").await, stepped.connect("watcher").await);
    stepped.watch(&watcher, &["ann"]).await;
    assert_eq!(stepped.engine.kick(&user("ann")).await, Ok(1));
    // Her entry is in memory still. The kicked connection has not ended yet.
    assert_eq!(stepped.engine.activity(&ann.conn, Duration::ZERO), None);
    assert_eq!(stepped.engine.away(&ann.conn, None), None);
    let mut sessions = Vec::new();
    for _ in 0..stepped.engine.options.limits.load().sessions_per_user {
        sessions.push(stepped.connect("ann").await);
    }
    assert_eq!(
        stepped.engine.activity(&ann.conn, Duration::ZERO),
        None,
        "others are hers now"
    );
    ann.messages();
    stepped.engine.away(&sessions[0].conn, None).expect("a session");
    stepped.deliver();
    assert!(ann.told().is_empty());
    stepped.disconnect(&ann, EndReason::Kicked);
    assert_eq!(stepped.engine.stats().sessions.connections, 5);
}

#[tokio::test]
async fn a_kick_of_a_user_not_in_memory_needs_no_store() {
    let stepped = Stepped::new().await;
    stepped.store.fail_reads(true);
    assert_eq!(stepped.engine.kick(&user("ann")).await, Ok(0));
}

#[tokio::test]
async fn a_forgotten_user_is_removed_once_and_comes_back_as_a_record() {
    let stepped = Stepped::new().await;
    let (_ann, watcher) = (stepped.connect("ann").await, stepped.connect("watcher").await);
    stepped.watch(&watcher, &["ann", "never"]).await;
    assert_eq!(stepped.engine.forget(&user("ann")).await, Ok(1));
    assert_eq!(stepped.engine.forget(&user("ann")).await, Ok(0));
    assert_eq!(stepped.engine.forget(&user("never")).await, Ok(0));
    stepped.deliver();
    assert_eq!(watcher.told(), [("ann".to_owned(), None)]);
    stepped.write().await;
    assert!(stepped.stored("ann").await.is_none());
    let _ann = stepped.connect("ann").await;
    stepped.deliver();
    assert_eq!(watcher.told(), [("ann".to_owned(), Some(Status::Online))]);
    stepped.write().await;
    assert!(stepped.stored("ann").await.is_some());
}

#[tokio::test]
async fn watching_twice_counts_once() {
    let stepped = Stepped::new().await;
    let (watcher, observer) = (stepped.connect("watcher").await, stepped.observe());
    for _ in 0..2 {
        stepped.watch(&watcher, &["ann", "bob"]).await;
        stepped.engine.watch_all(&observer.conn, None, None).await;
    }
    let counts = || {
        let sessions = stepped.engine.stats().sessions;
        (sessions.watchers, sessions.watches)
    };
    assert_eq!(counts(), (2, 2));
    for _ in 0..2 {
        stepped.engine.unwatch(&watcher.conn, &[user("ann"), user("cid")]);
        assert_eq!(counts(), (2, 1));
    }
    stepped.engine.unwatch(&watcher.conn, &[user("bob")]);
    assert_eq!(counts(), (1, 0));
    stepped.disconnect(&observer, EndReason::Closed);
    assert_eq!(counts(), (0, 0));
    // Nobody is watched any more, and an observer that left is told nothing.
    assert!(!stepped.engine.is_in_memory(&user("ann")) && !stepped.engine.is_in_memory(&user("bob")));
    let _ann = stepped.connect("ann").await;
    stepped.deliver();
    assert!(watcher.told().is_empty() && observer.told().is_empty());
    assert!(!observer.conn.outbox().lock().is_queued());
}

#[tokio::test]
async fn a_connection_that_ended_leaves_memory() {
    let stepped = Stepped::new().await;
    let (ann, _bob) = (stepped.connect("ann").await, stepped.connect("bob").await);
    let observer = stepped.observe();
    stepped.watch(&ann, &["bob", "never"]).await;
    stepped.engine.watch_all(&observer.conn, None, None).await;
    stepped.engine.away(&ann.conn, None).expect("a session");
    stepped.deliver();
    for client in [ann, observer] {
        stepped.disconnect(&client, EndReason::Lost);
        let conn = Arc::downgrade(&client.conn);
        drop(client);
        assert!(conn.upgrade().is_none());
    }
}

#[tokio::test]
async fn a_connection_of_a_reported_user_is_on_disk_soon() {
    let stepped = Stepped::new().await;
    reported(&stepped, "gateway", None).await;
    stepped.write().await;
    // Her status stays as it is, so nobody is told.
    let _ann = stepped.connect("ann").await;
    assert_eq!(stepped.engine.stats().pending_writes, 1);
    stepped.write().await;
    let row = stepped.stored("ann").await.expect("a row");
    assert_eq!(row.connected_on.len(), 1);
}

#[tokio::test]
async fn activity_that_changes_no_status_is_not_written() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    stepped.write().await;
    stepped.advance(Duration::from_secs(1));
    stepped.engine.activity(&ann.conn, Duration::ZERO).expect("a session");
    assert_eq!(stepped.engine.stats().pending_writes, 0);
}

#[tokio::test]
async fn a_durable_change_that_panics_is_an_internal_error_and_frees_its_user() {
    let stepped = Stepped::new().await;
    let (engine, ann) = (&stepped.engine, user("ann"));
    let change = |_, lock: UserLock| async move { panic!("on purpose, for {}", lock.user()) };
    assert_eq!(
        engine.run_durable::<(), _>(&ann, change).await,
        Err(EngineError::TaskPanicked)
    );
    assert!(!engine.user_locks.is_locked(&ann));
}

#[tokio::test]
async fn a_durable_change_goes_on_after_its_caller_went_away() {
    let stepped = Stepped::new().await;
    let (begin, begun) = oneshot::channel();
    let (go_on, wait) = oneshot::channel::<()>();
    let (end, ended) = oneshot::channel();
    let engine = Arc::clone(&stepped.engine);
    let calling = tokio::spawn(async move {
        let change = |_, lock| async move {
            let _lock: UserLock = lock;
            begin.send(()).expect("a test");
            wait.await.expect("a test");
            end.send(()).expect("a test");
            Ok(())
        };
        engine.run_durable(&user("ann"), change).await
    });
    begun.await.expect("it begins");
    assert!(stepped.engine.user_locks.is_locked(&user("ann")));
    calling.abort();
    assert!(calling.await.is_err_and(|error| error.is_cancelled()));
    go_on.send(()).expect("it waits");
    let ended = tokio::time::timeout(DEADLINE, ended).await.expect("in time");
    assert!(ended.is_ok(), "it ran to its end");
}

#[tokio::test]
async fn forgetting_a_present_user_counts_as_a_transition() {
    let stepped = Stepped::new().await;
    let _ann = stepped.connect("ann").await;
    let ann = presence::UserId::new("ann").expect("a user id");
    stepped.engine.forget(&ann).await.expect("forgotten");
    stepped.engine.forget(&ann).await.expect("forgotten");
    let counted = stepped
        .engine
        .metrics
        .transitions(Status::Online, Status::Offline, presence::Reason::NoSession);
    assert_eq!(counted, 1);
}

#[tokio::test]
async fn places_in_the_grace_period_survive_a_restart() {
    let stepped = Stepped::new().await;
    let (one, _other) = (stepped.connect("ann").await, stepped.connect("ann").await);
    let lost: presence::SessionName = one.conn.name();
    stepped.write().await;
    let now = stepped.clock.wall();
    let stepped = stepped.crash_at(now).await;
    let back = stepped.connect("ann").await;
    let resumed = |of| {
        stepped
            .engine
            .resume(&back.conn, Some(of))
            .map(|answer| answer.is_resumed)
    };
    assert_eq!(resumed(lost), Some(true));
    assert_eq!(resumed(lost), Some(false), "given twice");
    stepped.disconnect(&back, presence::EndReason::Closed);
    assert_eq!(stepped.record("ann").await.status, Status::Online, "one place is left");
}
