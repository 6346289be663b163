//! The one thread that writes. Whatever waits when a transaction begins shares its commit; each request has a savepoint
//! and an answer of its own, and no answer is given before the commit is on disk.
//!
//! Nothing here retries: a transaction that fails is answered, and the next request is the next attempt.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use rusqlite::Connection;
use rusqlite::hooks::Wal;
use tokio::sync::oneshot;

use super::durable_part::DurableWrite;
use super::fault_injection::Step;
use super::file_identity::FileIdentity;
use super::health::Health;
use super::queue::Queue;
use super::statements::{PlainWrite, WriteFailure};
use super::tombstones::Tombstones;
use crate::clock::Stopwatch;
use crate::store::metrics::{FailureKind, StoreMetrics};
use crate::store::{DurableRow, StoreError};

/// Pages by which the log grows before it is folded into the database: 4 MiB, SQLite's own figure. It is done after
/// the answers, so no caller waits for it.
const CHECKPOINT_PAGES: u32 = 1_000;

/// Where the answer to a request goes.
pub(super) type Caller<T> = oneshot::Sender<Result<T, StoreError>>;

/// A request that waits.
#[derive(Debug)]
pub(super) struct WriteJob {
    pub(super) request: WriteRequest,
    pub(super) ticket: Arc<Ticket>,
}

#[derive(Debug)]
pub(super) enum WriteRequest {
    Durable(DurableWrite, Caller<DurableRow>),
    Plain(PlainWrite, Caller<()>),
}

impl WriteRequest {
    /// How much of a transaction it takes up.
    fn rows(&self) -> usize {
        match self {
            Self::Durable(..) => 1,
            Self::Plain(write, _) => write.rows(),
        }
    }

    fn refuse(self, error: StoreError) {
        // A caller that has given up needs no answer.
        match self {
            Self::Durable(_, caller) => drop(caller.send(Err(error))),
            Self::Plain(_, caller) => drop(caller.send(Err(error))),
        }
    }
}

/// Answers one request of a transaction once it is known whether that was committed.
type HeldAnswer = Box<dyn FnOnce(Result<(), StoreError>)>;

/// A caller may withdraw its request until the writer takes it. Dropping the caller's future is no withdrawal.
#[derive(Debug, Default)]
pub(super) struct Ticket(AtomicU8);

impl Ticket {
    const WAITING: u8 = 0;
    const TAKEN: u8 = 1;
    const WITHDRAWN: u8 = 2;

    /// The writer takes it. False: it was withdrawn.
    fn take(&self) -> bool {
        self.claim(Self::TAKEN)
    }

    /// The caller withdraws it. False: the writer has taken it.
    pub(super) fn withdraw(&self) -> bool {
        self.claim(Self::WITHDRAWN)
    }

    fn claim(&self, by: u8) -> bool {
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        self.0.compare_exchange(Self::WAITING, by, success, failure).is_ok()
    }
}

/// The state of the thread.
pub(super) struct StoreWriter {
    connection: Connection,
    identity: FileIdentity,
    queue: Arc<Queue<WriteJob>>,
    health: Arc<Health>,
    metrics: StoreMetrics,
    /// Rows that share one commit, at most; a request is never split.
    batch_max: usize,
    /// Pages in the log after the last commit, as SQLite reported.
    log_pages: Arc<AtomicU32>,
    /// Pages in the log when it was last folded in.
    folded_pages: u32,
}

impl StoreWriter {
    pub(super) fn new(
        (mut connection, identity): (Connection, FileIdentity),
        queue: Arc<Queue<WriteJob>>,
        health: Arc<Health>,
        batch_max: usize,
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
            queue,
            metrics: health.metrics().clone(),
            health,
            batch_max,
            log_pages,
            folded_pages: 0,
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
        let tombstones = match self.begin() {
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
        match self.fill(first, tombstones, &mut batch).and_then(|()| self.commit()) {
            Ok(()) => {
                self.health.written();
                self.metrics.commit_requests.observe(batch.len() as f64);
                self.metrics.commit_seconds.observe(watch.elapsed().as_secs_f64());
                batch.into_iter().for_each(|answer| answer(Ok(())));
            }
            Err(error) => {
                let error = self.failed(&error);
                batch.into_iter().for_each(|answer| answer(Err(error.clone())));
            }
        }
        self.fold_if_due();
    }

    fn begin(&self) -> rusqlite::Result<Tombstones> {
        // Nothing to do, unless the last attempt at that failed.
        self.roll_back();
        self.identity.check()?;
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
    fn fill(&self, first: WriteJob, mut tombstones: Tombstones, batch: &mut Vec<HeldAnswer>) -> rusqlite::Result<()> {
        let mut next = Some(first);
        let mut rows = 0;
        while let Some(WriteJob { request, ticket }) = next {
            if ticket.take() {
                rows += request.rows();
                self.apply(request, &mut tombstones, batch)?;
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
                let answer = self.in_savepoint(|connection| write.apply(connection, tombstones));
                hold(caller, answer, batch)
            }
            WriteRequest::Plain(write, caller) => {
                let answer = self.in_savepoint(|connection| write.apply(connection, tombstones));
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

    /// Folds the log into the database when it has grown by enough, without waiting for readers.
    fn fold_if_due(&mut self) {
        let pages = self.log_pages.load(Ordering::Relaxed);
        if pages < self.folded_pages {
            // The log began anew.
            self.folded_pages = 0;
        }
        if pages < self.folded_pages + CHECKPOINT_PAGES || self.health.sealed().is_some() {
            return;
        }
        self.folded_pages = pages;
        self.fold("PASSIVE");
    }

    fn fold(&self, mode: &str) {
        let fold = || {
            self.health.faults.pass(Step::Checkpoint)?;
            let sql = format!("PRAGMA wal_checkpoint({mode})");
            self.connection.query_row(&sql, [], |_| Ok(()))
        };
        if let Err(error) = fold() {
            self.health.checkpoint_failed(&error);
        }
    }

    /// Closes the file. A sealed one is left alone: closing must not fold its log in either.
    fn finish(self) {
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
