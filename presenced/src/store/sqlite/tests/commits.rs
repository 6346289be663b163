//! What is acknowledged is on disk, and many callers share few commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use presence::CustomStatus::{DoNotDisturb, Idle, Online};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::*;

/// The value of a metric.
fn metric(registry: &Registry, name: &str) -> f64 {
    let mut text = String::new();
    encode(&mut text, registry).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.expect(name).parse().unwrap()
}

#[tokio::test]
async fn the_log_is_synced_at_every_commit() {
    let dir = DatabaseDir::new();
    let writer = super::super::connection::open_writer(&dir.path_made(), Duration::from_secs(1)).unwrap();
    let full = writer.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0));
    assert_eq!(full, Ok(2));
    let mode = writer.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0));
    assert_eq!(mode, Ok("wal".to_owned()));
}

impl DatabaseDir {
    fn path_made(&self) -> PathBuf {
        self.open().close();
        self.path()
    }
}

#[tokio::test]
async fn requests_that_wait_for_the_writer_share_its_next_commit() {
    const CALLERS: usize = 64;
    let dir = DatabaseDir::new();
    let mut registry = Registry::default();
    let metrics = StoreMetrics::register(&mut registry);
    let (store, _) = Store::open(&dir.path(), &patient(), metrics).unwrap();
    let unlocked = hold_writer(&dir, &store).await;
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let store = store.clone();
            tokio::spawn(async move { store.set_custom_at(&format!("user-{caller}"), Idle, 1).await })
        })
        .collect();
    wait_until(|| store.requests().writes.waiting() == CALLERS).await;
    assert_eq!(metric(&registry, "store_writes_waiting"), CALLERS as f64);
    unlocked.await;
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    let names: Vec<_> = (0..CALLERS).map(|caller| user(&format!("user-{caller}"))).collect();
    let rows = store.rows(&names).await;
    assert_eq!(rows.iter().flatten().count(), CALLERS);
    store.close();
    assert_eq!(metric(&registry, "store_commit_requests_sum"), (CALLERS + 1) as f64);
    assert_eq!(
        metric(&registry, "store_commit_requests_count"),
        1.0,
        "one commit for all of them"
    );
    assert_eq!(metric(&registry, "store_commit_seconds_count"), 1.0);
    assert_eq!(metric(&registry, "store_writes_waiting"), 0.0);
}

#[tokio::test]
async fn a_commit_is_shared_by_at_most_batch_max_rows() {
    let dir = DatabaseDir::new();
    let mut registry = Registry::default();
    let metrics = StoreMetrics::register(&mut registry);
    let options = OpenOptions {
        batch_max: 10,
        ..patient()
    };
    let (store, _) = Store::open(&dir.path(), &options, metrics).unwrap();
    let unlocked = hold_writer(&dir, &store).await;
    let callers: Vec<_> = (0..29)
        .map(|caller| {
            let store = store.clone();
            tokio::spawn(async move { store.set_custom_at(&format!("user-{caller}"), Idle, 1).await })
        })
        .collect();
    wait_until(|| store.requests().writes.waiting() == 29).await;
    unlocked.await;
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    store.close();
    assert_eq!(metric(&registry, "store_commit_requests_count"), 3.0);
}

/// Copies the files as `kill -9` would leave them, at many moments: there are too few commits for a checkpoint, so the
/// database does not change meanwhile and its log only grows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_are_in_any_later_copy_of_the_files() {
    let dir = DatabaseDir::new();
    let store = dir.open();
    let acknowledged = Arc::new(AtomicI64::new(0));
    let (writing, count) = (store.clone(), acknowledged.clone());
    let writer = tokio::spawn(async move {
        for number in 1..=300 {
            writing
                .set_custom_at(&format!("user-{number}"), Idle, number)
                .await
                .unwrap();
            count.store(number, Ordering::SeqCst);
        }
    });
    for copy in 0..15 {
        wait_until(|| acknowledged.load(Ordering::SeqCst) >= copy * 20).await;
        let written = acknowledged.load(Ordering::SeqCst);
        let crashed = DatabaseDir::new();
        for name in ["presence.db", "presence.db-wal"] {
            let [from, to] = [&dir, &crashed].map(|dir| dir.directory.path().join(name));
            std::fs::copy(from, to).unwrap();
        }
        let names: Vec<_> = (1..=written).map(|number| user(&format!("user-{number}"))).collect();
        let found = crashed.open().rows(&names).await;
        assert_eq!(found.iter().flatten().count(), names.len());
    }
    writer.await.unwrap();
}

#[tokio::test]
async fn dropping_the_caller_does_not_undo_a_write_that_is_queued() {
    let dir = DatabaseDir::new();
    let store = dir.open();
    let holder = dir.connect();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let asking = store.clone();
    let caller = tokio::spawn(async move { asking.set_custom_at("alice", DoNotDisturb, 1).await });
    wait_until(|| store.requests().writes.pushed() == 1).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    holder.execute_batch("ROLLBACK").unwrap();
    store.set_custom_at("bob", Online, 1).await.unwrap();
    assert_eq!(store.custom("alice").await, Some(DoNotDisturb));
}

#[tokio::test]
async fn closing_writes_what_is_queued_and_leaves_one_file() {
    let dir = DatabaseDir::new();
    let store = dir.open();
    let writes: Vec<_> = (0..200)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.set_custom_at(&format!("user-{number}"), Idle, 1).await })
        })
        .collect();
    wait_until(|| store.requests().writes.pushed() == 200).await;
    store.close();
    for write in writes {
        write.await.unwrap().unwrap();
    }
    assert_eq!(dir.bytes().len(), 1);
    let rows = dir
        .connect()
        .query_row("SELECT count(*) FROM profile", [], |row| row.get(0));
    assert_eq!(rows, Ok(200));
}

#[tokio::test]
async fn the_log_is_folded_in_as_it_grows() {
    let dir = DatabaseDir::new();
    let store = dir.open();
    for number in 1..=3_000 {
        store
            .set_custom_at(&format!("user-{}", number % 400), Idle, number)
            .await
            .unwrap();
    }
    let log = std::fs::metadata(dir.directory.path().join("presence.db-wal"))
        .unwrap()
        .len();
    assert!(log < 6 * 1024 * 1024, "{log}");
    assert!(std::fs::metadata(dir.path()).unwrap().len() > 8 * 4_096);
}

/// `PRESENCED_BENCH=1 cargo test --release -p presenced -- one_caller_and_64 --nocapture` prints durable rows a second;
/// otherwise the test does the same on a small scale.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_caller_and_64_find_all_their_writes() {
    let scale = if std::env::var_os("PRESENCED_BENCH").is_some() {
        100
    } else {
        1
    };
    for (callers, each) in [(1, 50), (8, 50), (64, 30)].map(|(callers, each)| (callers, each * scale)) {
        let dir = DatabaseDir::new();
        let store = dir.open();
        let watch = crate::clock::Stopwatch::start();
        let tasks: Vec<_> = (0..callers)
            .map(|caller| {
                let store = store.clone();
                tokio::spawn(async move {
                    for number in 1..=each {
                        store
                            .set_custom_at(&format!("user-{caller}-{number}"), Idle, number)
                            .await
                            .unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let rate = (callers * each) as f64 / watch.elapsed().as_secs_f64();
        println!("{callers:3} callers: {rate:8.0} durable rows/s");
        store.close();
        let rows = dir
            .connect()
            .query_row("SELECT count(*) FROM profile", [], |row| row.get(0));
        assert_eq!(rows, Ok(callers * each));
    }
}
