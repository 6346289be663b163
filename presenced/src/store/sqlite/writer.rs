//! The one thread that writes. Whatever waits when a transaction begins shares its commit; each request has a savepoint
//! and an answer of its own, and no answer is given before the commit is on disk.
//!
//! Nothing here retries: a transaction that fails is answered, and the next request is the next attempt.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::fault_injection::Step;
use super::file_identity::FileIdentity;
use super::health::Health;
use super::log_check::LogCheck;
use super::revocations;
use super::statements::WriteFailure;
use super::tombstones::{self, Tombstones};
use crate::clock::Stopwatch;
use crate::store::metrics::{FailureKind, StoreMetrics};
use crate::store::queue::Queue;
use crate::store::write_request::{Caller, WriteJob, WriteRequest};
use crate::store::{Access, OpenOptions, StoreError};

/// Pages by which the log grows before it is folded into the database: 4 MiB, SQLite's own figure. It is done after
/// the answers, so no caller waits for it.
const CHECKPOINT_PAGES: u32 = 1_000;

/// Answers one request of a transaction once it is known whether that was committed.
type HeldAnswer = Box<dyn FnOnce(Result<(), StoreError>)>;

/// The state of the thread.
pub(super) struct StoreWriter {
    connection: Connection,
    identity: FileIdentity,
    log_check: Arc<LogCheck>,
    /// Since the frames of the log were last checked.
    checked: Stopwatch,
    queue: Arc<Queue<WriteJob>>,
    health: Arc<Health>,
    metrics: StoreMetrics,
    /// Whether what is written has to be published.
    access: Access,
    /// Rows that share one commit, at most; a request is never split.
    batch_max: usize,
    /// For how long a transaction waits for a lock.
    busy_timeout: Duration,
    /// How often the frames of the log are checked.
    check_log_every: Duration,
    /// Pages in the log after the last commit, as SQLite reported.
    log_pages: Arc<AtomicU32>,
    /// Pages in the log when it was last folded in.
    folded_pages: u32,
    /// Whether the log may still hold a user that was forgotten.
    is_erasing: bool,
}

