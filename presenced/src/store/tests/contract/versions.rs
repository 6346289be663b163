//! Each write of the durable part takes the next version, and answers with the whole part as it is stored then.

use presence::CustomStatus::{DoNotDisturb, Idle, Online};
use presence::{Preference, Revision, Version};

use super::on_every_backend;
use crate::store::tests::fixture::{Backend, preference, report, status, times, user, wall};
use crate::store::{DurableRow, ExpiredReport, StoreError};

on_every_backend! {
    a_write_takes_the_version_after_the_stored_one,
    a_write_takes_the_version_after_a_higher_proposed_one,
    every_write_returns_the_durable_part_that_is_stored,
    versions_of_concurrent_writers_differ_and_grow,
    the_later_custom_status_holds_though_its_clock_was_behind,
    a_status_does_not_touch_the_durable_part,
    a_custom_status_raises_the_revision_and_never_lowers_it,
    a_refused_write_changes_nothing,
}

async fn a_write_takes_the_version_after_the_stored_one(backend: Backend) {
    let store = backend.open();
    let alice = user("alice");
    let source = "app".parse().unwrap();
    assert_eq!(
        store.set_custom("alice", Idle, 1).await.unwrap().version,
        Version::new(1)
    );
    assert_eq!(store.report("alice", "app").await.version, Version::new(2));
    let ended = store
        .end_report(&alice, &source, times(1), Version::NONE)
        .await
        .unwrap();
    assert_eq!(ended.version, Version::new(3));
    let ended = store
        .end_report(&alice, &source, times(1), Version::NONE)
        .await
        .unwrap();
    assert_eq!(ended.version, Version::new(4), "though there was none to end");
    let ended = store.end_reports(&alice, Version::NONE).await.unwrap();
    assert_eq!(ended.version, Version::new(5));
    let saved = store.set_custom("alice", Online, 1).await.unwrap();
    assert_eq!(
        (saved.version, saved.preference.version),
        (Version::new(6), Version::new(6))
    );
}

async fn a_write_takes_the_version_after_a_higher_proposed_one(backend: Backend) {
    let store = backend.open();
    let (alice, bob, source) = (user("alice"), user("bob"), "app".parse().unwrap());
    let known = Version::new(1_000);
    let saved = store.save_preference(&alice, preference(Idle, 1), known, Revision::new(1));
    let saved = saved.await.unwrap();
    assert_eq!((saved.version, saved.preference.version), (known.next(), known.next()));
    let saved = store.save_preference(&alice, preference(Online, 2), Version::new(2_000), Revision::new(1));
    assert_eq!(saved.await.unwrap().version, Version::new(2_001));
    let saved = store.save_report(&alice, report("app", 1), times(1), Version::new(3_000));
    let saved = saved.await.unwrap();
    assert_eq!(
        (saved.version, saved.reports[0].version),
        (Version::new(3_001), Version::new(3_001))
    );
    let ended = store
        .end_report(&alice, &source, times(1), Version::new(4_000))
        .await
        .unwrap();
    assert_eq!(ended.version, Version::new(4_001));
    let ended = store.end_reports(&alice, Version::new(5_000)).await.unwrap();
    assert_eq!(ended.version, Version::new(5_001));
    let saved = store
        .save_report(&bob, report("app", 1), times(1), known)
        .await
        .unwrap();
    assert_eq!(saved.version, known.next(), "of a user not yet stored as well");
    let behind = store.save_preference(&alice, preference(Idle, 1), known, Revision::new(1));
    assert_eq!(
        behind.await.unwrap().version,
        Version::new(5_002),
        "a lower one is no help"
    );
}

async fn every_write_returns_the_durable_part_that_is_stored(backend: Backend) {
    let (store, other) = (backend.open(), backend.beside());
    let alice = user("alice");
    let mut before = DurableRow::default();
    let check = async |before: &mut DurableRow, returned: Result<DurableRow, StoreError>| {
        let returned = returned.unwrap();
        assert_eq!(returned, other.durable("alice").await);
        assert!(returned.version > before.version);
        *before = returned;
    };
    check(&mut before, Ok(store.report("alice", "app").await)).await;
    check(&mut before, Ok(store.report("alice", "phone").await)).await;
    check(&mut before, store.set_custom("alice", DoNotDisturb, 7).await).await;
    assert_eq!(before.reports.len(), 2, "with what other writes left");
    let refreshed = store.save_report(&alice, report("app", 2_000), times(2_000), Version::NONE);
    check(&mut before, refreshed.await).await;
    assert_eq!(before.preference.custom, DoNotDisturb);
    let source = "app".parse().unwrap();
    let ended = store.end_report(&alice, &source, times(2_001), Version::NONE);
    check(&mut before, ended.await).await;
    assert_eq!(before.reports.len(), 1);
    check(&mut before, store.end_reports(&alice, Version::NONE).await).await;
    assert_eq!((before.reports.len(), before.preference.custom), (0, DoNotDisturb));
    let unknown = store.end_reports(&user("unknown"), Version::new(7)).await;
    assert_eq!(unknown, Ok(DurableRow::default()), "and makes no user");
    assert_eq!(store.row("unknown").await, None);
}

