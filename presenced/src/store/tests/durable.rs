//! What is acknowledged is on disk, and many callers share few commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use presence::CustomStatus::{DoNotDisturb, Idle, Online};
use prometheus_client::encoding::text::encode;

use super::*;

/// The value of a figure of `/metrics`.
fn figure(registry: &Registry, name: &str) -> f64 {
    let mut text = String::new();
    encode(&mut text, registry).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.expect(name).parse().unwrap()
}

#[tokio::test]
async fn the_log_is_synced_at_every_commit() {
    let place = Place::new();
    let writer = super::super::connection::open_writer(&place.path_made(), Duration::from_secs(1)).unwrap();
    let full = writer.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0));
    assert_eq!(full, Ok(2));
    let mode = writer.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0));
    assert_eq!(mode, Ok("wal".to_owned()));
}

impl Place {
    fn path_made(&self) -> PathBuf {
        self.open().close();
        self.path()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_share_few_commits() {
    const CALLERS: i64 = 64;
    const EACH: i64 = 50;
    let place = Place::new();
    let mut registry = Registry::default();
    let metrics = StoreMetrics::register(&mut registry);
    let (store, _) = Store::open(&place.path(), &OpenOptions::default(), metrics).unwrap();
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in 1..=EACH {
                    store.choose(&format!("user-{caller}"), Idle, number).await.unwrap();
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let commits = figure(&registry, "store_commit_requests_count");
    let requests = figure(&registry, "store_commit_requests_sum");
    assert_eq!(requests, (CALLERS * EACH) as f64);
    assert!(commits * 8.0 <= requests, "{commits} commits for {requests} requests");
    assert_eq!(figure(&registry, "store_commit_seconds_count"), commits);
    assert_eq!(figure(&registry, "store_writes_waiting"), 0.0);
    let names: Vec<_> = (0..CALLERS).map(|caller| user(&format!("user-{caller}"))).collect();
    let rows = store.load_many(&names).await.unwrap();
    assert!(
        rows.iter()
            .flatten()
            .all(|row| row.stored.choice.set_at == Some(wall(EACH)))
    );
    assert_eq!(rows.iter().flatten().count(), names.len());
}

/// As a `kill -9` would leave the files, at many moments: no commit is folded in meanwhile (there are fewer than that
/// takes), so the database stands still, and its log only grows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_was_acknowledged_is_in_a_copy_of_the_files() {
    let place = Place::new();
    let store = place.open();
    let acknowledged = Arc::new(AtomicI64::new(0));
    let (writing, told) = (store.clone(), acknowledged.clone());
    let writer = tokio::spawn(async move {
        for number in 1..=300 {
            writing.choose(&format!("user-{number}"), Idle, number).await.unwrap();
            told.store(number, Ordering::SeqCst);
        }
    });
    for copy in 0..15 {
        wait_until(|| acknowledged.load(Ordering::SeqCst) >= copy * 20).await;
        let owed = acknowledged.load(Ordering::SeqCst);
        let crashed = Place::new();
        for name in ["presence.db", "presence.db-wal"] {
            let [from, to] = [&place, &crashed].map(|place| place.directory.path().join(name));
            std::fs::copy(from, to).unwrap();
        }
        let names: Vec<_> = (1..=owed).map(|number| user(&format!("user-{number}"))).collect();
        let found = crashed.open().load_many(&names).await.unwrap();
        assert_eq!(found.iter().flatten().count(), names.len());
    }
    writer.await.unwrap();
}

#[tokio::test]
async fn dropping_the_caller_does_not_undo_a_write_that_is_queued() {
    let place = Place::new();
    let store = place.open();
    let holder = place.connect();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let asking = store.clone();
    let caller = tokio::spawn(async move { asking.choose("alice", DoNotDisturb, 1).await });
    wait_until(|| store.inner.writes.pushed() == 1).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    holder.execute_batch("ROLLBACK").unwrap();
    store.choose("bob", Online, 1).await.unwrap();
    assert_eq!(store.chosen("alice").await, Some(DoNotDisturb));
}

#[tokio::test]
async fn closing_writes_what_is_queued_and_leaves_one_file() {
    let place = Place::new();
    let store = place.open();
    let writes: Vec<_> = (0..200)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.choose(&format!("user-{number}"), Idle, 1).await })
        })
        .collect();
    wait_until(|| store.inner.writes.pushed() == 200).await;
    store.close();
    for write in writes {
        write.await.unwrap().unwrap();
    }
    assert_eq!(place.bytes().len(), 1);
    let rows = place
        .connect()
        .query_row("SELECT count(*) FROM profile", [], |row| row.get(0));
    assert_eq!(rows, Ok(200));
}

#[tokio::test]
async fn the_log_is_folded_in_as_it_grows() {
    let place = Place::new();
    let store = place.open();
    for number in 1..=3_000 {
        store
            .choose(&format!("user-{}", number % 400), Idle, number)
            .await
            .unwrap();
    }
    let log = std::fs::metadata(place.directory.path().join("presence.db-wal"))
        .unwrap()
        .len();
    assert!(log < 6 * 1024 * 1024, "{log}");
    assert!(std::fs::metadata(place.path()).unwrap().len() > 8 * 4_096);
}

/// `PRESENCED_BENCH=1 cargo test --release -p presenced -- store_rates --nocapture` prints durable rows per second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_rates_of_one_caller_and_of_64() {
    let rounds = if std::env::var_os("PRESENCED_BENCH").is_some() {
        3
    } else {
        0
    };
    for _ in 0..rounds {
        for (callers, each) in [(1, 5_000), (8, 5_000), (64, 3_000)] {
            let place = Place::new();
            let store = place.open();
            let watch = crate::clock::Stopwatch::start();
            let tasks: Vec<_> = (0..callers)
                .map(|caller| {
                    let store = store.clone();
                    tokio::spawn(async move {
                        for number in 1..=each {
                            store
                                .choose(&format!("user-{caller}-{number}"), Idle, number)
                                .await
                                .unwrap();
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            let seconds = watch.elapsed().as_secs_f64();
            println!(
                "{callers:3} callers: {:8.0} durable rows/s",
                f64::from(callers) * each as f64 / seconds
            );
        }
    }
}
