//! What stays in memory, and what a restart finds.

use std::time::Duration;

use presence::{CustomStatus, EndReason, ReportInput, Source, Status};

use super::fixture::{DEADLINE, Fixture, Settings, user};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connected_user_is_in_grace_after_a_restart() {
    let fixture = Fixture::new().await;
    let ann = fixture.connect("ann").await;
    fixture.set_status("ann", CustomStatus::DoNotDisturb).await;
    let gone = fixture.connect("gone").await;
    gone.end(&fixture, EndReason::Closed);
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
async fn an_unneeded_user_leaves_memory_and_reloads_unchanged() {
    let fixture = Fixture::new().await;
    let ann = fixture.connect("ann").await;
    fixture.set_status("ann", CustomStatus::Idle).await;
    ann.end(&fixture, EndReason::Closed);
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
    // The task that read the row may hold its pin for a moment longer than the caller.
    fixture
        .until("ann is out of memory again", |engine| {
            !engine.is_in_memory(&user("ann"))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_user_starts_over_with_a_higher_revision() {
    let fixture = Fixture::new().await;
    let viewer = presence::wire::record::Viewer::Internal;
    let _ann = fixture.connect("ann").await;
    fixture.set_status("ann", CustomStatus::Idle).await;
    let before = fixture.engine.record(&user("ann"), viewer).await.expect("a record");
    assert_eq!(fixture.engine.forget(&user("ann")).await, Ok(1));
    let forgotten = fixture.engine.record(&user("ann"), viewer).await.expect("a record");
    let never_seen_at = |revision| presence::wire::record::Record {
        revision,
        ..presence::wire::record::Record::never_seen(user("ann"), viewer)
    };
    assert!(forgotten.revision > before.revision);
    assert_eq!(forgotten, never_seen_at(forgotten.revision));
    let fixture = fixture.restart().await;
    let again = fixture.engine.record(&user("ann"), viewer).await.expect("a record");
    assert!(again.revision > forgotten.revision);
    assert_eq!(again, never_seen_at(again.revision));
    let _ann = fixture.connect("ann").await;
    let anew = fixture.engine.record(&user("ann"), viewer).await.expect("a record");
    assert_eq!(anew.status, Status::Online);
    assert!(anew.revision > before.revision, "{anew:?} after {before:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_outlives_a_restart_and_ends_at_its_deadline() {
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
    let ttl = std::time::Duration::from_secs(3);
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
    let fixture = fixture.restart().await;
    assert_eq!(
        fixture.status("long").await,
        Status::Offline,
        "not after a restart either"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_is_in_grace_and_then_offline() {
    let fixture = Fixture::new().await;
    let ann = fixture.connect("ann").await;
    ann.end(&fixture, EndReason::Lost);
    assert_eq!(fixture.engine.stats().sessions.in_grace, 1);
    fixture
        .until("the grace ends", |engine| engine.stats().users.total() == 0)
        .await;
    assert_eq!(fixture.status("ann").await, Status::Offline);
    assert_eq!(fixture.engine.stats().sessions.in_grace, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_custom_status_set_after_a_forget_is_kept() {
    let fixture = Fixture::new().await;
    fixture.set_status("ann", CustomStatus::Idle).await;
    fixture.engine.forget(&user("ann")).await.expect("forgotten");
    fixture.set_status("ann", CustomStatus::DoNotDisturb).await;
    let fixture = fixture.restart().await;
    assert_eq!(
        fixture.engine.custom_status(&user("ann")).await,
        Ok(CustomStatus::DoNotDisturb)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pending_writes_are_done_before_a_stop() {
    let fixture = Fixture::new().await;
    fixture.stop_writing();
    let ann = fixture.connect("ann").await;
    let _bob = fixture.connect("bob").await;
    ann.end(&fixture, EndReason::Closed);
    let viewer = presence::wire::record::Viewer::Internal;
    let left = fixture.engine.record(&user("ann"), viewer).await.expect("a record");
    let fixture = fixture.restart().await;
    let after = fixture.engine.record(&user("ann"), viewer).await.expect("a record");
    assert_eq!(at_revision_of(&left, after), left);
    assert_eq!(fixture.status("bob").await, Status::Online, "in grace");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grace_period_is_not_ended_by_a_connect_or_a_clean_close() {
    let fixture = Fixture::with(Settings {
        grace: 2 * DEADLINE,
        ..Settings::default()
    })
    .await;
    let grace = async || {
        let explained = fixture.engine.explain(&user("ann")).await.expect("an explanation");
        explained.grace.map(|grace| grace.until)
    };
    let (lost, other) = (fixture.connect("ann").await, fixture.connect("ann").await);
    lost.end(&fixture, EndReason::Lost);
    let until = grace().await;
    assert!(until.is_some());
    other.end(&fixture, EndReason::Closed);
    assert_eq!(fixture.status("ann").await, Status::Online);
    let third = fixture.connect("ann").await;
    third.end(&fixture, EndReason::Closed);
    assert_eq!(fixture.status("ann").await, Status::Online);
    assert!(grace().await.is_some());
    assert_eq!(fixture.engine.kick(&user("ann")).await, Ok(0));
    assert_eq!(fixture.status("ann").await, Status::Offline, "a kick ends it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_custom_status_set_after_the_clock_went_back_is_kept() {
    let fixture = Fixture::new().await;
    fixture.set_status("ann", CustomStatus::Idle).await;
    let dir = fixture.stop().await;
    let changed = Fixture::database(&dir).execute("UPDATE profile SET custom_set_at = custom_set_at + 3600000", []);
    assert_eq!(changed, Ok(1));
    let fixture = Fixture::on(dir).await;
    fixture.set_status("ann", CustomStatus::DoNotDisturb).await;
    let fixture = fixture.restart().await;
    assert_eq!(
        fixture.engine.custom_status(&user("ann")).await,
        Ok(CustomStatus::DoNotDisturb)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_user_is_idle_in_grace_after_a_restart() {
    let fixture = Fixture::new().await;
    let ann = fixture.connect("ann").await;
    fixture.engine.activity(&ann.conn, Duration::ZERO).expect("a session");
    fixture.engine.away(&ann.conn, None).expect("a session");
    assert_eq!(fixture.status("ann").await, Status::Idle);
    drop(ann);
    let fixture = fixture.restart().await;
    assert_eq!(fixture.status("ann").await, Status::Idle);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_ends_once_and_with_it_its_watches() {
    let fixture = Fixture::new().await;
    let (ann, _other) = (fixture.connect("ann").await, fixture.connect("bob").await);
    let watched = fixture.engine.watch(&ann.conn, None, vec![user("bob")], None).await;
    watched.expect("a watch");
    ann.end(&fixture, EndReason::Closed);
    ann.end(&fixture, EndReason::Lost);
    let sessions = fixture.engine.stats().sessions;
    assert_eq!(
        (sessions.connections, sessions.watchers, sessions.watches),
        (1, 0, 0),
        "{sessions:?}"
    );
    assert_eq!(fixture.status("ann").await, Status::Offline);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heartbeat_is_written_every_second() {
    let fixture = Fixture::new().await;
    let heartbeat = || {
        let wall = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        Fixture::database(fixture.dir()).query_row("SELECT wall FROM heartbeat", [], wall)
    };
    let first = heartbeat().expect("a heartbeat");
    fixture
        .until("the heartbeat moves", |_| heartbeat().is_ok_and(|wall| wall > first))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_restart_grace_counts_from_the_start_not_from_the_stop() {
    let fixture = Fixture::new().await;
    let _ann = fixture.connect("ann").await;
    let dir = fixture.stop().await;
    // Down for 100 seconds, which is more than the grace of 30 and less than the absence after which there is none.
    let changed = Fixture::database(&dir).execute("UPDATE heartbeat SET wall = wall - 100000", []);
    assert_eq!(changed, Ok(1));
    let fixture = Fixture::on(dir).await;
    let explained = fixture.engine.explain(&user("ann")).await.expect("an explanation");
    let grace = explained.grace.expect("a grace");
    let left = grace.until.since(explained.now).as_secs();
    assert!((25..=30).contains(&left), "{left} s are left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_end_one_after_the_other() {
    let fixture = Fixture::new().await;
    for (source, seconds) in [("first", 1), ("second", 2)] {
        let report = ReportInput {
            source: source.parse().expect("a source"),
            status: Status::Online,
            ttl: Some(std::time::Duration::from_secs(seconds)),
            update_last_active: false,
        };
        fixture.engine.report(&user("ann"), report).await.expect("a report");
    }
    for left in [1, 0] {
        fixture
            .until("a report ends", |engine| engine.stats().sessions.reports == left)
            .await;
    }
    assert_eq!(fixture.status("ann").await, Status::Offline);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_changes_while_being_written_is_written_again() {
    let fixture = Fixture::new().await;
    let ann = fixture.connect("ann").await;
    fixture.written().await;
    let held = fixture.store.hold_commits();
    fixture.engine.away(&ann.conn, None).expect("a session");
    fixture
        .until("the status is being written", |engine| {
            let entry = engine.users.find(&user("ann"));
            entry.is_some_and(|entry| entry.disk.is_writing())
        })
        .await;
    fixture.engine.activity(&ann.conn, Duration::ZERO).expect("a session");
    drop(held);
    fixture.written().await;
    let stored = fixture.stored("ann").await.expect("a row");
    assert_eq!(stored.status, Status::Online);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grace_periods_and_reports_do_not_count_as_connections() {
    let fixture = Fixture::with(Settings {
        grace: 2 * DEADLINE,
        ..Settings::default()
    })
    .await;
    let report = ReportInput {
        source: Source::default(),
        status: Status::Online,
        ttl: None,
        update_last_active: false,
    };
    fixture.engine.report(&user("ann"), report).await.expect("a report");
    let lost = fixture.connect("ann").await;
    lost.end(&fixture, EndReason::Lost);
    let mut places = Vec::new();
    for _ in 0..4 {
        places.push(fixture.connect("ann").await);
    }
    assert_eq!(fixture.engine.stats().sessions.connections, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stored_times_in_the_future_are_clamped_to_now() {
    let fixture = Fixture::new().await;
    fixture.connect("ann").await.end(&fixture, EndReason::Closed);
    let dir = fixture.stop().await;
    let ahead = "UPDATE profile SET since = since + 3600000, last_seen = last_seen + 3600000,
                 last_active = last_active + 3600000";
    assert_eq!(Fixture::database(&dir).execute(ahead, []), Ok(1));
    let fixture = Fixture::on(dir).await;
    let viewer = presence::wire::record::Viewer::Internal;
    let shown = fixture.engine.record(&user("ann"), viewer).await.expect("a record");
    let now = Some(fixture.engine.clock.wall());
    assert!(shown.since <= now && shown.last_seen <= now, "{shown:?}");
    assert!(shown.last_active.is_some() && shown.last_active <= shown.last_seen);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_moves_no_last_active() {
    let fixture = Fixture::new().await;
    let viewer = presence::wire::record::Viewer::Public;
    let ann = fixture.connect("ann").await;
    fixture.engine.activity(&ann.conn, Duration::ZERO).expect("a session");
    let before = fixture.engine.record(&user("ann"), viewer).await.expect("a record");
    fixture.engine.begin_drain();
    ann.end(&fixture, EndReason::Dropped);
    let ended = fixture.engine.record(&user("ann"), viewer).await.expect("a record");
    assert_eq!(ended, before);
    let fixture = fixture.restart().await;
    let after = fixture.engine.record(&user("ann"), viewer).await.expect("a record");
    assert_eq!(at_revision_of(&before, after), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revisions_are_microseconds_of_the_wall_clock() {
    let fixture = Fixture::new().await;
    let viewer = presence::wire::record::Viewer::Public;
    let before = fixture.engine.clock.wall().as_millis() * 1000;
    let _ann = fixture.connect("ann").await;
    let told = fixture.engine.record(&user("ann"), viewer).await.expect("a record");
    assert!(i64::try_from(told.revision.get()).is_ok_and(|micros| micros >= before));
}

/// A record after a start, which is told above everything that was told before, with the revision of the one before.
fn at_revision_of(
    before: &presence::wire::record::Record,
    after: presence::wire::record::Record,
) -> presence::wire::record::Record {
    assert!(after.revision > before.revision, "{after:?} after {before:?}");
    presence::wire::record::Record {
        revision: before.revision,
        ..after
    }
}
