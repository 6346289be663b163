//! Several nodes that write the same users at once.

use std::time::Duration;

use presence::CustomStatus::{DoNotDisturb, Idle};
use presence::{Revision, Status, UserId, Version};
use tokio::task::JoinHandle;

use super::{DEADLINE, SOON, TestDatabase, statuses, until};
use crate::store::fault_injection::Held;
use crate::store::tests::fixture::{report, status, times, user, wall};
use crate::store::tests::postgres_server::{Disk, PostgresServer};
use crate::store::{Access, DurableRow, ExpiredReport, OpenOptions, StatusRow, Store, StoreError};

const NODES: usize = 4;
const ROUNDS: usize = 4;
/// Users of a round, which are new in it: most are made by several nodes at once.
const USERS: usize = 60;

/// The users of a round in an order of its own for each node.
fn users(round: usize, node: usize) -> Vec<String> {
    // Each stride is coprime to the number of users.
    let stride = [1, 7, 59, 23][node % 4];
    let number = |index: usize| (index * stride + node * 13) % USERS;
    (0..USERS)
        .map(|index| format!("user-{round}-{:02}", number(index)))
        .collect()
}

/// Does it until it succeeds: on a slow machine another node may hold a lock for too long.
async fn done(write: impl AsyncFn() -> Result<(), StoreError>) {
    until(async || write().await.is_ok()).await;
}

/// Everything that a node writes, at once, so that transactions have requests of all kinds.
async fn write(store: &Store, round: usize, node: usize) {
    let names = users(round, node);
    let revision = (round * 10 + node + 1) as u64;
    let rows = || -> Vec<StatusRow> {
        let row = |name: &String| StatusRow {
            published: Some(Version::new(2)),
            ..status(name, Status::Online, revision)
        };
        names.iter().map(row).collect()
    };
    let versions = || -> Vec<(UserId, Version)> { names.iter().map(|name| (user(name), Version::new(3))).collect() };
    let expired = || -> Vec<ExpiredReport> {
        let expired = |name: &String| ExpiredReport {
            user: user(name),
            source: "app".parse().unwrap(),
            version: Version::new(1),
        };
        names.iter().map(expired).collect()
    };
    let durable = names.iter().enumerate().map(|(index, name)| {
        done(async move || {
            let user = user(name);
            let written = match (index + node) % 4 {
                0 => store.set_custom(name, Idle, revision).await,
                1 => {
                    store
                        .save_report(&user, report("app", 1), times(1), Version::NONE)
                        .await
                }
                2 => store.end_reports(&user, Version::NONE).await,
                _ if index == node => {
                    store
                        .forget_older(&user, Revision::new(1), Version::new(1), wall(1))
                        .await
                }
                _ => store.set_custom(name, DoNotDisturb, revision).await,
            };
            written.map(drop)
        })
    });
    tokio::join!(
        futures_util::future::join_all(durable),
        done(async || store.save_statuses(rows()).await),
        done(async || store.expire_reports(expired()).await),
        done(async || store.mark_published(versions()).await),
        done(async || store.prune_tombstones(Revision::new(1)).await),
    );
}

/// A server that finds a deadlock before a node gives up waiting for a lock.
fn server() -> PostgresServer {
    let server = PostgresServer::start(Disk::Unsynced);
    server.configure("deadlock_timeout = 10ms");
    server.reload();
    server
}

async fn nodes(database: &TestDatabase<'_>) -> Vec<Store> {
    let opening = (0..NODES).map(|_| database.open_node());
    futures_util::future::join_all(opening).await
}

