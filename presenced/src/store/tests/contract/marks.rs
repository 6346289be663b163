//! What a node of a cluster writes of the durable part is marked until the log has it.

use std::time::Duration;

use presence::CustomStatus::{DoNotDisturb, Idle};
use presence::{Status, Version};

use super::on_every_backend;
use crate::store::tests::fixture::{Backend, status, times, user};
use crate::store::{DurableRow, ExpiredReport, StatusRow, Store};

on_every_backend! {
    every_write_of_the_durable_part_marks_its_user,
    writes_beside_the_durable_part_mark_nobody,
    a_daemon_alone_marks_nobody_and_leaves_marks,
    a_mark_is_cleared_up_to_the_published_version,
    a_status_clears_the_mark_with_it,
    a_status_with_an_older_part_than_is_stored_sets_the_mark,
    a_mark_comes_up_once_it_is_old_enough,
    a_user_who_is_written_again_and_again_comes_up,
    a_mark_from_the_future_comes_up_at_once,
    marked_users_come_in_pages_with_their_rows,
    a_mark_survives_a_restart,
}

/// Whoever is marked, however long.
async fn marked(store: &Store) -> Vec<String> {
    marked_for(store, Duration::ZERO).await
}

async fn marked_for(store: &Store, marked_for: Duration) -> Vec<String> {
    let found = store.unpublished(marked_for, None, 1_000).await.unwrap();
    found.into_iter().map(|(user, _)| user.as_str().to_owned()).collect()
}

async fn publish(store: &Store, name: &str, version: u64) {
    let published = store.mark_published(vec![(user(name), Version::new(version))]);
    published.await.unwrap();
}

async fn every_write_of_the_durable_part_marks_its_user(backend: Backend) {
    let store = backend.node();
    let (alice, source) = (user("alice"), "app".parse().unwrap());
    let check = async |part: DurableRow| {
        assert_eq!(marked(&store).await, ["alice"], "version {:?}", part.version);
        publish(&store, "alice", part.version.get()).await;
        assert_eq!(marked(&store).await, [""; 0]);
    };
    check(store.set_custom("alice", Idle, 1).await.unwrap()).await;
    check(store.report("alice", "app").await).await;
    check(store.report("alice", "app").await).await;
    let ended = store.end_report(&alice, &source, times(1), Version::NONE);
    check(ended.await.unwrap()).await;
    let not_there = store.end_report(&alice, &source, times(1), Version::NONE);
    not_there.await.unwrap();
    assert_eq!(marked(&store).await, [""; 0], "the end of a report that is not there");
    check(store.end_reports(&alice, Version::NONE).await.unwrap()).await;
    let reported = store.report("alice", "app").await;
    check(reported.clone()).await;
    let expired = ExpiredReport {
        user: alice.clone(),
        source,
        version: reported.version,
    };
    store.expire_reports(vec![expired]).await.unwrap();
    check(store.durable("alice").await).await;
    store.end_reports(&user("unknown"), Version::NONE).await.unwrap();
    assert_eq!(marked(&store).await, [""; 0]);
}

async fn writes_beside_the_durable_part_mark_nobody(backend: Backend) {
    let store = backend.node();
    store
        .save_statuses(vec![status("alice", Status::Online, 1)])
        .await
        .unwrap();
    let expired = ExpiredReport {
        user: user("alice"),
        source: "app".parse().unwrap(),
        version: Version::new(1),
    };
    store.expire_reports(vec![expired]).await.unwrap();
    assert_eq!(marked(&store).await, [""; 0]);
}

async fn a_daemon_alone_marks_nobody_and_leaves_marks(backend: Backend) {
    let store = backend.open();
    let node = backend.node();
    store.set_custom("alice", Idle, 1).await.unwrap();
    store.report("bob", "app").await;
    assert_eq!(marked(&node).await, [""; 0]);
    node.set_custom("alice", Idle, 2).await.unwrap();
    store.set_custom("alice", DoNotDisturb, 3).await.unwrap();
    store
        .save_statuses(vec![status("alice", Status::Online, 4)])
        .await
        .unwrap();
    assert_eq!(marked(&node).await, ["alice"]);
}

async fn a_mark_is_cleared_up_to_the_published_version(backend: Backend) {
    let (store, other) = (backend.node(), backend.node());
    store.set_custom("alice", Idle, 1).await.unwrap();
    other.set_custom("alice", DoNotDisturb, 1).await.unwrap();
    publish(&store, "alice", 1).await;
    assert_eq!(marked(&other).await, ["alice"], "version 2 is not published");
    let twice = [(1, "bob"), (2, "alice"), (1, "alice"), (9, "unknown")];
    let versions = twice.map(|(version, name)| (user(name), Version::new(version)));
    store.mark_published(versions.to_vec()).await.unwrap();
    assert_eq!(marked(&other).await, [""; 0]);
    assert_eq!(store.row("unknown").await, None);
    store.set_custom("alice", Idle, 1).await.unwrap();
    publish(&store, "alice", 2).await;
    assert_eq!(
        marked(&other).await,
        ["alice"],
        "a late publication is none of the next version"
    );
    publish(&store, "alice", u64::MAX >> 1).await;
    assert_eq!(marked(&other).await, [""; 0]);
}

