//! The durable store: one SQLite file, one thread that writes, a few that read.
//!
//! This file is the handle that the rest of the daemon has of it. What is acknowledged is on disk: a write is answered
//! after its commit and never before. Nothing here knows a rule of presence; what is stored is what was handed in, except
//! that older never replaces newer.

mod connection;
#[cfg(test)]
mod fault_injection;
mod health;
mod identity;
mod inspect;
mod metrics;
mod migration;
mod open;
mod queue;
mod read;
mod row;
#[cfg(test)]
mod tests;
mod tombstones;
mod write;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use presence::{Preference, Revision, Source, UserId};
use tokio::sync::oneshot;

use health::Health;
use metrics::FailureKind;
use queue::{Queue, Rejected};
use write::Write;
use writer::Ticket;

pub(crate) use metrics::StoreMetrics;
pub(crate) use row::{ExpiredReport, Heartbeat, ReportRow, ReportTimes, Row, Startup, StatusRow};

/// Rows of one request to a thread. Longer lists are cut, so that a short request behind them waits for a few
/// milliseconds at most.
const ROWS_AT_ONCE: usize = 512;

/// How the store works. Every bound has its reason beside its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpenOptions {
    /// Threads that read, each with its own connection.
    pub(crate) readers: usize,
    /// For how long a transaction waits for a lock that another process holds.
    pub(crate) busy_timeout: Duration,
    /// Requests that may wait for the writer, and as many again for the readers: refused at once beyond.
    pub(crate) queue_max: usize,
    /// Rows that share one commit, at most.
    pub(crate) batch_max: usize,
    /// After how long a caller is answered even if the disk has not.
    pub(crate) answer_within: Duration,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            // A read takes some 10 µs: two threads keep one long list from holding up everyone.
            readers: 2,
            // Whoever waits behind a transaction that waits is answered with it, so nobody waits for longer.
            busy_timeout: Duration::from_secs(1),
            // A quarter of a second of writing, at 60,000 rows a second; some 10 MiB.
            queue_max: 16_384,
            // The gain of sharing a commit is used up by then, and a transaction takes some 20 ms.
            batch_max: 1_024,
            // Twice the wait for a lock: only a disk that hangs takes longer.
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
    /// Nothing was acknowledged, and nothing will be stored until the daemon is started again. What was being written
    /// when the disk failed may be found by that start: no one can know before.
    #[error("the store takes no writes until a restart: {reason}")]
    Sealed {
        /// What happened.
        reason: Arc<str>,
    },
    /// The user was forgotten by a later revision meanwhile; nothing was stored.
    #[error("the user was forgotten meanwhile")]
    Forgotten,
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
    UnknownOutcome,
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
pub(crate) struct Store {
    inner: Arc<Inner>,
}

/// What the handles share with the threads.
struct Inner {
    writes: Arc<Queue<writer::Job>>,
    reads: Arc<Queue<read::Job>>,
    health: Arc<Health>,
    /// After how long a caller is answered even if the disk has not.
    answer_within: Duration,
    threads: Mutex<Threads>,
}

/// Empty once the store was closed.
#[derive(Default)]
struct Threads {
    readers: Vec<JoinHandle<()>>,
    writer: Option<JoinHandle<()>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Nobody can ask any more; the threads end by themselves when they have done what waits.
        self.reads.close();
        self.writes.close();
    }
}

impl Store {
    /// Opens the file, or makes it; brings an older one up to date. Blocks.
    pub(crate) fn open(
        path: &Path,
        options: &OpenOptions,
        metrics: StoreMetrics,
    ) -> Result<(Self, Startup), OpenError> {
        let (inner, startup) = open::open(path, options, metrics)?;
        let inner = Arc::new(inner);
        Ok((Self { inner }, startup))
    }

    /// All that is known of a user; nothing, if never seen. Never waits for the writer, and sees whatever was
    /// acknowledged before.
    pub(crate) async fn load(&self, user: &UserId) -> Result<Option<Row>, StoreError> {
        let rows = self.read(vec![user.clone()]).await?;
        Ok(rows.into_iter().next().flatten())
    }

    /// The same of several, in the order asked.
    pub(crate) async fn load_many(&self, users: &[UserId]) -> Result<Vec<Option<Row>>, StoreError> {
        let mut rows = Vec::with_capacity(users.len());
        for part in users.chunks(ROWS_AT_ONCE) {
            rows.extend(self.read(part.to_vec()).await?);
        }
        Ok(rows)
    }

    /// Ok: the custom status is on disk, or a later one (by `set_at`; of equals the one queued last). `revision` is above
    /// that of any forget of this user before it.
    pub(crate) async fn save_preference(
        &self,
        user: &UserId,
        preference: Preference,
        revision: Revision,
    ) -> Result<(), StoreError> {
        let user = user.clone();
        self.write(Write::Preference {
            user,
            preference,
            revision,
        })
        .await
    }

