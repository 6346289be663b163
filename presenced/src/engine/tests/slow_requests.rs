//! Requests that wait for the lock of their user and for the disk: times are those of the request.

use std::sync::Arc;
use std::time::Duration;

use presence::{CustomStatus, ReportInput, Source, Status, Wall};

use super::fixture::user;
use super::stepped_engine::{BEGIN, Stepped, TICK};

const WAIT: Duration = Duration::from_millis(1500);

fn input(source: &str, status: Status, ttl: Option<Duration>, update_last_active: bool) -> ReportInput {
    ReportInput {
        source: source.parse::<Source>().expect("a source"),
        status,
        ttl,
        update_last_active,
    }
}

/// Reports wait until `meanwhile` has happened: the first for the disk, the others behind it.
async fn report_slowly(stepped: &Stepped, inputs: Vec<ReportInput>, meanwhile: impl FnOnce()) {
    let held = stepped.store.hold_commits();
    let mut waiting = Vec::new();
    for input in inputs {
        let engine = Arc::clone(&stepped.engine);
        waiting.push(tokio::spawn(async move { engine.report(&user("ann"), input).await }));
        // Until it stands in line for the lock of its user.
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        assert!(stepped.engine.user_locks.is_locked(&user("ann")));
    }
    meanwhile();
    drop(held);
    for one in waiting {
        one.await.expect("no panic").expect("a record");
    }
}

async fn stored_times(stepped: &Stepped) -> (Option<Wall>, Option<Wall>) {
    let row = stepped.stored("ann").await.expect("a row");
    (row.last_active, row.last_seen)
}

#[tokio::test]
async fn times_of_a_report_are_those_of_its_request() {
    for is_activity in [true, false] {
        let stepped = Stepped::new().await;
        let reports = ["a", "b"].map(|source| input(source, Status::Online, None, is_activity));
        report_slowly(&stepped, reports.to_vec(), || stepped.advance(WAIT)).await;
        let told = stepped.record("ann").await;
        let times = (is_activity.then_some(BEGIN), Some(BEGIN));
        assert_eq!((told.last_active, told.last_seen), times);
        assert_eq!(told.since, Some(BEGIN.after(WAIT)), "shown when it is on disk");
        assert_eq!(stored_times(&stepped).await, times);
        let explained = stepped.engine.explain(&user("ann")).await.expect("an explanation");
        for session in &explained.sessions {
            assert_eq!((session.since, session.last_heard), (BEGIN, BEGIN));
            assert_eq!(session.last_active, times.0);
        }
    }
}

#[tokio::test]
async fn times_of_a_custom_status_are_those_of_its_request() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    let held = stepped.store.hold_commits();
    let mut waiting = Vec::new();
    for custom in [CustomStatus::Idle, CustomStatus::Online] {
        let (engine, conn) = (Arc::clone(&stepped.engine), Arc::clone(&ann.conn));
        waiting.push(tokio::spawn(async move {
            engine.set_own_custom_status(&conn, custom).await
        }));
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
    }
    stepped.advance(WAIT);
    drop(held);
    for one in waiting {
        one.await.expect("no panic").expect("a record");
    }
    let told = stepped.record("ann").await;
    assert_eq!((told.last_active, told.last_seen), (Some(BEGIN), Some(BEGIN)));
    let explained = stepped.engine.explain(&user("ann")).await.expect("an explanation");
    assert_eq!(explained.choice.set_at, Some(BEGIN));
}

#[tokio::test]
async fn a_report_that_ends_was_heard_when_that_was_asked_for() {
    let stepped = Stepped::new().await;
    let open = input("a", Status::Online, None, false);
    stepped.engine.report(&user("ann"), open).await.expect("a record");
    stepped.advance(WAIT);
    let end = input("a", Status::Offline, None, true);
    report_slowly(&stepped, vec![end], || stepped.advance(WAIT)).await;
    let told = stepped.record("ann").await;
    let asked = Some(BEGIN.after(WAIT));
    assert_eq!(
        (told.status, told.last_active, told.last_seen),
        (Status::Offline, asked, asked)
    );
    assert_eq!(stored_times(&stepped).await, (asked, asked));
}

