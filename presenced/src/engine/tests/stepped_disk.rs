//! What a start finds after a run whose disk failed, on engines whose time the test owns.

use std::time::Duration;

use presence::wire::record::Viewer;
use presence::{Actor, CustomStatus, ReportInput, Revision, Source, Status, Wall};

use super::fixture::user;
use super::stepped_engine::{BEGIN, Stepped, TICK};
use crate::engine::EngineError;
use crate::engine::heartbeat::RunEnd;
use crate::store::{ReportRow, StoreError};

#[tokio::test]
async fn users_are_in_grace_after_a_run_that_could_not_write() {
    let stepped = Stepped::new().await;
    let _ann = stepped.connect("ann").await;
    stepped.write().await;
    stepped.store.fail_writes(true);
    for _ in 0..6 {
        stepped.clock.advance(Duration::from_secs(60));
        let saved = stepped.engine.save_heartbeat(RunEnd::Running).await;
        assert!(saved.is_err(), "the database can't be written");
    }
    let told = stepped
        .engine
        .cluster
        .next_revision(presence::Revision::NEVER, stepped.clock.wall());
    let stepped = stepped.crash(Duration::from_secs(1)).await;
    assert_eq!(stepped.status("ann").await, Status::Online);
    let next = stepped
        .engine
        .cluster
        .next_revision(presence::Revision::NEVER, stepped.clock.wall());
    assert!(next > told, "{next:?} {told:?}");
    let stepped = stepped.crash(Duration::from_secs(301)).await;
    assert_eq!(
        stepped.status("ann").await,
        Status::Offline,
        "after a long downtime there is no grace"
    );
}

/// The next revision some minutes later, after a heartbeat of then.
async fn revision_after_heartbeat(stepped: &Stepped) -> Revision {
    stepped.clock.advance(Duration::from_secs(300));
    let _ = stepped.engine.save_heartbeat(RunEnd::Running).await;
    next_revision(stepped)
}

fn next_revision(stepped: &Stepped) -> Revision {
    stepped
        .engine
        .cluster
        .next_revision(Revision::NEVER, stepped.clock.wall())
}

fn micros(wall: Wall) -> u64 {
    wall.as_millis().unsigned_abs() * 1_000
}

#[tokio::test]
async fn revisions_follow_the_clock_once_a_heartbeat_is_told_or_stored() {
    let stepped = Stepped::new().await;
    stepped.store.fail_writes(true);
    let told = revision_after_heartbeat(&stepped).await;
    assert_eq!(told.get(), micros(stepped.clock.wall()), "told beside the database");
    let stepped = stepped.crash_without_alive_file(Duration::from_secs(1)).await;
    let told = revision_after_heartbeat(&stepped).await;
    assert_eq!(told.get(), micros(stepped.clock.wall()), "stored in it");
}

#[tokio::test]
async fn no_revision_is_given_twice_after_heartbeats_that_are_nowhere() {
    let stepped = Stepped::new().await;
    let stepped = stepped.crash_without_alive_file(Duration::from_secs(1)).await;
    stepped.store.fail_writes(true);
    let told = revision_after_heartbeat(&stepped).await;
    assert!(told.get() < micros(stepped.clock.wall()), "the ceiling is not raised");
    // The clock of the next start is an hour early.
    let stepped = stepped.crash_at(earlier(1)).await;
    let next = next_revision(&stepped);
    assert!(next > told, "{next:?} {told:?}");
}

async fn set_status(stepped: &Stepped, name: &str, custom: CustomStatus) -> Result<(), EngineError> {
    let user = user(name);
    let set = stepped
        .engine
        .set_custom_status(&user, custom, Actor::User, Viewer::Own);
    set.await.map(|record| assert_eq!(record.custom_status, Some(custom)))
}

#[tokio::test]
async fn a_row_with_the_largest_revision_harms_nobody_else() {
    for largest in [i64::MAX, (1 << 53) - 1] {
        let stepped = Stepped::new().await;
        let _ann = stepped.connect("ann").await;
        stepped.write().await;
        let changed = stepped
            .database()
            .execute("UPDATE profile SET revision = ?1", [largest]);
        assert_eq!(changed, Ok(1));
        let stepped = stepped.crash(Duration::from_secs(1)).await;
        let ann = stepped.connect("ann").await;
        let shown = stepped
            .engine
            .record(&user("ann"), Viewer::Internal)
            .await
            .expect("a record");
        assert_eq!(
            (shown.status, shown.degraded),
            (Status::Online, true),
            "without the row"
        );
        set_status(&stepped, "bob", CustomStatus::Idle)
            .await
            .expect("a custom status");
        let shown = stepped
            .engine
            .record(&user("bob"), Viewer::Own)
            .await
            .expect("a record");
        assert!(shown.revision < presence::Revision::MAX, "{shown:?}");
        stepped.disconnect(&ann, presence::EndReason::Closed);
    }
}

