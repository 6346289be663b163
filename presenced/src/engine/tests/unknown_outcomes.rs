//! More things that meet at an unlucky moment: writes that are late, timers that fire meanwhile, an end that comes between
//! two steps. What is shown in the end is what is on disk, and nobody is there who is gone.

use std::sync::Arc;
use std::time::Duration;

use presence::{Actor, CustomStatus, EndReason, ReportInput, Revision, Source, Status, Version};

use super::fixture::{Fixture, Settings, user};
use crate::connection::close_reason::CloseReason;
use crate::engine::{Engine, EngineError};
use crate::store::{NewPreference, StoreError};

fn report(status: Status, ttl: Option<Duration>) -> ReportInput {
    ReportInput {
        source: Source::default(),
        status,
        ttl,
        update_last_active: false,
    }
}

/// Ann is there by a report alone, and that is on disk.
async fn reported(fixture: &Fixture) {
    let reported = fixture.engine.report(&user("ann"), report(Status::Online, None)).await;
    reported.expect("a report");
    fixture.written().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_ended_on_disk_with_unknown_outcome_ends() {
    let (fixture, ann) = (Fixture::new().await, user("ann"));
    reported(&fixture).await;
    let held = fixture.store.hold_commits();
    let reporting = fixture.engine.report(&ann, report(Status::Offline, None));
    let late = fixture.store.give_up(reporting).await;
    assert_eq!(late, Err(EngineError::Store(StoreError::UnknownOutcome)));
    drop(held);
    fixture
        .until("ann is gone", |engine| engine.stats().users.total() == 0)
        .await;
    assert_eq!(fixture.engine.stats().sessions.reports, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_kicked_on_disk_with_unknown_outcome_end() {
    let (fixture, ann) = (Fixture::new().await, user("ann"));
    reported(&fixture).await;
    let held = fixture.store.hold_commits();
    assert_eq!(
        fixture.store.give_up(fixture.engine.kick(&ann)).await,
        Err(EngineError::Store(StoreError::UnknownOutcome))
    );
    drop(held);
    fixture
        .until("ann is gone", |engine| engine.stats().users.total() == 0)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_stored_after_a_kick_does_not_restore_the_user() {
    let fixture = Fixture::new().await;
    let ann = user("ann");
    let held = fixture.store.hold_commits();
    let reporting = fixture.engine.report(&ann, report(Status::Online, None));
    let late = fixture.store.give_up(reporting).await;
    assert_eq!(late, Err(EngineError::Store(StoreError::UnknownOutcome)));
    let kicking = tokio::spawn({
        let (engine, ann) = (Arc::clone(&fixture.engine), ann.clone());
        async move { while engine.kick(&ann).await.is_err() {} }
    });
    fixture
        .until("the kick is answered or waits for the store", |engine| {
            kicking.is_finished() || engine.user_locks.is_locked(&ann)
        })
        .await;
    drop(held);
    kicking.await.expect("an answer");
    fixture
        .until("ann is out of memory", |engine| !engine.is_in_memory(&ann))
        .await;
    assert!(
        fixture
            .stored("ann")
            .await
            .is_none_or(|row| row.durable.reports.is_empty())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forget_with_unknown_outcome_is_completed() {
    let fixture = Fixture::new().await;
    let ann = fixture.connect("ann").await;
    fixture.set_status("ann", CustomStatus::DoNotDisturb).await;
    fixture.written().await;
    let held = fixture.store.hold_commits();
    let late = fixture.store.give_up(fixture.engine.forget(&user("ann"))).await;
    assert_eq!(late, Err(EngineError::Store(StoreError::UnknownOutcome)));
    drop(held);
    fixture
        .until("ann is forgotten", |_| {
            ann.conn.close_reason() == Some(CloseReason::Forgotten)
        })
        .await;
    assert_eq!(
        fixture.engine.custom_status(&user("ann")).await,
        Ok(CustomStatus::Online)
    );
    assert!(fixture.stored("ann").await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_refreshed_in_time_holds_while_the_disk_is_slow() {
    let fixture = Fixture::new().await;
    let ann = user("ann");
    let ttl = Duration::from_secs(3);
    let short = report(Status::Online, Some(ttl));
    fixture.engine.report(&ann, short.clone()).await.expect("a report");
    let ends = fixture.engine.clock.mono().after(ttl);
    let held = fixture.store.hold_commits();
    let refreshing = tokio::spawn({
        let (engine, ann) = (Arc::clone(&fixture.engine), ann.clone());
        async move {
            engine
                .report(&ann, report(Status::Online, Some(Duration::from_secs(60))))
                .await
        }
    });
    fixture
        .until("its time would be up", |engine| {
            engine.clock.mono() > ends.after(Duration::from_millis(100))
        })
        .await;
    assert_eq!(fixture.counts().online, 1);
    drop(held);
    assert_eq!(
        refreshing.await.expect("an answer").map(|record| record.status),
        Ok(Status::Online)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grace_period_does_not_end_while_draining() {
    let fixture = Fixture::new().await;
    let ann = fixture.connect("ann").await;
    ann.end(&fixture, EndReason::Lost);
    let ends = fixture.engine.clock.mono().after(Settings::default().grace);
    fixture.engine.begin_drain();
    fixture
        .until("its time would be up", |engine| {
            engine.clock.mono() > ends.after(Duration::from_millis(100))
        })
        .await;
    let fixture = fixture.restart().await;
    assert_eq!(fixture.status("ann").await, Status::Online);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_ended_early_leaves_no_distant_deadline() {
    let fixture = Fixture::new().await;
    let ann = user("ann");
    let long = report(Status::Online, Some(Duration::from_secs(86_400)));
    fixture.engine.report(&ann, long).await.expect("a report");
    fixture
        .engine
        .report(&ann, report(Status::Offline, None))
        .await
        .expect("an end");
    let (latest, now) = (fixture.engine.deadlines.latest(), fixture.engine.clock.mono());
    let is_soon = latest.is_some_and(|at| at.since(now) <= Duration::from_secs(600));
    assert!(is_soon, "an entry for {latest:?} at {now:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_custom_status_queued_behind_a_forget_is_refused() {
    let fixture = Fixture::new().await;
    let ann = fixture.connect("ann").await;
    fixture.written().await;
    let held = fixture.store.hold_commits();
    let forgetting = fixture.forgetting("ann").await;
    let choosing = tokio::spawn({
        let (engine, conn) = (Arc::clone(&fixture.engine), Arc::clone(&ann.conn));
        async move { engine.set_own_custom_status(&conn, CustomStatus::Idle).await }
    });
    fixture
        .until("the custom status waits", |engine| {
            engine.limits.has_counted(&user("ann"))
        })
        .await;
    drop(held);
    assert_eq!(forgetting.await.expect("an answer"), Ok(1));
    assert_eq!(
        choosing.await.expect("an answer"),
        Err(EngineError::Store(StoreError::Forgotten))
    );
    assert_eq!(ann.conn.close_reason(), Some(CloseReason::Forgotten));
    fixture.written().await;
    assert!(fixture.stored("ann").await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_of_a_degraded_user_is_newest_after_a_clock_step() {
    let fixture = Fixture::new().await;
    fixture.set_status("ann", CustomStatus::Online).await;
    let fixture = fixture.restart_an_hour_earlier().await;
    fixture.store.fail_reads(true);
    let _ann = fixture.connect("ann").await;
    fixture.store.fail_reads(false);
    let busy = report(Status::DoNotDisturb, None);
    fixture.engine.report(&user("ann"), busy).await.expect("a report");
    fixture.loaded("ann").await;
    assert_eq!(fixture.status("ann").await, Status::DoNotDisturb);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_custom_status_after_a_forget_on_disk_alone_is_kept() {
    let fixture = Fixture::new().await;
    let ann = user("ann");
    let _ann = fixture.connect("ann").await;
    fixture.written().await;
    let held = fixture.store.hold_commits();
    assert_eq!(
        fixture.store.give_up(fixture.engine.forget(&ann)).await,
        Err(EngineError::Store(StoreError::UnknownOutcome))
    );
    let lock = fixture.engine.user_locks.lock(&ann).await;
    drop(held);
    while fixture.stored("ann").await.is_some() {}
    let preference = NewPreference {
        custom: CustomStatus::Idle,
        set_at: fixture.engine.clock.wall(),
        set_by: Actor::User,
    };
    let revision = fixture
        .engine
        .cluster
        .next_revision(Revision::NEVER, fixture.engine.clock.wall());
    let set = fixture
        .store
        .save_preference(&ann, preference, Version::NONE, revision)
        .await;
    assert!(set.is_ok());
    drop(lock);
    let is_followed_up = |engine: &Engine| engine.persistence.unknown_outcomes.len() == 0;
    fixture.until("what was late is followed up", is_followed_up).await;
    fixture.written().await;
    assert!(
        fixture
            .stored("ann")
            .await
            .is_some_and(|row| !row.connected_on.is_empty())
    );
}