    /// Ok: the report is on disk, or a later one of that source (by `heard`).
    pub(crate) async fn save_report(
        &self,
        user: &UserId,
        report: ReportRow,
        times: ReportTimes,
    ) -> Result<(), StoreError> {
        let user = user.clone();
        self.write(Write::Report { user, report, times }).await
    }

    /// Ok: there is no report of that source on disk.
    pub(crate) async fn end_report(
        &self,
        user: &UserId,
        source: &Source,
        times: ReportTimes,
    ) -> Result<(), StoreError> {
        let (user, source) = (user.clone(), source.clone());
        self.write(Write::EndReport { user, source, times }).await
    }

    /// Ok: there is no report of the user on disk.
    pub(crate) async fn end_reports(&self, user: &UserId) -> Result<(), StoreError> {
        self.write(Write::EndReports { user: user.clone() }).await
    }

    /// Ok: nothing of the user is on disk. Custom statuses and statuses of this revision or an older one that come later
    /// are dropped; reports carry no revision, so one that is queued later makes the user anew.
    pub(crate) async fn forget(&self, user: &UserId, revision: Revision) -> Result<(), StoreError> {
        let user = user.clone();
        self.write(Write::Forget { user, revision }).await
    }

    /// Statuses and times, written behind. In parts, so that custom statuses need not wait for a long list: after an error some
    /// may be on disk; doing it again does no harm.
    pub(crate) async fn save_statuses(&self, rows: Vec<StatusRow>) -> Result<(), StoreError> {
        for part in rows.chunks(ROWS_AT_ONCE) {
            self.write(Write::Statuses(part.to_vec())).await?;
        }
        Ok(())
    }

    /// Reports whose time was up, written behind, in parts as well.
    pub(crate) async fn expire_reports(&self, gone: Vec<ExpiredReport>) -> Result<(), StoreError> {
        for part in gone.chunks(ROWS_AT_ONCE) {
            self.write(Write::Expired(part.to_vec())).await?;
        }
        Ok(())
    }

    /// The heartbeat is on disk.
    pub(crate) async fn save_heartbeat(&self, heartbeat: Heartbeat) -> Result<(), StoreError> {
        self.write(Write::Heartbeat(heartbeat)).await
    }

    /// How the store is. Asks nobody, so it never blocks.
    pub(crate) fn health(&self) -> StoreHealth {
        self.inner.health.told()
    }

    /// Writes what is queued, folds the log into the database and ends the threads. Blocks; later calls are refused.
    pub(crate) fn close(&self) {
        let mut threads = self.inner.threads.lock();
        // The readers first: the last connection to close is the one that removes the log.
        self.inner.reads.close();
        let readers = std::mem::take(&mut threads.readers);
        join(readers);
        self.inner.writes.close();
        join(threads.writer.take());
    }

    /// Queues a request and waits for its answer. Queued is queued: dropping the future undoes nothing.
    async fn write(&self, write: Write) -> Result<(), StoreError> {
        let inner = &*self.inner;
        if let Some(sealed) = inner.health.sealed() {
            return Err(sealed);
        }
        let (answer, answered) = oneshot::channel();
        let ticket = Arc::new(Ticket::default());
        let job = writer::Job {
            write,
            answer,
            ticket: ticket.clone(),
        };
        inner.writes.push(job).map_err(|rejected| self.rejected(rejected))?;
        match tokio::time::timeout(inner.answer_within, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(self.rejected(Rejected::Closed)),
            Err(_) => {
                inner.health.late();
                Err(match ticket.withdraw() {
                    true => unanswered(),
                    false => StoreError::UnknownOutcome,
                })
            }
        }
    }

    async fn read(&self, users: Vec<UserId>) -> read::Answer {
        let inner = &*self.inner;
        let (answer, answered) = oneshot::channel();
        let job = read::Job { users, answer };
        inner.reads.push(job).map_err(|rejected| self.rejected(rejected))?;
        match tokio::time::timeout(inner.answer_within, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(self.rejected(Rejected::Closed)),
            Err(_) => Err(unanswered()),
        }
    }

    fn rejected(&self, rejected: Rejected) -> StoreError {
        match rejected {
            Rejected::Full => {
                self.inner.health.metrics().failed(FailureKind::Overloaded);
                StoreError::Overloaded
            }
            Rejected::Closed => self.inner.health.sealed().unwrap_or(StoreError::Closed),
        }
    }
}

fn unanswered() -> StoreError {
    StoreError::Unavailable {
        reason: "the disk did not answer in time".into(),
    }
}

fn join(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a thread of the store ended by a panic");
        }
    }
}
