//! Several writers at once: requests of one transaction, transactions that lose a conflict, and sessions of other programs.

use std::io::Write as _;

use presence::CustomStatus::{DoNotDisturb, Idle};

use super::{TestDatabase, is_unavailable, until};
use crate::store::StoreError;

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
        let sql = "SELECT count(*) FROM pg_stat_activity
             WHERE state = 'idle in transaction' AND query LIKE '%FOR UPDATE%' AND datname = current_database()";
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

/// Makes so many of the next writes of this user fail with this error of PostgreSQL. No rollback undoes that one was counted.
fn fail_writes(database: &TestDatabase<'_>, name: &str, code: &str, count: u32) {
    database.sql(&format!(
        "CREATE SEQUENCE IF NOT EXISTS attempt; SELECT setval('attempt', 1, false);
         CREATE OR REPLACE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           IF NEW.user_id = '{name}' AND nextval('attempt') <= {count} THEN
             RAISE EXCEPTION 'lost' USING ERRCODE = '{code}';
           END IF;
           RETURN NEW; END $$;
         CREATE OR REPLACE TRIGGER lose AFTER INSERT OR UPDATE ON profile FOR EACH ROW EXECUTE FUNCTION lose();"
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_loses_a_conflict_is_begun_anew_and_not_for_ever() {
    let database = TestDatabase::shared();
    let store = database.open().await;
    for code in ["40001", "40P01"] {
        fail_writes(&database, "alice", code, 3);
        let saved = store.set_custom("alice", Idle, 1).await.unwrap();
        assert_eq!(store.durable("alice").await, saved, "{code}");
        fail_writes(&database, "alice", code, 1_000);
        let refused = store.set_custom("alice", DoNotDisturb, 1).await;
        assert!(is_unavailable(&refused), "{refused:?}");
        assert_eq!(
            database.sql("SELECT last_value FROM attempt"),
            "5",
            "as often as it is tried"
        );
        fail_writes(&database, "alice", code, 0);
        assert_eq!(store.durable("alice").await, saved);
        store.set_custom("bob", Idle, 1).await.unwrap();
    }
}
