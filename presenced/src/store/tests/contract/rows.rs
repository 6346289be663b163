//! What is acknowledged is stored as it was given, and is found again by every handle and after a restart.

use presence::CustomStatus::{DoNotDisturb, Idle};
use presence::{Actor, Preference, Revision, Status, Version};

use super::on_every_backend;
use crate::store::tests::fixture::{Backend, nodes, preference, report, status, times, user, wall};
use crate::store::{DurableRow, NewReport, ReportRow, Row, StatusRow};

on_every_backend! {
    a_user_that_was_never_stored_has_no_row,
    everything_about_a_user_survives_a_restart,
    an_acknowledged_write_is_read_by_another_handle_at_once,
    rows_come_in_the_order_asked_with_gaps_for_unknown_users,
    users_that_differ_in_one_byte_are_different,
    a_closed_store_refuses_every_call,
}

async fn a_user_that_was_never_stored_has_no_row(backend: Backend) {
    assert_eq!(backend.open().row("alice").await, None);
}

/// What is stored after the writes of the test below.
fn row_with_everything() -> Row {
    Row {
        durable: DurableRow {
            version: Version::new(3),
            preference: Preference {
                custom: DoNotDisturb,
                set_at: Some(wall(3)),
                set_by: Some(Actor::User),
                version: Version::new(1),
            },
            reports: vec![
                ReportRow {
                    source: "app".parse().unwrap(),
                    status: presence::CustomStatus::Online,
                    since: wall(9),
                    heard: wall(9),
                    version: Version::new(3),
                    said: Version::new(3),
                    last_active: None,
                    expires_at: None,
                },
                ReportRow {
                    source: "desk.phone".parse().unwrap(),
                    status: Idle,
                    since: wall(5),
                    heard: wall(7),
                    version: Version::new(2),
                    said: Version::new(1),
                    last_active: Some(wall(6)),
                    expires_at: Some(wall(90_000)),
                },
            ],
        },
        status: Status::DoNotDisturb,
        since: Some(wall(5)),
        connected_on: nodes(&["north", "south \"\\'"]),
        // The report was later than the status.
        last_seen: Some(wall(9)),
        last_active: Some(wall(6)),
        revision: Revision::new(10),
    }
}

async fn everything_about_a_user_survives_a_restart(backend: Backend) {
    let (store, _) = backend.start();
    let name = "alice \u{202e}'; DROP TABLE profile; -- \u{1f600}\"\\";
    let alice = user(name);
    let phone = NewReport {
        status: Idle,
        said: Some(Version::new(1)),
        since: wall(5),
        last_active: Some(wall(6)),
        expires_at: Some(wall(90_000)),
        ..report("desk.phone", 7)
    };
    let saved = store.save_preference(&alice, preference(DoNotDisturb, 3), Version::NONE, Revision::new(4));
    saved.await.unwrap();
    let saved = store.save_report(&alice, phone, times(7), Version::new(1));
    saved.await.unwrap();
    let saved = store.save_report(&alice, report("app", 9), times(9), Version::new(2));
    saved.await.unwrap();
    let line = StatusRow {
        user: alice.clone(),
        since: Some(wall(5)),
        connected_on: nodes(&["north", "south \"\\'"]),
        last_active: Some(wall(6)),
        last_seen: Some(wall(8)),
        ..status("x", Status::DoNotDisturb, 10)
    };
    store.save_statuses(vec![line]).await.unwrap();
    let expected = row_with_everything();
    assert_eq!(store.row(name).await.as_ref(), Some(&expected));
    let (store, startup) = backend.restart(&store);
    assert_eq!(store.row(name).await.as_ref(), Some(&expected));
    assert_eq!(startup.present, [(alice, expected)]);
}

async fn an_acknowledged_write_is_read_by_another_handle_at_once(backend: Backend) {
    let (one, other) = (backend.open(), backend.beside());
    for number in 1..=50 {
        let saved = one.set_custom("alice", Idle, number).await.unwrap();
        assert_eq!(other.durable("alice").await, saved);
    }
}

async fn rows_come_in_the_order_asked_with_gaps_for_unknown_users(backend: Backend) {
    let store = backend.open();
    let names: Vec<_> = (0..1_500).map(|number| format!("user-{number}")).collect();
    for number in [3_usize, 700, 1_499] {
        let revision = u64::try_from(number).unwrap();
        store.set_custom(&names[number], Idle, revision).await.unwrap();
    }
    let asked: Vec<_> = names.iter().rev().map(|name| user(name)).collect();
    let rows = store.rows(&asked).await;
    let found: Vec<_> = rows
        .iter()
        .enumerate()
        .filter_map(|(index, row)| Some((1_499 - index, row.as_ref()?.revision.get())))
        .collect();
    assert_eq!(rows.len(), 1_500);
    assert_eq!(found, [(1_499, 1_499), (700, 700), (3, 3)]);
}

async fn users_that_differ_in_one_byte_are_different(backend: Backend) {
    let store = backend.open();
    // The second é is an e with an accent to be put on it; no collation may take them for one.
    for name in ["alice", "Alice", "caf\u{e9}", "cafe\u{301}", "cafe"] {
        assert_eq!(store.row(name).await, None, "{name}");
        store.set_custom(name, Idle, 1).await.unwrap();
    }
}

async fn a_closed_store_refuses_every_call(backend: Backend) {
    let store = backend.open();
    store.close();
    let closed = crate::store::StoreError::Closed;
    assert_eq!(store.set_custom("alice", Idle, 1).await, Err(closed.clone()));
    assert_eq!(store.load(&user("alice")).await, Err(closed.clone()));
    assert_eq!(store.settle_unknown_outcomes().await, Err(closed));
    store.close();
}
