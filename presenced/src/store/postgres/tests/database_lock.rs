//! Nodes of a cluster share a database, and nobody shares it with a daemon that is alone.

use std::io::Write as _;
use std::time::Duration;

use presence::CustomStatus::{DoNotDisturb, Idle};

use rustix::process::{Pid, Signal, kill_process};

use super::{LOCK, TestDatabase, fails_with, is_unavailable, set_until_done, until};
use crate::store::tests::postgres_server::{Disk, PostgresServer};
use crate::store::{OpenOptions, StoreError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_daemon_on_one_database_is_refused_until_the_first_has_ended() {
    let database = TestDatabase::shared();
    let store = database.open().await;
    let error = database.open_error(&database.url(), None).await;
    assert!(error.contains("is in use by presenced from 127.0.0.1"), "{error}");
    assert!(
        error.contains("the server): stop it, or use another --database"),
        "{error}"
    );
    store.set_custom("alice", Idle, 1).await.unwrap();
    // In a schema of its own it is another database.
    database.sql("CREATE SCHEMA other");
    let url = format!("{}&options=-csearch_path%3Dother", database.url());
    let other = database.open_at(&url, None).await.unwrap();
    assert_eq!(other.row("alice").await, None);
    other.close();
    store.close();
    let store = database.open().await;
    assert_eq!(store.custom("alice").await, Some(Idle));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_of_a_cluster_share_a_database_and_keep_a_daemon_alone_out() {
    let database = TestDatabase::shared();
    let (one, other) = (database.open_node().await, database.open_node().await);
    one.set_custom("alice", Idle, 1).await.unwrap();
    other.set_custom("alice", DoNotDisturb, 1).await.unwrap();
    assert_eq!(one.custom("alice").await, Some(DoNotDisturb));
    let error = database.open_error(&database.url(), None).await;
    assert!(
        error.contains("is in use by a cluster, by presenced from 127.0.0.1"),
        "{error}"
    );
    assert_eq!(
        error.matches("process ").count(),
        2,
        "each of the two is named: {error}"
    );
    assert!(error.contains("stop them, or give this one the --redis"), "{error}");
    one.close();
    assert!(database.open_error(&database.url(), None).await.contains("a cluster"));
    other.close();
    assert_eq!(database.open().await.custom("alice").await, Some(DoNotDisturb));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_alone_keeps_nodes_of_a_cluster_out() {
    let database = TestDatabase::shared();
    let alone = database.open().await;
    let error = match database.try_open_node().await {
        Ok(_) => panic!("it was opened"),
        Err(error) => error.to_string(),
    };
    assert!(error.contains("is in use by presenced from 127.0.0.1"), "{error}");
    assert!(error.contains("stop it, or give it the --redis of this one"), "{error}");
    alone.close();
    database.open_node().await.set_custom("alice", Idle, 1).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_go_on_together_after_their_connections_were_ended() {
    let database = TestDatabase::shared();
    let (one, other) = (database.open_node().await, database.open_node().await);
    for round in 0..3 {
        database.end_connections();
        let name = format!("user-{round}");
        tokio::join!(set_until_done(&one, &name, Idle), set_until_done(&other, &name, Idle));
        let holders = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        // A connection that was ended may hold it for a moment longer.
        until(async || database.sql(holders) == "2").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_in_whose_place_a_daemon_came_alone_writes_no_more() {
    let database = TestDatabase::shared();
    let node = database.open_node().await;
    node.set_custom("alice", Idle, 1).await.unwrap();
    // Somebody else is faster than its next connection.
    let mut session = database.server.session(&database.name);
    writeln!(session.stdin.as_mut().unwrap(), "{LOCK}").unwrap();
    let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    until(async || database.sql(waits) == "1").await;
    database.end_connections();
    until(async || {
        let _ = node.set_custom("alice", DoNotDisturb, 2).await;
        fails_with(&node, "another daemon has taken the database over")
    })
    .await;
    let refused = node.set_custom("alice", DoNotDisturb, 2).await;
    assert!(matches!(refused, Err(StoreError::Sealed { .. })), "{refused:?}");
    drop(session.stdin.take());
    session.wait().unwrap();
}

/// A process of the server that stands still, as one does whose disk does not answer. It goes on when this is dropped.
struct StandingStill(Pid);

impl StandingStill {
    fn new(pid: &str) -> Self {
        let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        Self(pid)
    }
}

impl Drop for StandingStill {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::CONT);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_earlier_connection_that_does_not_end_is_no_other_daemon() {
    let server = PostgresServer::start(Disk::Unsynced);
    let database = TestDatabase::on(&server);
    let options = OpenOptions {
        busy_timeout: Duration::from_millis(20),
        ..OpenOptions::patient()
    };
    let (store, _) = database.start_with(&database.url(), None, &options).await.unwrap();
    let holder = database.sql("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted");
    let stopped = StandingStill::new(&holder);
    // More often than connections are remembered.
    for attempt in 1..=12 {
        let refused = store.set_custom("alice", Idle, 1).await;
        assert!(is_unavailable(&refused), "{attempt}: {refused:?}");
    }
    assert!(
        fails_with(&store, "an earlier connection of this daemon still holds the lock"),
        "{:?}",
        store.health()
    );
    drop(stopped);
    set_until_done(&store, "alice", DoNotDisturb).await;
    assert!(store.health().writable);
}
