//! A write that comes after its user was forgotten does not bring the user back, whatever handle it comes from.

use presence::CustomStatus::{DoNotDisturb, Idle, Online};
use presence::{NodeName, Revision, Status, Version};

use super::on_every_backend;
use crate::store::tests::fixture::{Backend, heartbeat, status, user, wall};
use crate::store::{ExpiredReport, Store, StoreError};

on_every_backend! {
    a_forgotten_user_has_no_row,
    a_late_write_does_not_bring_a_forgotten_user_back,
    a_tombstone_holds_for_other_handles_and_after_a_restart,
    a_user_forgotten_twice_keeps_the_higher_revision,
    a_user_forgotten_again_after_a_return_stays_forgotten,
    versions_of_a_user_go_on_after_a_forget,
    a_late_expiry_takes_no_report_made_after_a_forget,
    tombstones_go_by_revision_and_never_by_the_wall_clock,
    pruning_goes_on_until_nothing_is_left_to_prune,
    a_pruning_that_fails_leaves_the_rest_for_later,
    a_forget_that_failed_leaves_no_tombstone,
}

async fn forget(store: &Store, name: &str, revision: u64, now: i64) {
    let forgotten = store.forget(&user(name), Revision::new(revision), wall(now)).await;
    forgotten.unwrap();
}

async fn a_forgotten_user_has_no_row(backend: Backend) {
    let store = backend.open();
    store.report("alice", "app").await;
    store.set_custom("alice", Idle, 10).await.unwrap();
    store.set_custom("bob", Idle, 10).await.unwrap();
    forget(&store, "alice", 20, 1).await;
    assert_eq!(store.row("alice").await, None);
    assert_eq!(store.custom("bob").await, Some(Idle));
    let (store, startup) = backend.restart(&store);
    assert_eq!(startup.present, [], "and no report");
    forget(&store, "never seen", 1, 1).await;
}

async fn a_late_write_does_not_bring_a_forgotten_user_back(backend: Backend) {
    let store = backend.open();
    store.set_custom("alice", Idle, 10).await.unwrap();
    forget(&store, "alice", 20, 1).await;
    for revision in [1, 19, 20] {
        let late = store.set_custom("alice", Idle, revision).await;
        assert_eq!(late, Err(StoreError::Forgotten), "{revision}");
    }
    let mixed = vec![status("alice", Status::Online, 20), status("bob", Status::Online, 20)];
    store.save_statuses(mixed).await.unwrap();
    assert_eq!(store.row("alice").await, None);
    assert_eq!(
        store.custom("bob").await,
        Some(Online),
        "the others of the list are stored"
    );

    store.set_custom("alice", DoNotDisturb, 21).await.unwrap();
    let anew = store.row("alice").await.unwrap();
    assert_eq!(anew.durable.preference.custom, DoNotDisturb);
    assert_eq!((anew.durable.reports.len(), anew.last_seen), (0, None));
    store
        .save_statuses(vec![status("alice", Status::Idle, 22)])
        .await
        .unwrap();
    assert_eq!(store.row("alice").await.unwrap().status, Status::Idle);
}

async fn a_tombstone_holds_for_other_handles_and_after_a_restart(backend: Backend) {
    let (store, other) = (backend.open(), backend.beside());
    // The other one has written already, and knows of no tombstone then.
    other.set_custom("alice", Idle, 10).await.unwrap();
    forget(&store, "alice", 20, 1).await;
    let late = async |store: &Store| {
        assert_eq!(store.set_custom("alice", Idle, 20).await, Err(StoreError::Forgotten));
        store
            .save_statuses(vec![status("alice", Status::Online, 20)])
            .await
            .unwrap();
        assert_eq!(store.row("alice").await, None);
    };
    late(&other).await;
    other.close();
    let (store, _) = backend.restart(&store);
    late(&store).await;
    store.set_custom("alice", Idle, 21).await.unwrap();
}

async fn a_user_forgotten_twice_keeps_the_higher_revision(backend: Backend) {
    let store = backend.open();
    for (revision, highest) in [(20, 20), (10, 20), (30, 30)] {
        forget(&store, "alice", revision, 1).await;
        assert_eq!(
            store.set_custom("alice", Idle, highest).await,
            Err(StoreError::Forgotten)
        );
    }
    store.set_custom("alice", Idle, 31).await.unwrap();
}

async fn a_user_forgotten_again_after_a_return_stays_forgotten(backend: Backend) {
    let store = backend.open();
    forget(&store, "alice", 10, 1).await;
    store.set_custom("alice", Idle, 11).await.unwrap();
    forget(&store, "alice", 12, 2).await;
    assert_eq!(store.set_custom("alice", Idle, 12).await, Err(StoreError::Forgotten));
    assert_eq!(store.row("alice").await, None);
}

