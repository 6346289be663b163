//! What is stored is what was handed in, and older never replaces newer.

use presence::CustomStatus::{DoNotDisturb, Idle, Online};
use presence::{Preference, Revision, Status};

use super::super::ExpiredReport;
use super::*;

#[tokio::test]
async fn a_user_never_seen_has_no_row() {
    let place = Place::new();
    assert_eq!(place.open().load(&user("alice")).await, Ok(None));
}

#[tokio::test]
async fn everything_about_a_user_comes_back_after_a_restart() {
    let place = Place::new();
    let store = place.open();
    let alice = user("alice \u{202e}'; DROP TABLE profile; --");
    let full = ReportRow {
        status: Idle,
        since: wall(5),
        order: wall(8),
        last_active: Some(wall(6)),
        expires_at: Some(wall(90_000)),
        ..report("desk.phone", 7)
    };
    store
        .save_preference(&alice, preference(DoNotDisturb, 3), Revision::new(4))
        .await
        .unwrap();
    store.save_report(&alice, full.clone(), times(7)).await.unwrap();
    store.save_report(&alice, report("app", 9), times(9)).await.unwrap();
    let line = StatusRow {
        user: alice.clone(),
        since: Some(wall(5)),
        last_active: Some(wall(6)),
        last_seen: Some(wall(8)),
        ..status("x", Status::DoNotDisturb, 10)
    };
    store.save_statuses(vec![line]).await.unwrap();
    let before = store.load(&alice).await.unwrap().unwrap();
    store.close();

    let (store, startup) = place.start();
    assert_eq!(startup.present, [(alice.clone(), before.clone())]);
    assert_eq!(store.load(&alice).await.unwrap(), Some(before.clone()));
    assert_eq!(before.stored.preference, preference(DoNotDisturb, 3));
    assert_eq!(before.stored.status, Status::DoNotDisturb);
    assert_eq!(before.stored.since, Some(wall(5)));
    assert_eq!(
        before.stored.last_seen,
        Some(wall(9)),
        "the report was later than the status"
    );
    assert_eq!(before.stored.last_active, Some(wall(6)));
    assert_eq!(before.stored.revision, Revision::new(10));
    assert!(before.connected);
    assert_eq!(before.reports, [report("app", 9), full]);
}

#[tokio::test]
async fn rows_come_in_the_order_asked_with_gaps_for_the_unknown() {
    let place = Place::new();
    let store = place.open();
    let names: Vec<_> = (0..1_500).map(|number| user(&format!("user-{number}"))).collect();
    for number in [3_usize, 700, 1_499] {
        let revision = Revision::new(u64::try_from(number).unwrap());
        store
            .save_preference(&names[number], preference(Idle, 1), revision)
            .await
            .unwrap();
    }
    let asked: Vec<_> = names.iter().rev().cloned().collect();
    let rows = store.load_many(&asked).await.unwrap();
    let found: Vec<_> = rows
        .iter()
        .enumerate()
        .filter_map(|(place, row)| Some((1_499 - place, row.as_ref()?.stored.revision.get())))
        .collect();
    assert_eq!(rows.len(), 1_500);
    assert_eq!(found, [(1_499, 1_499), (700, 700), (3, 3)]);
}

#[tokio::test]
async fn an_older_choice_never_replaces_a_newer_one() {
    let place = Place::new();
    let store = place.open();
    store.choose("alice", DoNotDisturb, 200).await.unwrap();
    store.choose("alice", Idle, 100).await.unwrap();
    assert_eq!(store.chosen("alice").await, Some(DoNotDisturb));
    let row = store.load(&user("alice")).await.unwrap().unwrap();
    assert_eq!(row.stored.preference.set_at, Some(wall(200)));
    let timeless = Preference {
        set_at: None,
        ..preference(Online, 0)
    };
    store
        .save_preference(&user("alice"), timeless, Revision::new(300))
        .await
        .unwrap();
    assert_eq!(store.chosen("alice").await, Some(DoNotDisturb));
    store.choose("alice", Idle, 200).await.unwrap();
    assert_eq!(
        store.chosen("alice").await,
        Some(Idle),
        "of two of one moment the later one holds"
    );
}

#[tokio::test]
async fn a_status_behind_the_revision_on_disk_moves_times_alone() {
    let place = Place::new();
    let store = place.open();
    store
        .save_statuses(vec![status("alice", Status::Idle, 10)])
        .await
        .unwrap();
    let late = StatusRow {
        last_seen: Some(wall(2_000)),
        last_active: Some(wall(1_500)),
        ..status("alice", Status::Offline, 9)
    };
    store.save_statuses(vec![late]).await.unwrap();
    let row = store.load(&user("alice")).await.unwrap().unwrap();
    assert_eq!(row.stored.status, Status::Idle);
    assert!(row.connected);
    assert_eq!(row.stored.last_seen, Some(wall(2_000)));
    assert_eq!(row.stored.last_active, Some(wall(1_500)));
    assert_eq!(row.stored.revision, Revision::new(10));
}

#[tokio::test]
async fn times_never_go_back_and_never_become_unknown() {
    let place = Place::new();
    let store = place.open();
    let known = StatusRow {
        last_active: Some(wall(900)),
        ..status("alice", Status::Online, 1)
    };
    let unknown = StatusRow {
        last_seen: None,
        last_active: None,
        ..status("alice", Status::Online, 2)
    };
    let earlier = StatusRow {
        last_seen: Some(wall(500)),
        last_active: Some(wall(400)),
        ..status("alice", Status::Online, 3)
    };
    store.save_statuses(vec![known, unknown, earlier]).await.unwrap();
    store
        .save_report(&user("alice"), report("app", 300), times(300))
        .await
        .unwrap();
    let row = store.load(&user("alice")).await.unwrap().unwrap();
    assert_eq!(row.stored.last_seen, Some(wall(1_000)));
    assert_eq!(row.stored.last_active, Some(wall(900)));
}

