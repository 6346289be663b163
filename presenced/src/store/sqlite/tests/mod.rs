//! Tests of what is SQLite's own, on real files. What every implementation guarantees is tested in `store/tests/contract`.

mod commits;
mod damaged_log;
mod faults;
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

use super::{OpenOptions, SqliteStore, Startup, StoreError, StoreMetrics};
use crate::store::tests::fixture::{metrics, preference, report, status, times, user, wall};
use crate::store::when_free;

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

    fn open(&self) -> SqliteStore {
        self.start().0
    }

    fn start(&self) -> (SqliteStore, Startup) {
        self.start_with(&OpenOptions::default())
    }

    fn start_with(&self, options: &OpenOptions) -> (SqliteStore, Startup) {
        when_free(|| SqliteStore::open(&self.path(), options, metrics())).unwrap()
    }

    /// What a start finds, and why if it refuses.
    fn try_open(&self) -> Result<(SqliteStore, Startup), super::OpenError> {
        let options = OpenOptions {
            busy_timeout: Duration::from_millis(50),
            ..OpenOptions::default()
        };
        when_free(|| SqliteStore::open(&self.path(), &options, metrics()))
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

impl SqliteStore {
    /// Sets a custom status at a moment that is the revision too.
    async fn set_custom(&self, name: &str, custom: CustomStatus, set_at: i64) -> Result<(), StoreError> {
        let revision = Revision::new(u64::try_from(set_at).unwrap());
        let (user, preference) = (user(name), preference(custom, set_at));
        let saved = self.save_preference(&user, preference, Version::NONE, revision).await;
        saved.map(|_| ())
    }

    /// The rows of several users.
    async fn rows(&self, users: &[presence::UserId]) -> Vec<Option<crate::store::Row>> {
        let rows = self.load_many(users).await.unwrap();
        rows.into_iter().map(Result::unwrap).collect()
    }

    /// The custom status on disk; none, if the user is unknown.
    async fn custom(&self, name: &str) -> Option<CustomStatus> {
        let row = self.load(&user(name)).await.unwrap();
        row.map(|row| row.durable.preference.custom)
    }
}

/// Waits for a condition, for as long as any test may wait.
async fn wait_until(mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), waiting).await;
    waited.expect("the condition holds within ten seconds");
}

/// Holds the writer at the beginning of a transaction, so that what is asked for meanwhile shares it; the future that is
/// returned lets go.
async fn hold_writer(dir: &DatabaseDir, store: &SqliteStore) -> impl Future<Output = ()> + use<> {
    let holder = dir.connect();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let waiting = store.clone();
    let first = tokio::spawn(async move { waiting.set_custom("holder", CustomStatus::Idle, 1).await });
    wait_until(|| store.inner.writes.pushed() == 1 && store.inner.writes.waiting() == 0).await;
    async move {
        holder.execute_batch("ROLLBACK").unwrap();
        first.await.unwrap().unwrap();
    }
}
