//! Tests of what is SQLite's own, on real files. What every implementation guarantees is tested in `store/tests/contract`.

mod commits;
mod damaged_log;
mod faults;
mod kept_rows;
mod migration;
mod opening;
mod reads;
mod rows;
mod sealing;
mod tombstones;

use std::path::PathBuf;
use std::time::Duration;

use presence::{CustomStatus, Revision, Status, Version};
use rusqlite::Connection;
use tempfile::TempDir;

use super::SqliteStore;
use crate::store::tests::fixture::{metrics, preference, report, status, times, user, wall};
use crate::store::{OpenError, OpenOptions, Startup, Store, StoreError, StoreMetrics, when_free};

/// A directory with a database, removed at the end.
struct DatabaseDir {
    directory: TempDir,
}

impl DatabaseDir {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("presence.db")
    }

    fn open(&self) -> Store {
        self.start().0
    }

    /// With [`patient`] options.
    fn open_patient(&self) -> Store {
        self.start_with(&patient()).0
    }

    fn start(&self) -> (Store, Startup) {
        self.start_with(&OpenOptions::patient())
    }

    fn start_with(&self, options: &OpenOptions) -> (Store, Startup) {
        when_free(|| Store::open(&self.path(), options, metrics())).unwrap()
    }

    /// What a start finds, and why if it refuses.
    fn try_open(&self) -> Result<(Store, Startup), OpenError> {
        let options = OpenOptions {
            busy_timeout: Duration::from_millis(50),
            ..OpenOptions::patient()
        };
        when_free(|| Store::open(&self.path(), &options, metrics()))
    }

    /// As another program opens it.
    fn connect(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    /// The same without the index of the log, which readers write to as well.
    fn data(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = self.bytes();
        files.retain(|(name, _)| !name.ends_with("-shm"));
        files
    }

    /// The names and bytes of all there is in the directory.
    fn bytes(&self) -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> = std::fs::read_dir(self.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                (
                    entry.file_name().into_string().unwrap(),
                    std::fs::read(entry.path()).unwrap(),
                )
            })
            .collect();
        files.sort();
        files
    }
}

impl Store {
    fn sqlite(&self) -> &SqliteStore {
        match self {
            Self::Sqlite(store) => store,
            Self::Postgres(_) => panic!("another kind of store"),
        }
    }

    /// Sets a custom status at a moment that is the revision too.
    async fn set_custom_at(&self, name: &str, custom: CustomStatus, set_at: i64) -> Result<(), StoreError> {
        let revision = Revision::new(u64::try_from(set_at).unwrap());
        let (user, preference) = (user(name), preference(custom, set_at));
        let saved = self.save_preference(&user, preference, Version::NONE, revision).await;
        saved.map(|_| ())
    }
}

/// Waits for a condition, for as long as any test may wait.
async fn wait_until(mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    waited.expect("the condition holds within half a minute");
}

/// The writer waits for a lock, and its callers for it, for longer than any test holds one.
fn patient() -> OpenOptions {
    OpenOptions {
        busy_timeout: Duration::from_secs(60),
        answer_within: Duration::from_secs(60),
        ..OpenOptions::default()
    }
}

/// Holds the writer, which is to be [`patient`], at the beginning of a transaction, so that what is asked for meanwhile shares
/// it; the future that is returned lets go.
async fn hold_writer(dir: &DatabaseDir, store: &Store) -> impl Future<Output = ()> + use<> {
    let holder = dir.connect();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let waiting = store.clone();
    let first = tokio::spawn(async move { waiting.set_custom_at("holder", CustomStatus::Idle, 1).await });
    wait_until(|| store.requests().writes.pushed() == 1 && store.requests().writes.waiting() == 0).await;
    async move {
        holder.execute_batch("ROLLBACK").unwrap();
        first.await.unwrap().unwrap();
    }
}
