//! Statuses and times, written behind: a lower revision changes no status, and times only grow.

use std::sync::Arc;

use presence::{Revision, Status, Version};

use super::on_every_backend;
use crate::store::tests::fixture::{Backend, nodes, report, status, times, user, wall};
use crate::store::{ReportTimes, StatusRow};

on_every_backend! {
    a_status_of_a_lower_revision_moves_times_alone,
    a_status_of_the_same_revision_replaces_the_stored_one,
    times_never_go_back_and_never_become_unknown,
    a_report_moves_times_forward_alone,
    a_long_list_of_statuses_is_stored_as_a_whole,
    the_nodes_of_a_user_are_those_of_the_highest_revision,
}

async fn a_status_of_a_lower_revision_moves_times_alone(backend: Backend) {
    let store = backend.open();
    store
        .save_statuses(vec![status("alice", Status::Idle, 10)])
        .await
        .unwrap();
    let late = StatusRow {
        since: Some(wall(1_900)),
        last_seen: Some(wall(2_000)),
        last_active: Some(wall(1_500)),
        ..status("alice", Status::Offline, 9)
    };
    store.save_statuses(vec![late]).await.unwrap();
    let row = store.row("alice").await.unwrap();
    assert_eq!((row.status, row.since), (Status::Idle, Some(wall(1_000))));
    assert_eq!(row.connected_on, nodes(&["here"]));
    assert_eq!((row.last_seen, row.last_active), (Some(wall(2_000)), Some(wall(1_500))));
    assert_eq!(row.revision, Revision::new(10));
}

async fn a_status_of_the_same_revision_replaces_the_stored_one(backend: Backend) {
    let store = backend.open();
    for state in [Status::Idle, Status::Offline] {
        store.save_statuses(vec![status("alice", state, 10)]).await.unwrap();
        assert_eq!(store.row("alice").await.unwrap().status, state);
    }
}

async fn times_never_go_back_and_never_become_unknown(backend: Backend) {
    let store = backend.open();
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
    let alice = user("alice");
    let reported = store.save_report(&alice, report("app", 300), times(300), Version::NONE);
    reported.await.unwrap();
    let row = store.row("alice").await.unwrap();
    assert_eq!((row.last_seen, row.last_active), (Some(wall(1_000)), Some(wall(900))));
}

async fn a_report_moves_times_forward_alone(backend: Backend) {
    let store = backend.open();
    let alice = user("alice");
    let moved = |last_seen, last_active: Option<i64>| ReportTimes {
        last_seen: wall(last_seen),
        last_active: last_active.map(wall),
    };
    let source = "app".parse().unwrap();
    for (times, expected) in [
        (moved(100, None), (100, None)),
        (moved(200, Some(200)), (200, Some(200))),
        (moved(150, Some(150)), (200, Some(200))),
        (moved(300, None), (300, Some(200))),
    ] {
        let saved = store.save_report(&alice, report("app", 1), times, Version::NONE);
        saved.await.unwrap();
        let row = store.row("alice").await.unwrap();
        assert_eq!(
            (row.last_seen, row.last_active),
            (Some(wall(expected.0)), expected.1.map(wall))
        );
    }
    let ended = store.end_report(&alice, &source, moved(400, Some(400)), Version::NONE);
    ended.await.unwrap();
    let row = store.row("alice").await.unwrap();
    assert_eq!((row.last_seen, row.last_active), (Some(wall(400)), Some(wall(400))));
}

async fn a_long_list_of_statuses_is_stored_as_a_whole(backend: Backend) {
    let store = backend.open();
    let names: Vec<_> = (0..1_300).map(|number| format!("user-{number}")).collect();
    let rows = names.iter().map(|name| status(name, Status::Online, 1));
    store.save_statuses(rows.collect()).await.unwrap();
    let users: Vec<_> = names.iter().map(|name| user(name)).collect();
    let stored = store.rows(&users).await;
    assert!(stored.iter().all(|row| row.as_ref().unwrap().status == Status::Online));
}

async fn the_nodes_of_a_user_are_those_of_the_highest_revision(backend: Backend) {
    let store = backend.open();
    for (names, revision, expected) in [
        (&["north", "south"][..], 5, &["north", "south"][..]),
        (&["south"], 4, &["north", "south"]),
        (&["south"], 6, &["south"]),
        (&[], 7, &[]),
    ] {
        let row = StatusRow {
            connected_on: nodes(names),
            ..status("alice", Status::Online, revision)
        };
        store.save_statuses(vec![row]).await.unwrap();
        assert_eq!(store.row("alice").await.unwrap().connected_on, nodes(expected));
    }
    assert_eq!(store.row("alice").await.unwrap().connected_on, Arc::default());
}
