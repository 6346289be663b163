//! The durable store: one SQLite file. SIGNATURES ARE AGREED, bodies follow.
#![cfg_attr(not(test), expect(dead_code, reason = "not wired in yet"))]

mod metrics;
mod row;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use presence::{Choice, Revision, Source, UserId};

pub(crate) use metrics::StoreMetrics;
pub(crate) use row::{ExpiredReport, Mark, ReportRow, ReportTimes, Row, Startup, StatusRow};

/// How the store works. Every bound has its reason beside its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpenOptions {
    /// Threads that read, each with its own connection.
    pub(crate) readers: usize,
    /// For how long a transaction waits for a lock that another process holds.
    pub(crate) busy_timeout: Duration,
    /// Requests that may wait for the writer, and as many again for the readers: refused at once beyond.
    pub(crate) queue_max: usize,
    /// Requests that share one commit, at most.
    pub(crate) batch_max: usize,
    /// After how long a caller is answered even if the disk has not.
    pub(crate) answer_within: Duration,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            readers: 2,
            busy_timeout: Duration::from_secs(1),
            queue_max: 16_384,
            batch_max: 1_024,
            answer_within: Duration::from_secs(2),
        }
    }
}

/// Why the database can't be used. Each is one line that names the file and says what to do. The file is as it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// Made by a newer version.
    #[error("{file:?} has schema version {found}, this version knows {known}: run the newer version, or use another --data-dir", file = .path)]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The newest one known here.
        known: i64,
    },
    /// Not readable as a database any more.
    #[error(
        "{path:?} is damaged ({what}) and was left as it is: move it away, with its -wal and -shm, and put a backup in its place"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        what: String,
    },
    /// A database, but none of ours.
    #[error("{path:?} is a database of another program ({what}) and was left as it is: use another --data-dir")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// How one can tell.
        what: String,
    },
    /// Another process holds it.
    #[error("{path:?} is locked by another process: end it (`fuser {path:?}` names it), then start again")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The file system said no.
    #[error("can't open {path:?}: {what}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        what: String,
    },
}

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreError {
    /// Nothing was stored; the next attempt may succeed.
    #[error("the store is unavailable: {reason}")]
    Unavailable {
        /// What SQLite said.
        reason: Arc<str>,
    },
    /// Nothing was stored, and nothing will be until the daemon is started again.
    #[error("the store takes no writes until a restart: {reason}")]
    Sealed {
        /// What happened.
        reason: Arc<str>,
    },
    /// Too many requests wait already; nothing was stored.
    #[error("too many requests wait for the store")]
    Overloaded,
    /// This one can't be stored or read, whatever the state of the disk; nothing was stored.
    #[error("the store can't keep this: {reason}")]
    Refused {
        /// Why not.
        reason: Arc<str>,
    },
    /// The disk hangs. The only answer that leaves open whether it will be stored.
    #[error("the disk did not answer in time; the write may still be done")]
    Late,
    /// The store was closed; nothing was stored.
    #[error("the store is closed")]
    Closed,
}

/// How the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreHealth {
    /// Whether the last write went through (or none was tried yet).
    pub(crate) writable: bool,
    /// Whether only a restart can make it writable again.
    pub(crate) restart_needed: bool,
    /// Why it isn't writable, naming the file.
    pub(crate) error: Option<Arc<str>>,
    /// The schema version of the file.
    pub(crate) schema_version: i64,
}

/// A handle on the store; clones share it.
#[derive(Clone)]
pub(crate) struct Store {}

impl Store {
    /// Opens the file, or makes it; brings an older one up to date. Blocks.
    pub(crate) fn open(
        _path: &Path,
        _options: &OpenOptions,
        _metrics: StoreMetrics,
    ) -> Result<(Self, Startup), OpenError> {
        unimplemented!()
    }

    /// All that is known of a user; nothing, if never seen. Never waits for the writer.
    pub(crate) async fn load(&self, _user: &UserId) -> Result<Option<Row>, StoreError> {
        unimplemented!()
    }

    /// The same of several, in the order asked.
    pub(crate) async fn load_many(&self, _users: &[UserId]) -> Result<Vec<Option<Row>>, StoreError> {
        unimplemented!()
    }

    /// Ok: the choice, or a later one, is on disk.
    pub(crate) async fn save_choice(
        &self,
        _user: &UserId,
        _choice: Choice,
        _revision: Revision,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// Ok: the report is on disk.
    pub(crate) async fn save_report(
        &self,
        _user: &UserId,
        _report: ReportRow,
        _times: ReportTimes,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// Ok: there is no report of that source on disk.
    pub(crate) async fn end_report(
        &self,
        _user: &UserId,
        _source: &Source,
        _times: ReportTimes,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// Ok: there is no report of the user on disk.
    pub(crate) async fn end_reports(&self, _user: &UserId) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// Ok: nothing of the user is on disk. Choices and statuses of this revision or an older one that come later
    /// are dropped.
    pub(crate) async fn forget(&self, _user: &UserId, _revision: Revision) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// Statuses and times, written behind.
    pub(crate) async fn save_statuses(&self, _rows: Vec<StatusRow>) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// Reports whose time was up, written behind.
    pub(crate) async fn expire_reports(&self, _gone: Vec<ExpiredReport>) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// The mark is on disk.
    pub(crate) async fn save_mark(&self, _mark: Mark) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// How the store is. Asks nobody, so it never blocks.
    pub(crate) fn health(&self) -> StoreHealth {
        unimplemented!()
    }

    /// Writes what is queued, folds the log into the database and ends the threads. Blocks.
    pub(crate) fn close(&self) {
        unimplemented!()
    }
}
