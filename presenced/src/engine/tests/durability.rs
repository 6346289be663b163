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
    let _ann = fixture.connect("ann").await;
    let shown = fixture.engine.record(&user("ann"), viewer).await.expect("a record");
    assert_eq!((shown.status, shown.degraded), (Status::Online, true));
    let refused = fixture.engine.custom_status(&user("ann")).await;
    assert_eq!(
        refused,
        Err(crate::engine::EngineError::StoreUnavailable),
        "what was made up is no answer"
    );
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
