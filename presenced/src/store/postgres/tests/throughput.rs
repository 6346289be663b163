//! How many custom statuses are durable in a second. It measures and asserts nothing: `cargo test --release -p presenced
//! durable_writes -- --ignored --nocapture`, on a machine that does nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use presence::CustomStatus::Idle;

use super::TestDatabase;
use crate::clock::Stopwatch;
use crate::store::Store;
use crate::store::tests::fixture::Backend;
use crate::store::tests::postgres_server::{Disk, PostgresServer};

/// For how long each is measured.
const MEASURED: Duration = Duration::from_secs(3);

async fn measure(kind: &str, store: &Store, callers: usize) {
    let (watch, written) = (Stopwatch::start(), Arc::new(AtomicU64::new(0)));
    let writers = (0..callers).map(|number| {
        let (store, written) = (store.clone(), Arc::clone(&written));
        tokio::spawn(async move {
            let name = format!("user-{number}");
            while watch.elapsed() < MEASURED {
                store.set_custom(&name, Idle, 1).await.unwrap();
                written.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    futures_util::future::join_all(writers).await;
    let rate = written.load(Ordering::Relaxed) as f64 / watch.elapsed().as_secs_f64();
    eprintln!("{kind}, {callers} callers: {rate:.0} durable writes a second");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures for twelve seconds"]
async fn durable_writes_a_second_of_both_stores() {
    let server = PostgresServer::start(Disk::Synced);
    let database = TestDatabase::on(&server);
    let (sqlite, postgres) = (Backend::sqlite(), database.open().await);
    let file = sqlite.open();
    for callers in [1, 64] {
        measure("SQLite", &file, callers).await;
        measure("PostgreSQL", &postgres, callers).await;
    }
}