#[tokio::test]
async fn a_custom_status_stored_after_its_caller_gave_up_is_shown() {
    let stepped = Stepped::new().await;
    let _ann = stepped.connect("ann").await;
    let held = stepped.store.hold_commits();
    let setting = set_status(&stepped, "ann", CustomStatus::DoNotDisturb);
    let late = stepped.store.give_up(setting).await;
    assert_eq!(late, Err(EngineError::Store(StoreError::UnknownOutcome)));
    assert_eq!(stepped.status("ann").await, Status::Online);
    stepped.store.give_up(stepped.engine.settle_unknown_outcomes()).await;
    assert_eq!(stepped.status("ann").await, Status::Online, "it is not known yet");
    drop(held);
    stepped.engine.settle_unknown_outcomes().await;
    assert_eq!(stepped.status("ann").await, Status::DoNotDisturb);
}

#[tokio::test]
async fn a_status_reaches_the_disk_after_a_custom_status_of_unknown_outcome() {
    let stepped = Stepped::new().await;
    let _ann = stepped.connect("ann").await;
    let held = stepped.store.hold_commits();
    let setting = set_status(&stepped, "ann", CustomStatus::DoNotDisturb);
    let late = stepped.store.give_up(setting).await;
    assert_eq!(late, Err(EngineError::Store(StoreError::UnknownOutcome)));
    drop(held);
    // As the user is shown, so nothing is published; the row has the revision of the write before.
    set_status(&stepped, "ann", CustomStatus::Online)
        .await
        .expect("a custom status");
    stepped.write().await;
    stepped.engine.settle_unknown_outcomes().await;
    stepped.write().await;
    let row = stepped.stored("ann").await.expect("a row");
    assert_eq!((row.status, row.connected_on.len()), (Status::Online, 1));
}

#[tokio::test]
async fn a_report_after_a_custom_status_of_unknown_outcome_is_the_newer_word() {
    let stepped = Stepped::new().await;
    let held = stepped.store.hold_commits();
    let setting = set_status(&stepped, "ann", CustomStatus::Online);
    let late = stepped.store.give_up(setting).await;
    assert_eq!(late, Err(EngineError::Store(StoreError::UnknownOutcome)));
    drop(held);
    report(&stepped, Status::DoNotDisturb, 60).await;
    assert_eq!(stepped.status("ann").await, Status::DoNotDisturb);
}

#[tokio::test]
async fn a_start_on_a_full_disk_reads_and_refuses_writes() {
    let stepped = Stepped::new().await;
    let _ann = stepped.connect("ann").await;
    set_status(&stepped, "bob", CustomStatus::Idle)
        .await
        .expect("a custom status");
    stepped.write().await;
    let stepped = stepped.crash_on_full_disk(Duration::from_secs(1)).await;
    assert_eq!(stepped.status("ann").await, Status::Online, "in grace");
    let bob = stepped.connect("bob").await;
    assert_eq!(stepped.status("bob").await, Status::Idle);
    let refused = set_status(&stepped, "bob", CustomStatus::DoNotDisturb).await;
    assert!(
        matches!(refused, Err(EngineError::Store(StoreError::Unavailable { .. }))),
        "{refused:?}"
    );
    let told = stepped
        .engine
        .record(&user("bob"), Viewer::Own)
        .await
        .expect("a record")
        .revision;
    drop(bob);
    let stepped = stepped.crash_on_full_disk(Duration::from_secs(1)).await;
    let _bob = stepped.connect("bob").await;
    let now = stepped
        .engine
        .record(&user("bob"), Viewer::Own)
        .await
        .expect("a record")
        .revision;
    assert!(now > told, "no revision is given twice: {now:?} {told:?}");
    stepped.store.fail_commits(false);
    set_status(&stepped, "bob", CustomStatus::DoNotDisturb)
        .await
        .expect("a custom status");
}

fn earlier(hours: i64) -> Wall {
    Wall::from_millis(BEGIN.as_millis() - hours * 3_600_000)
}

async fn report(stepped: &Stepped, status: Status, ttl_seconds: u64) {
    let input = ReportInput {
        source: Source::default(),
        status,
        ttl: Some(Duration::from_secs(ttl_seconds)),
        update_last_active: false,
    };
    let reported = stepped.engine.report(&user("ann"), input).await;
    reported.expect("a record");
}

async fn stored_report(stepped: &Stepped) -> Option<ReportRow> {
    let row = stepped.stored("ann").await.expect("a row");
    row.durable.reports.into_iter().next()
}

#[tokio::test]
async fn a_report_is_stored_though_the_stored_one_lies_ahead() {
    let stepped = Stepped::new().await;
    report(&stepped, Status::Online, 86_400).await;
    let ahead = stored_report(&stepped).await.expect("a report");
    let stepped = stepped.crash_at(earlier(1)).await;
    report(&stepped, Status::Idle, 60).await;
    let stored = stored_report(&stepped).await.expect("a report");
    assert_eq!(stored.status, CustomStatus::Idle);
    assert!(
        stored.version > ahead.version && stored.heard < ahead.heard,
        "{stored:?}"
    );
    // Once more from another start, whose clock is earlier still.
    let stepped = stepped.crash_at(earlier(2)).await;
    report(&stepped, Status::DoNotDisturb, 60).await;
    let stored = stored_report(&stepped).await.expect("a report");
    assert_eq!(stored.status, CustomStatus::DoNotDisturb);
    stepped.advance(Duration::from_secs(60) + TICK);
    stepped.write().await;
    assert_eq!(stored_report(&stepped).await, None, "what expired is off the disk");
}

