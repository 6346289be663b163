//! What stays in memory, and what a restart finds.

use presence::{CustomStatus, End, ReportInput, Source, Status};

use super::fixture::{Fixture, user};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_connected_is_in_grace_after_a_restart_and_as_before() {
    let fixture = Fixture::new().await;
    let ann = fixture.connect("ann").await;
    fixture.choose("ann", CustomStatus::DoNotDisturb).await;
    let gone = fixture.connect("gone").await;
    gone.end(&fixture, End::Closed);
    let before = fixture
        .engine
        .record(&user("ann"), presence::wire::record::Viewer::Public)
        .await
        .expect("a record");
    drop(ann);
    let fixture = fixture.restart().await;
    let after = fixture
        .engine
        .record(&user("ann"), presence::wire::record::Viewer::Public)
        .await
        .expect("a record");
    assert_eq!((after.status, after.since), (before.status, before.since));
    assert_eq!(fixture.status("gone").await, Status::Offline);
    let explained = fixture.engine.explain(&user("ann")).await.expect("an explanation");
    assert!(
        explained.grace.is_some() && explained.sessions.is_empty(),
        "{explained:?}"
    );
    assert_eq!(explained.next.len(), 1, "{explained:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_nobody_needs_leaves_the_memory_and_comes_back_as_it_was() {
    let fixture = Fixture::new().await;
    let ann = fixture.connect("ann").await;
    fixture.choose("ann", CustomStatus::Idle).await;
    ann.end(&fixture, End::Closed);
    let left = fixture
        .engine
        .record(&user("ann"), presence::wire::record::Viewer::Internal)
        .await
        .expect("a record");
    fixture
        .until("ann is out of memory", |engine| !engine.is_in_memory(&user("ann")))
        .await;
    let again = fixture
        .engine
        .record(&user("ann"), presence::wire::record::Viewer::Internal)
        .await
        .expect("a record");
    assert_eq!(again, left);
    assert!(!fixture.engine.is_in_memory(&user("ann")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_user_is_never_seen_and_starts_anew_with_a_higher_revision() {
    let fixture = Fixture::new().await;
    let viewer = presence::wire::record::Viewer::Internal;
    let _ann = fixture.connect("ann").await;
    fixture.choose("ann", CustomStatus::Idle).await;
    let before = fixture.engine.record(&user("ann"), viewer).await.expect("a record");
    assert_eq!(fixture.engine.forget(&user("ann")).await, Ok(1));
    let forgotten = fixture.engine.record(&user("ann"), viewer).await.expect("a record");
    assert_eq!(
        forgotten,
        presence::wire::record::Record::never_seen(user("ann"), viewer)
    );
    let fixture = fixture.restart().await;
    let forgotten = fixture.engine.record(&user("ann"), viewer).await.expect("a record");
    assert_eq!(
        forgotten,
        presence::wire::record::Record::never_seen(user("ann"), viewer)
    );
    let _ann = fixture.connect("ann").await;
    let anew = fixture.engine.record(&user("ann"), viewer).await.expect("a record");
    assert_eq!(anew.status, Status::Online);
    assert!(anew.revision > before.revision, "{anew:?} after {before:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_outlives_a_restart_and_ends_when_its_time_is_up() {
    let fixture = Fixture::new().await;
    let report = |ttl| ReportInput {
        source: Source::default(),
        status: Status::Idle,
        ttl,
        update_last_active: true,
    };
    let ttl = std::time::Duration::from_secs(3600);
    fixture
        .engine
        .report(&user("long"), report(Some(ttl)))
        .await
        .expect("a report");
    let ttl = std::time::Duration::from_secs(1);
    fixture
        .engine
        .report(&user("short"), report(Some(ttl)))
        .await
        .expect("a report");
    assert_eq!(fixture.counts().idle, 2);
    let fixture = fixture.restart().await;
    fixture
        .until("the short report ends", |engine| engine.stats().users.idle == 1)
        .await;
    assert_eq!(fixture.status("long").await, Status::Idle);
    assert_eq!(fixture.engine.kick(&user("long")).await, Ok(1));
    assert_eq!(fixture.status("long").await, Status::Offline);
    assert_eq!(fixture.engine.stats().sessions.reports, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_is_in_grace_and_then_offline() {
    let fixture = Fixture::new().await;
    let ann = fixture.connect("ann").await;
    ann.end(&fixture, End::Lost);
    assert_eq!(fixture.engine.stats().sessions.in_grace, 1);
    fixture
        .until("the grace ends", |engine| engine.stats().users.total() == 0)
        .await;
    assert_eq!(fixture.status("ann").await, Status::Offline);
    assert_eq!(fixture.engine.stats().sessions.in_grace, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_choice_after_being_forgotten_is_kept() {
    let fixture = Fixture::new().await;
    fixture.choose("ann", CustomStatus::Idle).await;
    fixture.engine.forget(&user("ann")).await.expect("forgotten");
    fixture.choose("ann", CustomStatus::DoNotDisturb).await;
    let fixture = fixture.restart().await;
    assert_eq!(
        fixture.engine.custom_status(&user("ann")).await,
        Ok(CustomStatus::DoNotDisturb)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_stores_answer_a_user_is_shown_online_and_degraded_until_it_answers() {
    let viewer = presence::wire::record::Viewer::Internal;
    let fixture = Fixture::new().await;
    fixture.choose("ann", CustomStatus::DoNotDisturb).await;
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
    fixture.fail_reads(true);
    let on_disk = || {
        let row =
            |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?, row.get::<_, i64>(2)?));
        Fixture::database(fixture.dir())
            .query_row(
                "SELECT status, connected, revision FROM profile WHERE user_id = 'ann'",
                [],
                row,
            )
            .expect("a row")
    };
    let before = on_disk();
    let _ann = fixture.connect("ann").await;
    fixture
        .until("nothing waits to be written", |engine| engine.behind.pending() == 0)
        .await;
    assert_eq!(on_disk(), before, "the fallback is not written back");
    let shown = fixture.engine.record(&user("ann"), viewer).await.expect("a record");
    assert_eq!((shown.status, shown.degraded), (Status::Online, true));
    let refused = fixture.engine.custom_status(&user("ann")).await;
    assert_eq!(
        refused,
        Err(crate::engine::EngineError::StoreUnavailable),
        "what was made up is no answer"
    );
    fixture
        .until("the store is asked again, and again", |_| fixture.failed_reads() >= 3)
        .await;
    fixture.fail_reads(false);
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
async fn a_watch_of_users_that_cant_be_read_is_refused_and_adds_nothing() {
    let fixture = Fixture::new().await;
    let watcher = fixture.connect("watcher").await;
    fixture.fail_reads(true);
    let refused = fixture.engine.watch(&watcher.conn, None, vec![user("ann")], None).await;
    assert_eq!(refused, Err(crate::engine::WatchRefused::StoreUnavailable));
    assert_eq!(fixture.engine.stats().sessions.watches, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_owed_to_the_disk_is_written_before_the_end() {
    let fixture = Fixture::new().await;
    fixture.stop_writing();
    let ann = fixture.connect("ann").await;
    let _bob = fixture.connect("bob").await;
    ann.end(&fixture, End::Closed);
    let viewer = presence::wire::record::Viewer::Internal;
    let left = fixture.engine.record(&user("ann"), viewer).await.expect("a record");
    let fixture = fixture.restart().await;
    let after = fixture.engine.record(&user("ann"), viewer).await.expect("a record");
    assert_eq!(after, left);
    assert_eq!(fixture.status("bob").await, Status::Online, "in grace");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_could_not_write_everything_counts_as_a_crash() {
    let viewer = presence::wire::record::Viewer::Internal;
    let fixture = Fixture::new().await;
    let ann = fixture.connect("ann").await;
    fixture
        .until("her coming is written", |engine| engine.behind.pending() == 0)
        .await;
    Fixture::database(fixture.dir())
        .execute_batch(
            "CREATE TRIGGER bad BEFORE UPDATE ON profile WHEN NEW.user_id = 'ann'
             BEGIN SELECT RAISE(FAIL, 'this one fails'); END",
        )
        .expect("a trigger");
    ann.end(&fixture, End::Closed);
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
    let fixture = Fixture::new().await;
    let held = fixture.hold_reads();
    let _ann = fixture.connect("ann").await;
    let viewer = presence::wire::record::Viewer::Internal;
    let shown = fixture.engine.record(&user("ann"), viewer).await.expect("a record");
    assert_eq!((shown.status, shown.degraded), (Status::Online, true));
    drop(held);
    fixture
        .until("ann is loaded", |engine| {
            let mut shard = engine.shards.of_user(&user("ann"));
            let at = shard.find(&user("ann")).expect("ann");
            shard.cell(at).is_some_and(|cell| !cell.profile.is_degraded())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn however_choices_meet_what_is_shown_is_what_is_on_disk() {
    let fixture = Fixture::new().await;
    let ann = user("ann");
    let _ann = fixture.connect("ann").await;
    let viewer = presence::wire::record::Viewer::Own;
    for _ in 0..100 {
        let choose = |custom| fixture.engine.choose(&ann, custom, presence::By::User, viewer);
        let (first, second) = tokio::join!(choose(CustomStatus::Idle), choose(CustomStatus::DoNotDisturb));
        assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
        let shown = fixture.engine.custom_status(&ann).await.expect("a choice");
        let stored = fixture.stored("ann").await.expect("a row").stored.choice.custom;
        assert_eq!(shown, stored);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grace_is_ended_neither_by_who_comes_nor_by_who_leaves_for_good() {
    let fixture = Fixture::with_long_graces().await;
    let grace = async || {
        let explained = fixture.engine.explain(&user("ann")).await.expect("an explanation");
        explained.grace.map(|grace| grace.until)
    };
    let (lost, other) = (fixture.connect("ann").await, fixture.connect("ann").await);
    lost.end(&fixture, End::Lost);
    let until = grace().await;
    assert!(until.is_some());
    other.end(&fixture, End::Closed);
    assert_eq!(fixture.status("ann").await, Status::Online);
    let third = fixture.connect("ann").await;
    third.end(&fixture, End::Closed);
    assert_eq!(fixture.status("ann").await, Status::Online);
    assert!(grace().await.is_some());
    assert_eq!(fixture.engine.kick(&user("ann")).await, Ok(0));
    assert_eq!(fixture.status("ann").await, Status::Offline, "a kick ends it");
}
