//! A server that stops, restarts, crashes, or ends connections: what was acknowledged is stored, and the store goes on by itself.

use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use presence::CustomStatus::{DoNotDisturb, Idle};
use presence::Version;

use super::lost_answers::through_proxy;
use super::proxy::{Network, Proxy};
use super::{TestDatabase, fails_with, is_unavailable, set_until_done, until};
use crate::store::tests::fixture::user;
use crate::store::tests::postgres_server::{Disk, PostgresServer};
use crate::store::{DurableRow, Store, StoreError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_stopped_is_used_again_when_it_is_back() {
    let server = PostgresServer::start(Disk::Unsynced);
    let database = TestDatabase::on(&server);
    let store = database.open().await;
    store.set_custom("alice", Idle, 1).await.unwrap();
    server.stop();
    assert!(is_unavailable(&store.set_custom("alice", DoNotDisturb, 2).await));
    assert!(is_unavailable(&store.load(&user("alice")).await));
    assert!(
        !store.health().writable && !store.health().restart_needed,
        "{:?}",
        store.health()
    );
    server.start_again();
    set_until_done(&store, "alice", DoNotDisturb).await;
    assert_eq!(store.custom("alice").await, Some(DoNotDisturb));
    assert!(store.health().writable);

    // Nobody writes meanwhile, so nobody notices.
    server.stop();
    server.start_again();
    assert_eq!(store.custom("alice").await, Some(DoNotDisturb));
    store.set_custom("alice", Idle, 3).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_right_after_the_server_is_back_is_taken() {
    let database = TestDatabase::shared();
    let (store, proxy) = through_proxy(&database).await;
    store.set_custom("alice", Idle, 1).await.unwrap();
    for revision in 2..5 {
        proxy.set(Network::Down);
        let refused = store.set_custom("alice", DoNotDisturb, revision).await;
        assert!(is_unavailable(&refused), "{refused:?}");
        proxy.set(Network::Works);
        let saved = store.set_custom("alice", DoNotDisturb, revision).await.unwrap();
        assert_eq!(saved.preference.custom, DoNotDisturb);
    }
}

/// A caller whose next write is queued within the answer to the one before: on a busy machine it may be as quick as that.
struct WritesAgain {
    store: Store,
    proxy: Proxy,
    next: Mutex<Option<BoxFuture<'static, Result<DurableRow, StoreError>>>>,
}

impl Wake for WritesAgain {
    fn wake(self: Arc<Self>) {
        self.proxy.set(Network::Works);
        let store = self.store.clone();
        let mut next = async move { store.set_custom("alice", DoNotDisturb, 3).await }.boxed();
        assert!(next.poll_unpin(&mut Context::from_waker(Waker::noop())).is_pending());
        *self.next.lock() = Some(next);
    }
}

/// The test has one thread, which is the network's too: nothing is answered before the first write waits for it.
#[tokio::test]
async fn a_write_within_the_answer_to_one_refused_is_taken() {
    let database = TestDatabase::shared();
    let (store, proxy) = through_proxy(&database).await;
    store.set_custom("alice", Idle, 1).await.unwrap();
    proxy.set(Network::Down);
    let caller = Arc::new(WritesAgain {
        store: store.clone(),
        proxy,
        next: Mutex::default(),
    });
    let mut refused = std::pin::pin!(store.set_custom("alice", DoNotDisturb, 2));
    let waker = Waker::from(Arc::clone(&caller));
    assert!(refused.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
    until(async || caller.next.lock().is_some()).await;
    let refused = refused.await;
    assert!(is_unavailable(&refused), "{refused:?}");
    let next = caller.next.lock().take().unwrap();
    assert_eq!(next.await.unwrap().preference.custom, DoNotDisturb);
}

/// Writes one user after the other until it is told to stop. The versions that were acknowledged.
fn keep_writing(
    store: &Store,
    stop: &std::sync::Arc<std::sync::atomic::AtomicBool>,
) -> Vec<tokio::task::JoinHandle<Version>> {
    let writers = (0..8).map(|number| {
        let (store, stop) = (store.clone(), stop.clone());
        tokio::spawn(async move {
            let mut acknowledged = Version::NONE;
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                if let Ok(part) = store.set_custom(&format!("user-{number}"), Idle, 1).await {
                    assert!(part.version > acknowledged);
                    acknowledged = part.version;
                }
                tokio::task::yield_now().await;
            }
            acknowledged
        })
    });
    writers.collect()
}

/// Lets a server fail under load, in this way, several times: nothing that was acknowledged is lost.
async fn fail_under_load(server: &PostgresServer, times: usize, fail: impl Fn(&TestDatabase<'_>)) {
    let database = TestDatabase::on(server);
    let store = database.open().await;
    let stop = std::sync::Arc::default();
    let writers = keep_writing(&store, &stop);
    for _ in 0..times {
        set_until_done(&store, "before", Idle).await;
        tokio::task::block_in_place(|| fail(&database));
        set_until_done(&store, "after", Idle).await;
    }
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    for (number, writer) in writers.into_iter().enumerate() {
        let acknowledged = writer.await.unwrap();
        until(async || store.settle_unknown_outcomes().await.is_ok()).await;
        let stored = store.durable(&format!("user-{number}")).await.version;
        assert!(stored >= acknowledged, "{stored:?} {acknowledged:?}");
        assert!(acknowledged > Version::NONE);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_ended_under_load_lose_nothing() {
    fail_under_load(PostgresServer::shared(), 10, |database| database.end_connections()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_restarts_or_crashes_under_load_loses_nothing() {
    let server = PostgresServer::start(Disk::Synced);
    fail_under_load(&server, 1, |database| {
        database.server.stop();
        database.server.start_again();
    })
    .await;
    fail_under_load(&server, 1, |database| {
        database.server.crash();
        database.server.start_again();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_server_stops_writes_alone() {
    let database = TestDatabase::shared();
    let store = database.open().await;
    store.set_custom("alice", Idle, 1).await.unwrap();
    database.sql(&format!(
        "ALTER DATABASE {} SET default_transaction_read_only = on",
        database.name
    ));
    database.end_connections();
    until(async || store.set_custom("alice", DoNotDisturb, 2).await.is_err() && fails_with(&store, "25006")).await;
    assert_eq!(store.custom("alice").await, Some(Idle));
    database.sql(&format!(
        "BEGIN READ WRITE; ALTER DATABASE {} RESET default_transaction_read_only; COMMIT",
        database.name
    ));
    database.end_connections();
    set_until_done(&store, "alice", DoNotDisturb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_of_the_server_stops_writes_alone() {
    let database = TestDatabase::shared();
    let store = database.open().await;
    store.set_custom("alice", Idle, 1).await.unwrap();
    // As the server says it, if not for its reason.
    database.sql(
        "CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$;
         CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON profile EXECUTE FUNCTION fill()",
    );
    assert!(is_unavailable(&store.set_custom("alice", DoNotDisturb, 2).await));
    assert!(fails_with(&store, "free some space"), "{:?}", store.health());
    assert_eq!(store.custom("alice").await, Some(Idle));
    database.sql("DROP TRIGGER full_disk ON profile");
    store.set_custom("alice", DoNotDisturb, 2).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_was_removed_seals_the_store() {
    let database = TestDatabase::shared();
    let store = database.open().await;
    store.set_custom("alice", Idle, 1).await.unwrap();
    database.sql("DROP TABLE report, profile");
    let sealed = store.set_custom("alice", Idle, 2).await;
    assert!(matches!(sealed, Err(StoreError::Sealed { .. })), "{sealed:?}");
    assert!(store.health().restart_needed);
}