#[tokio::test]
async fn a_report_ends_alone_together_or_by_its_time() {
    let place = Place::new();
    let store = place.open();
    let alice = user("alice");
    for source in ["a", "b", "c", "d"] {
        store.save_report(&alice, report(source, 10), times(10)).await.unwrap();
    }
    let sources = async || -> String {
        let row = store.load(&alice).await.unwrap().unwrap();
        row.reports.iter().map(|report| report.source.to_string()).collect()
    };
    store
        .end_report(&alice, &"b".parse().unwrap(), times(20))
        .await
        .unwrap();
    assert_eq!(sources().await, "acd");
    let seen = store.load(&alice).await.unwrap().unwrap().stored.last_seen;
    assert_eq!(seen, Some(wall(20)));

    let expired = |source: &str| ExpiredReport {
        user: alice.clone(),
        source: source.parse().unwrap(),
        heard: wall(10),
    };
    store.save_report(&alice, report("c", 30), times(30)).await.unwrap();
    store.expire_reports(vec![expired("a"), expired("c")]).await.unwrap();
    assert_eq!(sources().await, "cd", "c was refreshed after the moment that expired");
    store.end_reports(&alice).await.unwrap();
    assert_eq!(sources().await, "");
}

#[tokio::test]
async fn an_older_report_never_replaces_a_newer_one_of_its_source() {
    let place = Place::new();
    let store = place.open();
    let alice = user("alice");
    store.save_report(&alice, report("app", 20), times(20)).await.unwrap();
    let older = ReportRow {
        status: Idle,
        ..report("app", 10)
    };
    store.save_report(&alice, older, times(10)).await.unwrap();
    let row = store.load(&alice).await.unwrap().unwrap();
    assert_eq!(row.reports, [report("app", 20)]);
}

#[tokio::test]
async fn nothing_late_brings_a_forgotten_user_back() {
    let place = Place::new();
    let store = place.open();
    let alice = user("alice");
    store.choose("alice", Idle, 10).await.unwrap();
    store.save_report(&alice, report("app", 10), times(10)).await.unwrap();
    store.forget(&alice, Revision::new(20)).await.unwrap();
    assert_eq!(store.load(&alice).await, Ok(None));

    assert_eq!(store.choose("alice", Idle, 20).await, Err(StoreError::Forgotten));
    let mixed = vec![status("alice", Status::Online, 20), status("bob", Status::Online, 20)];
    store.save_statuses(mixed).await.unwrap();
    assert_eq!(store.load(&alice).await, Ok(None));
    assert_eq!(
        store.chosen("bob").await,
        Some(Online),
        "the others of the batch are stored"
    );

    store.choose("alice", DoNotDisturb, 21).await.unwrap();
    let anew = store.load(&alice).await.unwrap().unwrap();
    assert_eq!(anew.stored.preference, preference(DoNotDisturb, 21));
    assert_eq!((anew.reports.len(), anew.stored.last_seen), (0, None));
    store.close();
    let left = std::fs::read(place.path()).unwrap();
    assert!(place.bytes().len() == 1 && left.windows(5).any(|bytes| bytes == b"alice"));
}

#[tokio::test]
async fn a_start_finds_the_mark_and_whoever_may_be_present() {
    let place = Place::new();
    let (store, startup) = place.start();
    assert_eq!(startup, Startup::default());
    store
        .save_statuses(vec![
            status("connected", Status::Online, 1),
            status("gone", Status::Offline, 2),
        ])
        .await
        .unwrap();
    store
        .save_report(&user("reported"), report("app", 5), times(5))
        .await
        .unwrap();
    store.choose("absent", Idle, 3).await.unwrap();
    let heartbeat = |wall, ceiling, clean| Heartbeat {
        wall: self::wall(wall),
        ceiling,
        clean,
    };
    store.save_heartbeat(heartbeat(1_000, 70_000_000, false)).await.unwrap();
    store.save_heartbeat(heartbeat(2_000, 60_000_000, true)).await.unwrap();
    store.close();
    let (_, startup) = place.start();
    assert_eq!(
        startup.heartbeat,
        Some(heartbeat(2_000, 70_000_000, true)),
        "a ceiling never goes down"
    );
    let names: Vec<_> = startup
        .present
        .iter()
        .map(|(user, row)| (user.as_str(), row.connected))
        .collect();
    assert_eq!(names, [("connected", true), ("reported", false)]);
}

#[tokio::test]
async fn a_row_that_cannot_be_understood_is_left_out_of_a_start() {
    let place = Place::new();
    let (store, _) = place.start();
    store
        .save_statuses(vec![status("alice", Status::Online, 1)])
        .await
        .unwrap();
    store
        .save_report(&user("bob"), report("app", 5), times(5))
        .await
        .unwrap();
    store.close();
    place
        .connect()
        .execute_batch(
            "INSERT INTO profile (user_id, connected) VALUES (' no user id ', 1), (CAST(x'ff41' AS TEXT), 1);
             INSERT INTO report SELECT user_id, 'no source', status, since, heard, ordered_at, NULL, NULL FROM report;",
        )
        .unwrap();
    let (_, startup) = place.start();
    let names: Vec<_> = startup
        .present
        .iter()
        .map(|(user, row)| (user.as_str(), row.reports.len()))
        .collect();
    assert_eq!(names, [("alice", 0), ("bob", 1)]);
}