#[tokio::test]
async fn an_expiry_takes_no_successor_off_the_disk_though_the_clock_stands() {
    let stepped = Stepped::new().await;
    report(&stepped, Status::Online, 60).await;
    stepped.advance(Duration::from_secs(60) + TICK);
    assert_eq!(stepped.status("ann").await, Status::Offline);
    // The wall clock was set back: it says what it said when the first one was made.
    stepped.clock.set_wall(BEGIN);
    report(&stepped, Status::Idle, 60).await;
    stepped.write().await;
    let stored = stored_report(&stepped).await.expect("the successor");
    assert_eq!(stored.status, CustomStatus::Idle);
    let stepped = stepped.crash(Duration::from_secs(1)).await;
    assert_eq!(stepped.status("ann").await, Status::Idle);
}

#[tokio::test]
async fn an_expiry_takes_no_report_of_a_user_that_was_forgotten() {
    let stepped = Stepped::new().await;
    report(&stepped, Status::Online, 60).await;
    stepped.advance(Duration::from_secs(60) + TICK);
    stepped.engine.forget(&user("ann")).await.expect("forgotten");
    report(&stepped, Status::Idle, 60).await;
    stepped.write().await;
    assert_eq!(stepped.status("ann").await, Status::Idle);
    let stored = stored_report(&stepped).await.expect("the report");
    assert_eq!(stored.status, CustomStatus::Idle);
}

#[tokio::test]
async fn a_report_that_expired_before_a_kick_stays_gone_at_a_start() {
    let stepped = Stepped::new().await;
    report(&stepped, Status::Online, 60).await;
    stepped.advance(Duration::from_secs(60) + TICK);
    assert_eq!(stepped.status("ann").await, Status::Offline);
    stepped.engine.kick(&user("ann")).await.expect("a kick");
    // The clock of the next start is before the end of the report.
    let stepped = stepped.crash_at(BEGIN).await;
    assert_eq!(stepped.status("ann").await, Status::Offline);
}

/// Eve has no revision in memory, and is told at the removal of ann, which came after her row.
async fn told_as_absent(stepped: &Stepped) -> Revision {
    stepped.engine.forget(&user("ann")).await.expect("forgotten");
    stepped.record("eve").await.revision
}

#[tokio::test]
async fn a_user_stored_without_a_change_is_not_told_below_a_removal() {
    let stepped = Stepped::new().await;
    let watcher = stepped.connect("watcher").await;
    stepped.watch(&watcher, &["eve"]).await;
    set_status(&stepped, "eve", CustomStatus::Online).await.expect("a row");
    let told = told_as_absent(&stepped).await;
    stepped.disconnect(&watcher, presence::EndReason::Closed);
    stepped.engine.users.sweep();
    assert!(!stepped.engine.is_in_memory(&user("eve")));
    assert!(stepped.record("eve").await.revision >= told, "loaded");
}

#[tokio::test]
async fn a_user_stored_with_unknown_outcome_is_not_told_below_a_removal() {
    let stepped = Stepped::new().await;
    let watcher = stepped.connect("watcher").await;
    stepped.watch(&watcher, &["eve"]).await;
    stepped.store.lose_answers(true);
    let late = set_status(&stepped, "eve", CustomStatus::Online).await;
    assert_eq!(late, Err(EngineError::Store(StoreError::UnknownOutcome)));
    stepped.store.lose_answers(false);
    let told = told_as_absent(&stepped).await;
    stepped.engine.settle_unknown_outcomes().await;
    assert!(stepped.record("eve").await.revision >= told, "loaded again");
}

#[tokio::test]
async fn a_crash_after_a_clock_went_back_is_followed_by_higher_revisions() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    stepped.write().await;
    stepped.advance(Duration::from_secs(600));
    stepped.engine.heard(&ann.conn);
    // The database can't be written, and each heartbeat takes the place of the one before beside it.
    stepped.store.fail_commits(true);
    for wall in [stepped.clock.wall(), earlier(1)] {
        stepped.clock.set_wall(wall);
        let saved = stepped.engine.save_heartbeat(RunEnd::Running).await;
        assert!(saved.is_err());
    }
    // Her time does not go back, and her revisions follow it up to the ceiling of the first heartbeat.
    stepped.engine.away(&ann.conn, None).expect("a session");
    let told = stepped.record("ann").await.revision;
    let stepped = stepped.crash(Duration::from_secs(1)).await;
    assert!(stepped.record("ann").await.revision >= told);
}