async fn versions_of_concurrent_writers_differ_and_grow(backend: Backend) {
    const WRITERS: usize = 8;
    const WRITES: usize = 25;
    let handles = [backend.open(), backend.beside()];
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| {
            let store = handles[number % 2].clone();
            tokio::spawn(async move {
                let mut own = Vec::new();
                for write in 0..WRITES {
                    let part = if write % 2 == number % 2 {
                        let part = store.set_custom("alice", Idle, 1).await.unwrap();
                        assert_eq!(part.preference.version, part.version, "its own write is in the part");
                        part
                    } else {
                        let source = format!("source-{number}");
                        let part = store.report("alice", &source).await;
                        let is_own = |one: &&crate::store::ReportRow| one.source.as_str() == source;
                        assert_eq!(part.reports.iter().find(is_own).unwrap().version, part.version);
                        part
                    };
                    own.push(part.version);
                }
                assert!(own.is_sorted_by(|earlier, later| earlier < later));
                own
            })
        })
        .collect();
    let mut all = Vec::new();
    for writer in writers {
        all.extend(writer.await.unwrap());
    }
    all.sort_unstable();
    let expected: Vec<_> = (1..=200).map(Version::new).collect();
    assert_eq!(all, expected, "each version was given once");
    assert_eq!(handles[0].durable("alice").await.version, Version::new(200));
}

async fn the_later_custom_status_holds_though_its_clock_was_behind(backend: Backend) {
    let store = backend.open();
    let alice = user("alice");
    for (custom, set_at) in [(DoNotDisturb, 200), (Idle, 100), (Online, -5)] {
        let saved = store.save_preference(&alice, preference(custom, set_at), Version::NONE, Revision::new(1));
        saved.await.unwrap();
        let held = store.durable("alice").await.preference;
        assert_eq!((held.custom, held.set_at), (custom, Some(wall(set_at))));
    }
    store.report("alice", "app").await;
    let older = store.save_report(&alice, report("app", 10), times(10), Version::NONE);
    assert_eq!(older.await.unwrap().reports[0].heard, wall(10), "so it is with reports");
}

async fn a_status_does_not_touch_the_durable_part(backend: Backend) {
    let store = backend.open();
    store.report("alice", "app").await;
    let before = store.set_custom("alice", Idle, 1).await.unwrap();
    let row = status("alice", presence::Status::Online, 100);
    store.save_statuses(vec![row]).await.unwrap();
    assert_eq!(store.durable("alice").await, before);
    let other = status("bob", presence::Status::Online, 100);
    store.save_statuses(vec![other]).await.unwrap();
    assert_eq!(store.durable("bob").await, DurableRow::default());
    assert_eq!(store.durable("bob").await.preference, Preference::default());
}

async fn a_custom_status_raises_the_revision_and_never_lowers_it(backend: Backend) {
    let store = backend.open();
    for (revision, expected) in [(10, 10), (5, 10), (11, 11)] {
        store.set_custom("alice", Idle, revision).await.unwrap();
        let stored = store.row("alice").await.unwrap().revision;
        assert_eq!(stored, Revision::new(expected));
    }
}

async fn a_refused_write_changes_nothing(backend: Backend) {
    let store = backend.open();
    let (alice, impossible) = (user("alice"), Version::new(u64::MAX));
    store.report("alice", "app").await;
    store.set_custom("alice", Idle, 1).await.unwrap();
    let before = store.row("alice").await;
    let writes = [
        store
            .save_preference(&alice, preference(Online, 1), Version::NONE, Revision::new(u64::MAX))
            .await,
        store
            .save_preference(&alice, preference(Online, 1), impossible, Revision::new(9))
            .await,
        store
            .save_report(&alice, report("new", 9_000), times(9_000), impossible)
            .await,
        store.end_reports(&alice, impossible).await,
        store
            .save_preference(
                &alice,
                preference(Online, 1),
                Version::new(i64::MAX.unsigned_abs()),
                Revision::new(9),
            )
            .await,
    ];
    for refused in writes {
        assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
    }
    let expired = ExpiredReport {
        user: alice.clone(),
        source: "app".parse().unwrap(),
        version: impossible,
    };
    let refused = store.expire_reports(vec![expired]).await;
    assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
    let mut beyond = status("alice", presence::Status::Online, u64::MAX);
    beyond.last_seen = Some(wall(9_000));
    let refused = store.save_statuses(vec![beyond]).await;
    assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
    assert_eq!(store.row("alice").await, before);
    assert!(store.health().writable, "it is the request's own fault");
}
