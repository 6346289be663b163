//! In a cluster the log says when a user was forgotten: what was written before goes, what was written since stays, in
//! whatever order the database is told.

use presence::CustomStatus::{DoNotDisturb, Idle, Online};
use presence::{Revision, Status, Version};

use super::on_every_backend;
use crate::store::tests::fixture::{Backend, preference, report, status, times, user, wall};
use crate::store::{DurableRow, ExpiredReport, Store, StoreError};

on_every_backend! {
    everything_before_the_tombstone_is_deleted,
    late_writes_of_another_node_do_not_bring_the_user_back,
    the_part_that_is_left_is_above_all_that_others_read,
    forgetting_again_changes_nothing_more,
    forgetting_again_deletes_what_came_late,
    a_custom_status_set_since_stays,
    a_report_made_since_stays_without_the_older_parts,
    a_status_written_since_stays,
    a_deletion_that_comes_an_hour_late_spares_the_user_who_returned,
    a_deletion_whose_outcome_is_unknown_can_be_repeated,
}

/// The revision of the tombstone in the log of the tests.
const REVISION: u64 = 20;

async fn forget(store: &Store, name: &str, version: u64) -> DurableRow {
    let (user, revision) = (user(name), Revision::new(REVISION));
    let forgotten = store.forget_older(&user, revision, Version::new(version), wall(1));
    forgotten.await.unwrap()
}

/// Only a version.
fn nothing(version: u64) -> DurableRow {
    DurableRow {
        version: Version::new(version),
        ..DurableRow::default()
    }
}

async fn everything_before_the_tombstone_is_deleted(backend: Backend) {
    let store = backend.node();
    store.report("alice", "app").await;
    store.set_custom("alice", DoNotDisturb, 10).await.unwrap();
    store
        .save_statuses(vec![status("alice", Status::DoNotDisturb, REVISION)])
        .await
        .unwrap();
    store.set_custom("bob", Idle, 10).await.unwrap();
    assert_eq!(forget(&store, "alice", 2).await, nothing(3));
    assert_eq!(store.row("alice").await, None);
    assert_eq!(store.custom("bob").await, Some(Idle));
    let listed = store.load_present(None, 10).await.unwrap();
    assert_eq!(listed.len(), 0, "and no report");
    assert_eq!(forget(&store, "never seen", 0).await, nothing(1));
    assert_eq!(store.row("never seen").await, None);
}

async fn late_writes_of_another_node_do_not_bring_the_user_back(backend: Backend) {
    let (store, other, alice) = (backend.node(), backend.node(), user("alice"));
    let reported = other.report("alice", "app").await;
    store.set_custom("alice", Idle, 10).await.unwrap();
    forget(&store, "alice", 2).await;
    for revision in [1, REVISION] {
        let late = other.save_preference(
            &alice,
            preference(DoNotDisturb, 1),
            Version::new(1),
            Revision::new(revision),
        );
        assert_eq!(late.await, Err(StoreError::Forgotten), "{revision}");
    }
    let late = vec![
        status("alice", Status::Online, 1),
        status("alice", Status::Idle, REVISION),
    ];
    other.save_statuses(late).await.unwrap();
    let expired = ExpiredReport {
        user: user("alice"),
        source: "app".parse().unwrap(),
        version: reported.version,
    };
    other.expire_reports(vec![expired]).await.unwrap();
    other
        .mark_published(vec![(user("alice"), reported.version)])
        .await
        .unwrap();
    assert_eq!(store.row("alice").await, None);
}

async fn the_part_that_is_left_is_above_all_that_others_read(backend: Backend) {
    let (store, other) = (backend.node(), backend.node());
    store.set_custom("alice", DoNotDisturb, 10).await.unwrap();
    // The log did not have this end of reports when it had the user forgotten. Its writer knows the old custom status.
    let read = other.end_reports(&user("alice"), Version::new(1)).await.unwrap();
    assert_eq!((read.preference.custom, read.version), (DoNotDisturb, Version::new(2)));
    assert_eq!(forget(&store, "alice", 1).await, nothing(3));
    assert_eq!(store.row("alice").await, None);
    // Whoever comes next goes on above that, whatever version it knew.
    assert_eq!(other.report("alice", "app").await.version, Version::new(4));
}

async fn forgetting_again_changes_nothing_more(backend: Backend) {
    let (store, other) = (backend.node(), backend.node());
    store.set_custom("alice", Idle, 10).await.unwrap();
    for store in [&store, &other, &store] {
        assert_eq!(forget(store, "alice", 1).await, nothing(2));
        assert_eq!(store.row("alice").await, None);
        let removed = store.removed_at(&[user("alice")]).await.unwrap();
        assert_eq!(removed, [Some(Revision::new(REVISION))]);
    }
    // Also when the tombstone of the database is gone by then.
    store.prune_tombstones(Revision::new(REVISION)).await.unwrap();
    assert_eq!(forget(&store, "alice", 1).await, nothing(2));
    assert_eq!(store.row("alice").await, None);
}