#[tokio::test]
async fn a_report_holds_for_its_ttl_from_its_request() {
    let ttl = Duration::from_secs(5);
    let reports = || {
        ["a", "b"]
            .map(|source| input(source, Status::Online, Some(ttl), false))
            .to_vec()
    };
    let stepped = Stepped::new().await;
    report_slowly(&stepped, reports(), || stepped.advance(WAIT)).await;
    stepped.advance(ttl - WAIT - TICK);
    assert_eq!(stepped.status("ann").await, Status::Online);
    stepped.advance(2 * TICK);
    assert_eq!(stepped.status("ann").await, Status::Offline);

    let stepped = Stepped::new().await;
    report_slowly(&stepped, reports(), || stepped.advance(WAIT)).await;
    let stepped = stepped.crash(Duration::from_secs(1)).await;
    stepped.advance(ttl - WAIT - Duration::from_secs(1) - TICK);
    assert_eq!(stepped.status("ann").await, Status::Online);
    stepped.advance(2 * TICK);
    assert_eq!(stepped.status("ann").await, Status::Offline, "after a start too");
}

#[tokio::test]
async fn a_report_asked_for_before_the_clock_was_set_back_keeps_its_end() {
    let stepped = Stepped::new().await;
    let ttl = Duration::from_secs(5);
    let back = Wall::from_millis(BEGIN.as_millis() - 3_600_000);
    let reports = ["a", "b"].map(|source| input(source, Status::Online, Some(ttl), true));
    report_slowly(&stepped, reports.to_vec(), || {
        stepped.advance(WAIT);
        stepped.clock.set_wall(back);
    })
    .await;
    let told = stepped.record("ann").await;
    assert_eq!((told.last_active, told.last_seen), (Some(BEGIN), Some(BEGIN)));
    stepped.advance(ttl - WAIT - TICK);
    assert_eq!(stepped.status("ann").await, Status::Online);
    stepped.advance(2 * TICK);
    assert_eq!(stepped.status("ann").await, Status::Offline);
}

#[tokio::test]
async fn times_of_a_report_do_not_go_back_behind_what_was_told_meanwhile() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    let meanwhile = || {
        stepped.advance(WAIT);
        stepped.engine.activity(&ann.conn, Duration::ZERO).expect("a session");
    };
    report_slowly(&stepped, vec![input("a", Status::Online, None, true)], meanwhile).await;
    let told = stepped.record("ann").await;
    let later = Some(BEGIN.after(WAIT));
    assert_eq!((told.last_active, told.last_seen), (later, later));
}

#[tokio::test]
async fn a_report_whose_refresh_fails_ends_if_its_time_is_up() {
    let stepped = Stepped::new().await;
    let ttl = Duration::from_secs(10);
    let report = || input("a", Status::Online, Some(ttl), false);
    stepped.engine.report(&user("ann"), report()).await.expect("a record");
    let held = stepped.store.hold_commits();
    let refreshing = tokio::spawn({
        let (engine, report) = (Arc::clone(&stepped.engine), report());
        async move { engine.report(&user("ann"), report).await }
    });
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
    assert!(stepped.engine.user_locks.is_locked(&user("ann")));
    stepped.advance(ttl + TICK);
    assert_eq!(
        stepped.status("ann").await,
        Status::Online,
        "it may have been refreshed"
    );
    stepped.store.fail_commits(true);
    drop(held);
    assert!(refreshing.await.expect("no panic").is_err());
    assert_eq!(stepped.status("ann").await, Status::Offline);
}

#[tokio::test]
async fn a_report_ends_in_time_while_another_is_being_written() {
    let stepped = Stepped::new().await;
    let ttl = Duration::from_secs(10);
    let short = input("a", Status::Online, Some(ttl), false);
    stepped.engine.report(&user("ann"), short).await.expect("a record");
    let held = stepped.store.hold_commits();
    let opening = tokio::spawn({
        let engine = Arc::clone(&stepped.engine);
        async move { engine.report(&user("ann"), input("b", Status::Idle, None, false)).await }
    });
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
    assert!(stepped.engine.user_locks.is_locked(&user("ann")));
    stepped.advance(ttl + TICK);
    assert_eq!(stepped.status("ann").await, Status::Offline);
    drop(held);
    let opened = opening.await.expect("no panic").expect("a record");
    assert_eq!(opened.status, Status::Idle);
}

#[tokio::test]
async fn a_report_taken_before_the_clock_was_set_back_is_shown_as_stored() {
    let stepped = Stepped::new().await;
    let back = Wall::from_millis(BEGIN.as_millis() - 3_600_000);
    let reports = ["a", "b"].map(|source| input(source, Status::Online, None, false));
    report_slowly(&stepped, reports.to_vec(), || stepped.clock.set_wall(back)).await;
    let explained = stepped.engine.explain(&user("ann")).await.expect("an explanation");
    let heard: Vec<Wall> = explained.sessions.iter().map(|session| session.last_heard).collect();
    let row = stepped.stored("ann").await.expect("a row");
    let stored: Vec<Wall> = row.durable.reports.iter().map(|report| report.heard).collect();
    assert_eq!((heard, stored), (vec![BEGIN; 2], vec![BEGIN; 2]));
}