async fn a_status_clears_the_mark_with_it(backend: Backend) {
    let store = backend.node();
    store.set_custom("alice", Idle, 1).await.unwrap();
    store.set_custom("bob", Idle, 1).await.unwrap();
    store.set_custom("bob", DoNotDisturb, 1).await.unwrap();
    let row = |name, published| StatusRow {
        published,
        ..status(name, Status::Online, 5)
    };
    store.save_statuses(vec![row("alice", None)]).await.unwrap();
    assert_eq!(marked(&store).await, ["alice", "bob"]);
    let first = Some(Version::new(1));
    store.fail_commits(true);
    let failed = store.save_statuses(vec![row("alice", first)]).await;
    assert!(failed.is_err());
    store.fail_commits(false);
    assert_eq!(marked(&store).await, ["alice", "bob"], "with the status or not at all");
    store
        .save_statuses(vec![row("bob", first), row("alice", first)])
        .await
        .unwrap();
    assert_eq!(marked(&store).await, ["bob"]);
    assert_eq!(store.row("bob").await.unwrap().status, Status::Online);
    // Of a status that is too old to be stored the version is as published.
    let old = StatusRow {
        published: Some(Version::new(2)),
        ..status("bob", Status::Idle, 1)
    };
    store.save_statuses(vec![old]).await.unwrap();
    assert_eq!(marked(&store).await, [""; 0]);
}

const AGE: Duration = Duration::from_secs(10);

/// Moves all marks by this, as if the clock had.
fn shift_marks(backend: &Backend, by: &str) {
    backend.sql(&format!(
        "UPDATE profile SET unpublished = unpublished {by} WHERE unpublished IS NOT NULL"
    ));
}

async fn a_status_with_an_older_part_than_is_stored_sets_the_mark(backend: Backend) {
    let store = backend.node();
    for name in ["alice", "bob"] {
        store.set_custom(name, Idle, 1).await.unwrap();
        store.set_custom(name, DoNotDisturb, 1).await.unwrap();
        publish(&store, name, 2).await;
    }
    assert_eq!(marked(&store).await, [""; 0]);
    let row = |name, revision, version| StatusRow {
        published: Some(Version::new(version)),
        ..status(name, Status::Online, revision)
    };
    // An entry that came late, after the user was dropped with version 2.
    store.save_statuses(vec![row("alice", 5, 1)]).await.unwrap();
    assert_eq!(marked(&store).await, ["alice"]);
    assert_eq!(marked_for(&store, Duration::from_hours(1)).await, [""; 0], "since now");
    store.save_statuses(vec![row("alice", 6, 2)]).await.unwrap();
    assert_eq!(marked(&store).await, [""; 0]);
    // Of two in one batch the last one counts.
    let late_last = vec![
        row("bob", 5, 2),
        row("bob", 6, 1),
        row("alice", 7, 1),
        row("alice", 8, 2),
    ];
    store.save_statuses(late_last).await.unwrap();
    assert_eq!(marked(&store).await, ["bob"]);
}

async fn a_mark_comes_up_once_it_is_old_enough(backend: Backend) {
    let store = backend.node();
    store.set_custom("alice", Idle, 1).await.unwrap();
    assert_eq!(marked_for(&store, AGE * 30).await, [""; 0]);
    assert_eq!(marked(&store).await, ["alice"]);
    shift_marks(&backend, "- 10000");
    store.set_custom("bob", Idle, 1).await.unwrap();
    assert_eq!(marked_for(&store, AGE).await, ["alice"]);
}

async fn a_user_who_is_written_again_and_again_comes_up(backend: Backend) {
    let store = backend.node();
    store.report("alice", "app").await;
    shift_marks(&backend, "- 10000");
    store.report("alice", "app").await;
    assert_eq!(marked_for(&store, AGE).await, ["alice"]);
}

async fn a_mark_from_the_future_comes_up_at_once(backend: Backend) {
    let store = backend.node();
    store.set_custom("alice", Idle, 1).await.unwrap();
    shift_marks(&backend, "+ 86400000");
    assert_eq!(marked_for(&store, AGE).await, ["alice"]);
}

async fn marked_users_come_in_pages_with_their_rows(backend: Backend) {
    let store = backend.node();
    for number in 0..7 {
        store.set_custom(&format!("user-{number}"), Idle, 1).await.unwrap();
    }
    store.report("user-3", "app").await;
    store.report("user-3", "phone").await;
    publish(&store, "user-4", 1).await;
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.unpublished(Duration::ZERO, after.as_ref(), 2).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        found.extend(page);
    }
    let names: Vec<_> = found.iter().map(|(user, _)| user.as_str()).collect();
    assert_eq!(names, ["user-0", "user-1", "user-2", "user-3", "user-5", "user-6"]);
    for (listed, row) in found {
        assert_eq!(store.row(listed.as_str()).await, Some(row.unwrap()));
    }
}

async fn a_mark_survives_a_restart(backend: Backend) {
    let (store, _) = backend.start_node();
    store.set_custom("alice", Idle, 1).await.unwrap();
    store.close();
    let (store, _) = backend.start_node();
    assert_eq!(marked(&store).await, ["alice"]);
    store.close();
}