async fn forgetting_again_deletes_what_came_late(backend: Backend) {
    let store = backend.node();
    store.set_custom("alice", Idle, 10).await.unwrap();
    forget(&store, "alice", 1).await;
    // As a database does that lost the tombstone in a failover.
    store.prune_tombstones(Revision::new(REVISION)).await.unwrap();
    store.set_custom("alice", Idle, 10).await.unwrap();
    store
        .save_statuses(vec![status("alice", Status::Online, REVISION)])
        .await
        .unwrap();
    assert_eq!(forget(&store, "alice", 1).await, nothing(2));
    assert_eq!(store.row("alice").await, None);
}

async fn a_custom_status_set_since_stays(backend: Backend) {
    let store = backend.node();
    store.report("alice", "app").await;
    let set = store.set_custom("alice", DoNotDisturb, REVISION + 1).await.unwrap();
    store.mark_published(vec![(user("alice"), set.version)]).await.unwrap();
    let left = forget(&store, "alice", 1).await;
    assert_eq!((left.version, left.preference), (Version::new(3), set.preference));
    assert_eq!(left.reports, [], "the report was of before");
    assert_eq!(store.durable("alice").await, left);
    let marked = store.unpublished(std::time::Duration::ZERO, None, 10).await.unwrap();
    assert_eq!(marked.len(), 1, "others may know it with the report");
    assert_eq!(forget(&store, "alice", 1).await, left, "and once is enough");
}

async fn a_report_made_since_stays_without_the_older_parts(backend: Backend) {
    let store = backend.node();
    store.set_custom("alice", DoNotDisturb, 10).await.unwrap();
    store.report("alice", "older").await;
    store
        .save_statuses(vec![status("alice", Status::DoNotDisturb, 15)])
        .await
        .unwrap();
    let alice = user("alice");
    let newer = store.save_report(&alice, report("newer", 7_000), times(7_000), Version::NONE);
    assert_eq!(newer.await.unwrap().version, Version::new(3));
    let left = forget(&store, "alice", 2).await;
    assert_eq!(left.version, Version::new(4));
    assert_eq!(
        (left.preference.custom, left.preference.set_at, left.preference.set_by),
        (Online, None, None)
    );
    let sources: Vec<_> = left.reports.iter().map(|one| one.source.as_str()).collect();
    assert_eq!(sources, ["newer"]);
    let row = store.row("alice").await.unwrap();
    assert_eq!(row.durable, left);
    assert_eq!(
        (row.status, row.since, row.connected_on.len()),
        (Status::Offline, None, 0)
    );
    assert_eq!((row.last_seen, row.last_active), (Some(wall(7_000)), None));
}

async fn a_status_written_since_stays(backend: Backend) {
    let store = backend.node();
    store.set_custom("alice", DoNotDisturb, 10).await.unwrap();
    store
        .save_statuses(vec![status("alice", Status::Idle, REVISION + 1)])
        .await
        .unwrap();
    let left = forget(&store, "alice", 1).await;
    assert_eq!((left.version, left.preference.custom), (Version::new(2), Online));
    let row = store.row("alice").await.unwrap();
    assert_eq!((row.status, row.revision), (Status::Idle, Revision::new(REVISION + 1)));
    assert_eq!((row.since, row.last_seen), (Some(wall(1_000)), Some(wall(1_000))));
}

async fn a_deletion_that_comes_an_hour_late_spares_the_user_who_returned(backend: Backend) {
    let (store, other) = (backend.node(), backend.node());
    store.set_custom("alice", Idle, 10).await.unwrap();
    forget(&store, "alice", 1).await;
    let set = other.set_custom("alice", DoNotDisturb, REVISION + 1).await.unwrap();
    other
        .save_statuses(vec![status("alice", Status::DoNotDisturb, REVISION + 2)])
        .await
        .unwrap();
    let before = store.row("alice").await;
    assert_eq!(forget(&store, "alice", 1).await, set);
    assert_eq!(store.row("alice").await, before);
    // By a report alone, which has no revision.
    forget(&store, "bob", 1).await;
    let reported = other.report("bob", "app").await;
    assert_eq!(forget(&store, "bob", 1).await, reported);
    assert_eq!(store.durable("bob").await, reported);
}

async fn a_deletion_whose_outcome_is_unknown_can_be_repeated(backend: Backend) {
    let store = backend.node();
    store.set_custom("alice", Idle, 10).await.unwrap();
    store.lose_answers(true);
    let alice = user("alice");
    let forget_once = || store.forget_older(&alice, Revision::new(REVISION), Version::new(1), wall(1));
    assert_eq!(forget_once().await, Err(StoreError::UnknownOutcome));
    store.lose_answers(false);
    store.fail_commits(true);
    assert!(forget_once().await.is_err());
    store.fail_commits(false);
    assert_eq!(forget(&store, "alice", 1).await, nothing(2));
}