fn assert_no_deadlock(database: &TestDatabase<'_>) {
    let deadlocks = database.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()");
    assert_eq!(deadlocks, "0");
    let log = database.server.log();
    assert!(!log.contains("deadlock detected"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_make_the_same_users_do_not_deadlock() {
    let server = server();
    let database = TestDatabase::on(&server);
    let stores = nodes(&database).await;
    // So that transactions meet.
    database.sql(
        "CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN PERFORM pg_sleep(0.0002); RETURN NEW; END $$;
         CREATE TRIGGER linger BEFORE INSERT ON profile FOR EACH ROW EXECUTE FUNCTION linger();",
    );
    for round in 0..ROUNDS {
        let nodes = stores.iter().enumerate().map(|(node, store)| write(store, round, node));
        futures_util::future::join_all(nodes).await;
    }
    assert_no_deadlock(&database);
    assert_eq!(
        database.sql("SELECT count(*) FROM profile"),
        (ROUNDS * USERS).to_string()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_write_the_same_users_do_not_deadlock() {
    let server = server();
    let database = TestDatabase::on(&server);
    let stores = nodes(&database).await;
    let many = |node: usize| -> Vec<usize> {
        let mut many: Vec<usize> = (0..500).collect();
        match node % 2 {
            0 => many,
            _ => {
                many.reverse();
                many
            }
        }
    };
    let write = async |(node, store): (usize, &Store)| {
        for round in 1..=10 {
            let rows = || statuses(many(node).into_iter(), round);
            let published = || -> Vec<(UserId, Version)> {
                let versions = many(node)
                    .into_iter()
                    .map(|number| (user(&format!("user-{number}")), Version::new(1)));
                versions.collect()
            };
            done(async || store.save_statuses(rows()).await).await;
            done(async || store.mark_published(published()).await).await;
        }
    };
    futures_util::future::join_all(stores.iter().enumerate().map(write)).await;
    assert_no_deadlock(&database);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_with_the_highest_revision_holds_whoever_wrote_it() {
    let database = TestDatabase::shared();
    let (one, other) = (database.open_node().await, database.open_node().await);
    let write = async |store: &Store, first: u64| {
        for round in 0..10 {
            let rows = || statuses(0..50, first + round * 2);
            done(async || store.save_statuses(rows()).await).await;
        }
    };
    tokio::join!(write(&one, 1), write(&other, 2));
    assert_eq!(database.sql("SELECT DISTINCT revision FROM profile"), "20");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forget_and_late_writes_of_another_node_never_leave_the_user() {
    let database = TestDatabase::shared();
    let (one, other) = (database.open_node().await, database.open_node().await);
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

/// Writes in a transaction that stands still before its commit, with the locks of what it writes.
async fn write_up_to_the_commit(store: &Store) -> (Held<'_>, JoinHandle<Result<DurableRow, StoreError>>) {
    let held = store.hold_commits();
    let other = store.clone();
    let writing = tokio::spawn(async move { other.set_custom("alice", Idle, 1).await });
    until(async || held.has_stopped_any()).await;
    (held, writing)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stands_still_with_locks_fails_no_write_of_another() {
    let database = TestDatabase::shared();
    let (stopped, other) = (database.open_node().await, database.open_node().await);
    let (held, writing) = write_up_to_the_commit(&stopped).await;
    let saved = other.set_custom("alice", DoNotDisturb, 2).await.unwrap();
    assert_eq!(other.durable("alice").await, saved);
    drop(held);
    // Its caller still waits: it is done after all, behind the other.
    let late = writing.await.unwrap().unwrap();
    assert!(late.version > saved.version, "{late:?} {saved:?}");
    assert_eq!(other.durable("alice").await, late);
    assert!(stopped.health().writable && other.health().writable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stood_still_does_not_repeat_what_its_caller_gave_up() {
    let database = TestDatabase::shared();
    let impatient = OpenOptions {
        access: Access::Shared,
        answer_within: Duration::ZERO,
        ..OpenOptions::default()
    };
    let (stopped, _) = database.start_with(&database.url(), None, &impatient).await.unwrap();
    let other = database.open_node().await;
    // The writer does nothing twice. Its caller waits, so that the transaction begins.
    stopped.answer_within(SOON);
    let (held, writing) = write_up_to_the_commit(&stopped).await;
    assert_eq!(writing.await.unwrap(), Err(StoreError::UnknownOutcome));
    let saved = other.set_custom("alice", DoNotDisturb, 2).await.unwrap();
    drop(held);
    stopped.answer_within(DEADLINE);
    until(async || stopped.settle_unknown_outcomes().await.is_ok()).await;
    assert_eq!(other.durable("alice").await, saved);
}
