//! Several writers at once: requests of one transaction, transactions that lose a conflict, and sessions of other programs.

use std::io::Write as _;

use presence::CustomStatus::{DoNotDisturb, Idle};
use presence::{Revision, Status};
use tokio::task::JoinHandle;

use super::{TestDatabase, is_unavailable, until};
use crate::store::tests::fixture::{status, user, wall};
use crate::store::{Store, StoreError};

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

/// Queues a write behind those that wait already.
async fn queue<W>(store: &Store, write: impl FnOnce(Store) -> W) -> JoinHandle<()>
where
    W: Future<Output = Result<(), StoreError>> + Send + 'static,
{
    let pushed = store.requests().writes.pushed();
    let writing = write(store.clone());
    let task = tokio::spawn(async move { writing.await.unwrap() });
    until(async || store.requests().writes.pushed() > pushed).await;
    task
}

async fn queue_custom(store: &Store, name: &'static str) -> JoinHandle<()> {
    queue(store, async move |store| {
        store.set_custom(name, Idle, 1).await.map(drop)
    })
    .await
}

async fn queue_status(store: &Store, name: &'static str, revision: u64) -> JoinHandle<()> {
    let rows = vec![status(name, Status::Online, revision)];
    queue(store, async move |store| store.save_statuses(rows).await).await
}

/// Waits until the writer has taken all that is queued.
async fn all_are_taken(store: &Store) {
    until(async || store.requests().writes.waiting() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_wait_for_one_batch_of_rows_and_share_no_transaction_with_it() {
    let database = TestDatabase::shared();
    let store = database.open_node().await;
    let held = store.hold_commits();
    let mut all = vec![queue_custom(&store, "first").await];
    all_are_taken(&store).await;
    for name in ["row-1", "row-2", "row-3"] {
        all.push(queue_status(&store, name, 1).await);
    }
    for name in ["alice", "bob"] {
        all.push(queue_custom(&store, name).await);
    }
    drop(held);
    for task in all {
        task.await.unwrap();
    }
    let transactions = database.sql("SELECT string_agg(user_id, ' ' ORDER BY xmin::text::int8, user_id) FROM profile");
    assert_eq!(transactions, "first row-1 alice bob row-2 row-3");
    let count = "SELECT count(DISTINCT xmin::text) FROM profile";
    assert_eq!(database.sql(count), "5", "the custom statuses share one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_queued_behind_a_forget_are_not_written_before_it() {
    let database = TestDatabase::shared();
    let store = database.open_node().await;
    let held = store.hold_commits();
    let first = queue_custom(&store, "first").await;
    all_are_taken(&store).await;
    let forget = queue(&store, async |store| {
        store.forget(&user("alice"), Revision::new(5), wall(1)).await
    });
    let forget = forget.await;
    let row = queue_status(&store, "alice", 9).await;
    drop(held);
    for task in [first, forget, row] {
        task.await.unwrap();
    }
    assert_eq!(
        database.sql("SELECT revision FROM profile WHERE user_id = 'alice'"),
        "9"
    );
}