async fn versions_of_a_user_go_on_after_a_forget(backend: Backend) {
    let store = backend.open();
    store.report("alice", "app").await;
    let before = store.set_custom("alice", Idle, 10).await.unwrap().version;
    forget(&store, "alice", 20, 1).await;
    // Forgotten once more, while there is nothing.
    forget(&store, "alice", 20, 1).await;
    let (store, _) = backend.restart(&store);
    let anew = store.set_custom("alice", Idle, 21).await.unwrap();
    assert_eq!((anew.version, anew.preference.version), (before.next(), before.next()));
    forget(&store, "alice", 30, 1).await;
    let reported = store.report("alice", "app").await;
    assert_eq!(reported.version, before.next().next());
    assert_eq!(store.set_custom("bob", Idle, 1).await.unwrap().version, Version::new(1));
}

async fn a_late_expiry_takes_no_report_made_after_a_forget(backend: Backend) {
    let store = backend.open();
    let expired = ExpiredReport {
        user: user("alice"),
        source: "app".parse().unwrap(),
        version: store.report("alice", "app").await.version,
    };
    forget(&store, "alice", 20, 1).await;
    let again = store.report("alice", "app").await;
    store.expire_reports(vec![expired]).await.unwrap();
    assert_eq!(store.durable("alice").await, again);
}

async fn tombstones_go_by_revision_and_never_by_the_wall_clock(backend: Backend) {
    let store = backend.open();
    forget(&store, "alice", 20, 0).await;
    forget(&store, "bob", 21, 0).await;
    // Each of these readings is a day ahead.
    forget(&store, "carol", 22, DAY).await;
    store
        .save_heartbeat(&NodeName::new("here"), heartbeat(DAY, 1, false))
        .await
        .unwrap();
    let (store, _) = backend.restart(&store);
    store
        .save_heartbeat(&NodeName::new("here"), heartbeat(DAY, 1, false))
        .await
        .unwrap();
    store.prune_tombstones(Revision::new(19)).await.unwrap();
    let users = ["alice", "bob", "carol"].map(user);
    assert_eq!(
        store.removed_at(&users).await.unwrap(),
        [Some(20), Some(21), Some(22)].map(revision)
    );
    store.prune_tombstones(Revision::new(21)).await.unwrap();
    assert_eq!(
        store.removed_at(&users).await.unwrap(),
        [None, None, Some(22)].map(revision)
    );
    store.set_custom("bob", Idle, 1).await.unwrap();
    assert_eq!(store.set_custom("carol", Idle, 1).await, Err(StoreError::Forgotten));
}

const DAY: i64 = 86_400_000;

fn revision(number: Option<u64>) -> Option<Revision> {
    number.map(Revision::new)
}

async fn pruning_goes_on_until_nothing_is_left_to_prune(backend: Backend) {
    let store = backend.open();
    let names: Vec<String> = (0..1_100).map(|number| format!("user-{number}")).collect();
    for name in &names {
        forget(&store, name, 20, 1).await;
    }
    forget(&store, "later", 21, 1).await;
    store.prune_tombstones(Revision::new(20)).await.unwrap();
    let users: Vec<_> = names.iter().map(|name| user(name)).collect();
    let left = store.removed_at(&users).await.unwrap();
    assert_eq!(left.iter().flatten().count(), 0);
    assert_eq!(store.removed_at(&[user("later")]).await.unwrap(), [revision(Some(21))]);
}

async fn a_pruning_that_fails_leaves_the_rest_for_later(backend: Backend) {
    let store = backend.open();
    forget(&store, "alice", 20, 1).await;
    store.fail_commits(true);
    assert!(store.prune_tombstones(Revision::new(20)).await.is_err());
    store.fail_commits(false);
    assert_eq!(store.removed_at(&[user("alice")]).await.unwrap(), [revision(Some(20))]);
    store.prune_tombstones(Revision::new(30)).await.unwrap();
    assert_eq!(store.removed_at(&[user("alice")]).await.unwrap(), [None]);
}

async fn a_forget_that_failed_leaves_no_tombstone(backend: Backend) {
    let store = backend.open();
    store.set_custom("alice", Idle, 1).await.unwrap();
    store.fail_commits(true);
    let failed = store.forget(&user("alice"), Revision::new(9), wall(1)).await;
    assert!(matches!(failed, Err(StoreError::Unavailable { .. })), "{failed:?}");
    store.fail_commits(false);
    assert_eq!(store.custom("alice").await, Some(Idle));
    store.set_custom("alice", DoNotDisturb, 5).await.unwrap();
    assert_eq!(store.custom("alice").await, Some(DoNotDisturb));
}
