//! A store that fails or hangs, and calls that meet: what is shown is what is on disk, or says that it is not.

use std::time::Duration;

use presence::wire::record::Viewer;
use presence::{Actor, CustomStatus, EndReason, Profile, ReportInput, Source, Status};

use super::fixture::{Fixture, Settings, user};
use crate::engine::publisher::Publication;
use crate::engine::users::UserState;
use crate::engine::{EngineError, EngineOptions};
use crate::store::StoreError;

/// Whether the store could not do its part.
fn is_unavailable<T>(result: &Result<T, EngineError>) -> bool {
    matches!(result, Err(EngineError::Store(StoreError::Unavailable { .. })))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_is_online_and_degraded_until_the_store_answers() {
    let viewer = Viewer::Internal;
    let fixture = Fixture::new().await;
    fixture.set_status("ann", CustomStatus::DoNotDisturb).await;
    fixture
        .until("ann is out of memory", |engine| !engine.is_in_memory(&user("ann")))
        .await;
    let mut watcher = fixture.connect("watcher").await;
    fixture
        .engine
        .watch(&watcher.conn, None, vec![user("bob")], None)
        .await
        .expect("a watch");
    watcher.snapshot().await;
    fixture.store.fail_reads(true);
    let on_disk = || {
        let row = |row: &rusqlite::Row<'_>| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, i64>(2)?,
            ))
        };
        Fixture::database(fixture.dir())
            .query_row(
                "SELECT status, connected_on, revision FROM profile WHERE user_id = 'ann'",
                [],
                row,
            )
            .expect("a row")
    };
    let before = on_disk();
    let _ann = fixture.connect("ann").await;
    fixture.written().await;
    assert_eq!(on_disk(), before, "the fallback is not written back");
    let shown = fixture.engine.record(&user("ann"), viewer).await.expect("a record");
    assert_eq!((shown.status, shown.degraded), (Status::Online, true));
    let refused = fixture.engine.custom_status(&user("ann")).await;
    assert!(is_unavailable(&refused), "what was made up is no answer: {refused:?}");
    fixture
        .until("the store is asked again, and again", |_| fixture.failures() >= 3)
        .await;
    fixture.store.fail_reads(false);
    fixture
        .until("ann is loaded", |engine| engine.stats().users.do_not_disturb == 1)
        .await;
    let shown = fixture.engine.record(&user("ann"), viewer).await.expect("a record");
    assert_eq!((shown.status, shown.degraded), (Status::DoNotDisturb, false));
    let fixture = fixture.restart().await;
    let kept = fixture.engine.custom_status(&user("ann")).await;
    assert_eq!(
        kept,
        Ok(CustomStatus::DoNotDisturb),
        "the fallback was not written back"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_of_unreadable_users_fails_and_adds_nothing() {
    let fixture = Fixture::new().await;
    let watcher = fixture.connect("watcher").await;
    fixture.store.fail_reads(true);
    let refused = fixture.engine.watch(&watcher.conn, None, vec![user("ann")], None).await;
    assert!(is_unavailable(&refused), "{refused:?}");
    assert_eq!(fixture.engine.stats().sessions.watches, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_could_not_write_everything_counts_as_a_crash() {
    let viewer = Viewer::Internal;
    let fixture = Fixture::new().await;
    let ann = fixture.connect("ann").await;
    fixture.written().await;
    Fixture::database(fixture.dir())
        .execute_batch(
            "CREATE TRIGGER bad BEFORE UPDATE ON profile WHEN NEW.user_id = 'ann'
             BEGIN SELECT RAISE(FAIL, 'this one fails'); END",
        )
        .expect("a trigger");
    ann.end(&fixture, EndReason::Closed);
    let told = fixture.engine.record(&user("ann"), viewer).await.expect("a record");
    let dir = fixture.stop().await;
    Fixture::database(&dir)
        .execute_batch("DROP TRIGGER bad")
        .expect("no trigger");
    let fixture = Fixture::on(dir).await;
    let after = fixture.engine.record(&user("ann"), viewer).await.expect("a record");
    assert!(
        after.revision > told.revision,
        "what was told last is not on disk, and nobody drops what is told now: {after:?} after {told:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connect_does_not_wait_for_a_store_that_hangs() {
    let fixture = Fixture::with(Settings {
        connect_waits: EngineOptions::CONNECT_WAITS,
        ..Settings::default()
    })
    .await;
    let held = fixture.store.hold_reads();
    let _ann = fixture.connect("ann").await;
    let viewer = Viewer::Internal;
    let shown = fixture.engine.record(&user("ann"), viewer).await.expect("a record");
    assert_eq!((shown.status, shown.degraded), (Status::Online, true));
    drop(held);
    fixture
        .until("ann is loaded", |engine| {
            let entry = engine.users.find(&user("ann")).expect("ann");
            !entry.state.is_assumed()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_custom_statuses_leave_memory_and_disk_equal() {
    let fixture = Fixture::new().await;
    let ann = user("ann");
    let _ann = fixture.connect("ann").await;
    let viewer = Viewer::Own;
    for _ in 0..100 {
        let set_status = |custom| fixture.engine.set_custom_status(&ann, custom, Actor::User, viewer);
        let (first, second) = tokio::join!(set_status(CustomStatus::Idle), set_status(CustomStatus::DoNotDisturb));
        assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
        let shown = fixture.engine.custom_status(&ann).await.expect("a custom status");
        let stored = fixture.stored("ann").await.expect("a row").durable.preference.custom;
        assert_eq!(shown, stored);
    }
}

fn report(status: Status, ttl: Option<Duration>) -> ReportInput {
    ReportInput {
        source: Source::default(),
        status,
        ttl,
        update_last_active: true,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_reports_and_kicks_leave_memory_and_disk_equal() {
    let fixture = Fixture::new().await;
    let ann = user("ann");
    for _ in 0..100 {
        let (idle, online, kicked) = tokio::join!(
            fixture.engine.report(&ann, report(Status::Idle, None)),
            fixture.engine.report(&ann, report(Status::Online, None)),
            fixture.engine.kick(&ann),
        );
        assert!(idle.is_ok() && online.is_ok() && kicked.is_ok());
        let shown = fixture.status("ann").await;
        let reports = fixture.stored("ann").await.expect("a row").durable.reports;
        let stored = match reports.first().map(|report| report.status) {
            Some(CustomStatus::Idle) => Status::Idle,
            Some(_) => Status::Online,
            None => Status::Offline,
        };
        assert_eq!(shown, stored);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kick_that_the_store_refuses_ends_nothing() {
    let fixture = Fixture::new().await;
    let ann = user("ann");
    let reported = fixture.engine.report(&ann, report(Status::Idle, None)).await;
    assert_eq!(reported.expect("a report").status, Status::Idle);
    fixture.store.fail_writes(true);
    assert!(is_unavailable(&fixture.engine.kick(&ann).await));
    assert!(is_unavailable(&fixture.engine.forget(&ann).await));
    let refused = fixture.engine.report(&ann, report(Status::Online, None)).await;
    assert!(is_unavailable(&refused), "{refused:?}");
    let refused = fixture.engine.report(&ann, report(Status::Offline, None)).await;
    assert!(is_unavailable(&refused), "{refused:?}");
    assert_eq!(fixture.status("ann").await, Status::Idle, "nothing changed");
    fixture.store.fail_writes(false);
    assert_eq!(fixture.engine.kick(&ann).await, Ok(1));
    let fixture = fixture.restart().await;
    assert_eq!(fixture.status("ann").await, Status::Offline);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_report_leaves_the_disk_once_writes_succeed() {
    let fixture = Fixture::new().await;
    let short = report(Status::Idle, Some(Duration::from_secs(1)));
    fixture.engine.report(&user("ann"), short).await.expect("a report");
    fixture.store.fail_writes(true);
    fixture
        .until("the report ends", |engine| engine.stats().users.total() == 0)
        .await;
    let failed = fixture.failures();
    fixture
        .until("the disk refused more than once", |_| fixture.failures() > failed + 3)
        .await;
    fixture.store.fail_writes(false);
    fixture
        .until("the report is off the disk", |_| {
            let count = "SELECT count(*) FROM report";
            Fixture::database(fixture.dir()).query_row(count, [], |row| row.get(0)) == Ok(0)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_a_change_overtook_is_repeated() {
    let fixture = Fixture::new().await;
    let ann = user("ann");
    fixture.set_status("ann", CustomStatus::Idle).await;
    fixture
        .until("ann is out of memory", |engine| !engine.is_in_memory(&ann))
        .await;
    let reads = fixture.store.read_count();
    let held = fixture.store.hold_reads();
    let asking = tokio::spawn({
        let (engine, ann) = (std::sync::Arc::clone(&fixture.engine), ann.clone());
        async move { engine.custom_status(&ann).await }
    });
    fixture
        .until("ann is read", |_| fixture.store.read_count() > reads)
        .await;
    // Somebody else has her in memory, changes her, and needs her no more.
    let preference = crate::store::NewPreference {
        custom: CustomStatus::DoNotDisturb,
        set_at: fixture.engine.clock.wall(),
        set_by: Actor::User,
    };
    let saved = fixture
        .store
        .save_preference(&ann, preference, presence::Version::NONE, presence::Revision::new(1))
        .await;
    assert!(saved.is_ok());
    let mut entry = fixture.engine.users.insert(&ann, || {
        let state = UserState::new(Profile::default(), Vec::new());
        (state, Publication::default())
    });
    fixture.engine.recompute(&mut entry, fixture.engine.clock.now());
    drop(entry);
    drop(held);
    assert_eq!(asking.await.expect("an answer"), Ok(CustomStatus::DoNotDisturb));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_custom_status_of_a_degraded_user_is_kept_after_a_clock_step() {
    let fixture = Fixture::new().await;
    fixture.set_status("ann", CustomStatus::Idle).await;
    let fixture = fixture.restart_an_hour_earlier().await;
    fixture.store.fail_reads(true);
    let _ann = fixture.connect("ann").await;
    fixture.store.fail_reads(false);
    fixture.set_status("ann", CustomStatus::DoNotDisturb).await;
    let stored = fixture.stored("ann").await.expect("a row").durable.preference.custom;
    assert_eq!(stored, CustomStatus::DoNotDisturb);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_custom_status_is_taken_though_its_user_could_not_be_read_at_first() {
    let fixture = Fixture::new().await;
    fixture.store.fail_reads(true);
    let failures = fixture.failures();
    let setting = tokio::spawn({
        let (engine, ann) = (std::sync::Arc::clone(&fixture.engine), user("ann"));
        let custom = CustomStatus::DoNotDisturb;
        async move { engine.set_custom_status(&ann, custom, Actor::User, Viewer::Own).await }
    });
    fixture
        .until("the user is read in vain", |_| fixture.failures() > failures)
        .await;
    fixture.store.fail_reads(false);
    let record = setting.await.expect("no panic").expect("a record");
    assert_eq!(record.custom_status, Some(CustomStatus::DoNotDisturb));
}