impl StoreWriter {
    pub(super) fn new(
        (mut connection, identity, log_check): (Connection, FileIdentity, Arc<LogCheck>),
        queue: Arc<Queue<WriteJob>>,
        health: Arc<Health>,
        options: &OpenOptions,
    ) -> rusqlite::Result<Self> {
        let log_pages = Arc::new(AtomicU32::new(0));
        let reported = log_pages.clone();
        // This takes the place of SQLite's own checkpoints, whose errors would never be seen.
        connection.wal_hook(Some(move |_: &mut Wal, pages: std::ffi::c_int| {
            reported.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self {
            connection,
            identity,
            log_check,
            checked: Stopwatch::start(),
            queue,
            metrics: health.metrics().clone(),
            health,
            access: options.access,
            batch_max: options.batch_max,
            busy_timeout: options.busy_timeout,
            check_log_every: options.check_log_every,
            log_pages,
            folded_pages: 0,
            is_erasing: false,
        })
    }

    /// Writes until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let _guard = PanicGuard(self.queue.clone(), self.health.clone());
        while let Some(job) = self.queue.pop() {
            self.write(job);
        }
        self.finish();
    }

    /// One transaction, beginning with this request.
    fn write(&mut self, first: WriteJob) {
        if let Some(sealed) = self.health.sealed() {
            first.request.refuse(sealed);
            return;
        }
        let watch = Stopwatch::start();
        let mut tombstones = match self.begin() {
            Ok(tombstones) => tombstones,
            Err(error) => {
                // It waited for as long as any request may wait, so all that wait behind it are answered as well.
                let error = self.failed(&error);
                let waiting: VecDeque<WriteJob> = self.queue.drain();
                for job in std::iter::once(first).chain(waiting) {
                    job.request.refuse(error.clone());
                }
                return;
            }
        };
        let mut batch = Vec::new();
        match self
            .fill(first, &mut tombstones, &mut batch)
            .and_then(|()| self.commit())
        {
            Ok(()) => {
                self.health.written();
                self.metrics.commit_requests.observe(batch.len() as f64);
                self.metrics.commit_seconds.observe(watch.elapsed().as_secs_f64());
                batch.into_iter().for_each(|answer| answer(Ok(())));
                self.is_erasing |= tombstones.has_grown();
            }
            Err(error) => {
                let error = self.failed(&error);
                batch.into_iter().for_each(|answer| answer(Err(error.clone())));
            }
        }
        self.check_frames_if_due();
        self.fold_if_due();
    }

    fn begin(&self) -> rusqlite::Result<Tombstones> {
        // Nothing to do, unless the last attempt at that failed.
        self.roll_back();
        self.identity.check()?;
        self.log_check.check_index()?;
        self.log_check.check_length()?;
        self.health.faults.pass(Step::Begin)?;
        // A deferred transaction that turns into a writing one fails at once where another process has the lock.
        self.execute("BEGIN IMMEDIATE")?;
        Tombstones::look(&self.connection)
    }

    fn commit(&self) -> rusqlite::Result<()> {
        self.health.faults.pass(Step::Commit)?;
        self.execute("COMMIT")
    }

    fn roll_back(&self) {
        // SQLite has done so by itself after some errors.
        if !self.connection.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
        {
            tracing::error!(%error, "the store could not roll back");
        }
    }

    /// A transaction failed. Returns the answer to its requests.
    fn failed(&self, error: &rusqlite::Error) -> StoreError {
        self.roll_back();
        // What the disk got wrong once must not be read again from the cache.
        let _ = self.execute("PRAGMA shrink_memory");
        self.health.write_failed(error)
    }

    /// Does the first request and those that wait by now. An error ends the whole transaction.
    fn fill(&self, first: WriteJob, tombstones: &mut Tombstones, batch: &mut Vec<HeldAnswer>) -> rusqlite::Result<()> {
        let mut next = Some(first);
        let mut rows = 0;
        while let Some(WriteJob { request, ticket }) = next {
            if ticket.take() {
                rows += request.rows();
                self.apply(request, tombstones, batch)?;
            }
            next = match rows < self.batch_max {
                true => self.queue.try_pop(),
                false => None,
            };
        }
        Ok(())
    }

    fn apply(
        &self,
        request: WriteRequest,
        tombstones: &mut Tombstones,
        batch: &mut Vec<HeldAnswer>,
    ) -> rusqlite::Result<()> {
        match request {
            WriteRequest::Durable(write, caller) => {
                let answer = self.in_savepoint(|connection| write.apply(connection, tombstones, self.access));
                hold(caller, answer, batch)
            }
            WriteRequest::Plain(write, caller) => {
                let answer = self.in_savepoint(|connection| write.apply(connection, tombstones, self.access));
                hold(caller, answer, batch)
            }
            WriteRequest::Prune(removed_to, caller) => {
                let answer = self.in_savepoint(|connection| Ok(tombstones::prune(connection, removed_to)?));
                hold(caller, answer, batch)
            }
            WriteRequest::Revoke(new, caller) => {
                let answer = self.in_savepoint(|connection| Ok(revocations::save(connection, new)?));
                hold(caller, answer, batch)
            }
        }
    }

    /// The outer error is the transaction's, the inner one the request's own.
    fn in_savepoint<T>(
        &self,
        write: impl FnOnce(&Connection) -> Result<T, WriteFailure>,
    ) -> rusqlite::Result<Result<T, StoreError>> {
        self.execute("SAVEPOINT request")?;
        let error = match write(&self.connection) {
            Ok(answer) => {
                self.execute("RELEASE request")?;
                return Ok(Ok(answer));
            }
            Err(WriteFailure::Forgotten) => StoreError::Forgotten,
            Err(WriteFailure::Sql(error)) => {
                // Some errors have rolled everything back already, whatever their code.
                if FailureKind::of(&error) != FailureKind::Request || self.connection.is_autocommit() {
                    return Err(error);
                }
                self.health.request_failed(&error)
            }
        };
        self.execute("ROLLBACK TO request")?;
        self.execute("RELEASE request")?;
        Ok(Err(error))
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    /// Whether enough is in the log, or a user that was forgotten.
    fn is_fold_due(&self) -> bool {
        self.is_erasing || self.log_pages.load(Ordering::Relaxed) >= self.folded_pages + CHECKPOINT_PAGES
    }

    /// A frame that was changed must not get into the database, nor be found at the next start only: before the log is folded
    /// in it is checked ten times as often, which under load is a hundredth of the time at most.
    fn check_frames_if_due(&mut self) {
        let every = match self.is_fold_due() {
            true => self.check_log_every / 10,
            false => self.check_log_every,
        };
        if self.checked.elapsed() >= every {
            self.check_frames();
        }
    }

    fn check_frames(&mut self) {
        if self.health.sealed().is_none()
            && let Err(error) = self.log_check.check_frames()
        {
            self.health.write_failed(&error);
        }
        self.checked = Stopwatch::start();
    }

    /// Folds the log into the database when it is due, without waiting for readers.
    fn fold_if_due(&mut self) {
        let pages = self.log_pages.load(Ordering::Relaxed);
        if pages < self.folded_pages {
            // The log began anew.
            self.folded_pages = 0;
        }
        if !self.is_fold_due() || self.health.sealed().is_some() {
            return;
        }
        self.folded_pages = pages;
        if !self.is_erasing {
            self.fold("PASSIVE");
            return;
        }
        // It is emptied. A reader that is under way is not waited for: the next write tries again.
        let _ = self.connection.busy_timeout(Duration::ZERO);
        self.is_erasing = !self.fold("TRUNCATE");
        let _ = self.connection.busy_timeout(self.busy_timeout);
    }

    /// Whether all of the log is in the database.
    fn fold(&self, mode: &str) -> bool {
        let fold = || {
            self.health.faults.pass(Step::Checkpoint)?;
            let sql = format!("PRAGMA wal_checkpoint({mode})");
            self.connection.query_row(&sql, [], |row| row.get::<_, bool>(0))
        };
        match fold() {
            Ok(is_busy) => !is_busy,
            Err(error) => {
                self.health.checkpoint_failed(&error);
                false
            }
        }
    }

    /// Closes the file. A sealed one is left alone: closing must not fold its log in either.
    fn finish(mut self) {
        self.check_frames();
        if self.health.sealed().is_none() {
            self.fold("TRUNCATE");
        }
        if self.health.sealed().is_some() {
            super::connection::leave_log(&self.connection);
        }
        if let Err((_, error)) = self.connection.close() {
            tracing::error!(%error, "the store could not close its database");
        }
    }
}

/// Adds the answer of one request to the batch. If the transaction failed with it, the commit's error is the answer.
fn hold<T: 'static>(
    caller: Caller<T>,
    answer: rusqlite::Result<Result<T, StoreError>>,
    batch: &mut Vec<HeldAnswer>,
) -> rusqlite::Result<()> {
    let (answer, outcome) = match answer {
        Ok(answer) => (Some(answer), Ok(())),
        Err(error) => (None, Err(error)),
    };
    batch.push(Box::new(move |commit| {
        let answer = match commit {
            Ok(()) => answer,
            Err(error) => Some(Err(error)),
        };
        if let Some(answer) = answer {
            let _ = caller.send(answer);
        }
    }));
    outcome
}

/// If the thread ends by a panic, callers are refused rather than left waiting.
struct PanicGuard(Arc<Queue<WriteJob>>, Arc<Health>);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.1.writer_ended();
            self.0.close();
            self.0.drain();
        }
    }
}
