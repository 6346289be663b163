//! Several writers at once: nodes, requests of one transaction, and sessions of other programs.

use std::io::Write as _;

use presence::CustomStatus::{DoNotDisturb, Idle};
use presence::Revision;

use super::{TestDatabase, is_unavailable, set_until_done, statuses, until};
use crate::store::StoreError;
use crate::store::tests::fixture::{user, wall};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_can_not_be_stored_fails_alone() {
    let database = TestDatabase::shared();
    let store = database.open().await;
    database.sql("ALTER TABLE profile ADD CHECK (user_id <> 'bad')");
    // What comes while this one hangs shares the next transaction.
    let held = store.hold_commits();
    let first = tokio::spawn({
        let store = store.clone();
        async move { store.set_custom("first", Idle, 1).await }
    });
    let names = ["alice", "bad", "bob"];
    let others = names.map(|name| {
        let store = store.clone();
        tokio::spawn(async move { store.set_custom(name, DoNotDisturb, 1).await })
    });
    drop(held);
    first.await.unwrap().unwrap();
    for (name, other) in names.into_iter().zip(others) {
        let answer = other.await.unwrap();
        match name {
            "bad" => assert!(matches!(answer, Err(StoreError::Refused { .. })), "{answer:?}"),
            name => assert_eq!(store.durable(name).await, answer.unwrap()),
        }
    }
    assert!(store.health().writable, "it is the request's own fault");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_write_the_same_users_do_not_deadlock() {
    let database = TestDatabase::shared();
    let (one, other) = (database.open_beside().await, database.open_beside().await);
    let write = async |store: &crate::store::Store, is_backwards: bool| {
        for round in 1..=30_u64 {
            let rows = || match is_backwards {
                true => statuses((0..200).rev(), round),
                false => statuses(0..200, round),
            };
            let name = format!("user-{}", round % 5);
            // On a slow machine the other may hold a lock for too long.
            let saving = until(async || store.save_statuses(rows()).await.is_ok());
            tokio::join!(saving, set_until_done(store, &name, Idle));
        }
    };
    tokio::join!(write(&one, false), write(&other, true));
    let deadlocks = database.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()");
    assert_eq!(deadlocks, "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forget_and_late_writes_of_another_node_never_leave_the_user() {
    let database = TestDatabase::shared();
    let (one, other) = (database.open_beside().await, database.open_beside().await);
    for round in 1..=40_u64 {
        let (revision, alice) = (round * 10, user("alice"));
        other.set_custom("alice", Idle, revision - 1).await.unwrap();
        let forget = one.forget(&alice, Revision::new(revision), wall(1));
        let late = other.set_custom("alice", DoNotDisturb, revision);
        let (forgotten, late) = tokio::join!(forget, late);
        forgotten.unwrap();
        // Before the forget, or too late.
        assert!(matches!(late, Ok(_) | Err(StoreError::Forgotten)), "{late:?}");
        assert_eq!(one.row("alice").await, None, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_another_session_locks_keeps_its_own_user_waiting_alone() {
    let database = TestDatabase::shared();
    let store = database.open().await;
    store.set_custom("alice", Idle, 1).await.unwrap();
    let mut session = database.server.session(&database.name);
    let input = session.stdin.as_mut().unwrap();
    writeln!(
        input,
        "BEGIN; SELECT 1 FROM profile WHERE user_id = 'alice' FOR UPDATE;"
    )
    .unwrap();
    until(async || {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = current_database()";
        database.sql(sql) == "1"
    })
    .await;
    let (alice, bob) = tokio::join!(store.set_custom("alice", Idle, 2), store.set_custom("bob", Idle, 2));
    assert!(is_unavailable(&alice), "{alice:?}");
    bob.unwrap();
    drop(session.stdin.take());
    session.wait().unwrap();
    store.set_custom("alice", Idle, 3).await.unwrap();
}
