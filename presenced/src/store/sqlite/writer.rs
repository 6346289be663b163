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

use super::StoreError;
use super::health::{Health, Step};
use super::identity::Identity;
use super::metrics::{FailureKind, StoreMetrics};
use super::queue::Queue;
use super::tombstones::Tombstones;
use super::write::{Failure, Write};
use crate::clock::Stopwatch;

/// Pages by which the log grows before it is folded into the database: 4 MiB, SQLite's own figure. It is done after
/// the answers, so nobody waits for it.
const CHECKPOINT_PAGES: u32 = 1_000;

/// What a caller is answered.
pub(super) type Answer = Result<(), StoreError>;

/// A request that waits.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) write: Write,
    pub(super) answer: oneshot::Sender<Answer>,
    pub(super) ticket: Arc<Ticket>,
}

/// Who has a request: its caller may withdraw it until the writer takes it. Dropping the caller's future is no
/// withdrawal.
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

    /// The caller gives up. False: it is too late for that.
    pub(super) fn withdraw(&self) -> bool {
        self.claim(Self::WITHDRAWN)
    }

    fn claim(&self, by: u8) -> bool {
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        self.0.compare_exchange(Self::WAITING, by, success, failure).is_ok()
    }
}

/// The writer's side of the store.
pub(super) struct Writer {
    connection: Connection,
    identity: Identity,
    queue: Arc<Queue<Job>>,
    health: Arc<Health>,
    metrics: StoreMetrics,
    tombstones: Tombstones,
    /// Rows that share one commit, at most; a request is never split.
    batch_max: usize,
    /// Pages in the log after the last commit, as SQLite told.
    log_pages: Arc<AtomicU32>,
    /// Pages in the log when it was last folded in.
    folded_pages: u32,
}

/// The answers of one transaction, held back until its commit.
type Batch = Vec<(oneshot::Sender<Answer>, Answer)>;

impl Writer {
    pub(super) fn new(
        (mut connection, identity): (Connection, Identity),
        queue: Arc<Queue<Job>>,
        health: Arc<Health>,
        batch_max: usize,
    ) -> rusqlite::Result<Self> {
        let log_pages = Arc::new(AtomicU32::new(0));
        let told = log_pages.clone();
        // This takes the place of SQLite's own checkpoints, whose errors nobody would ever see.
        connection.wal_hook(Some(move |_: &mut Wal, pages: std::ffi::c_int| {
            told.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self {
            connection,
            identity,
            queue,
            metrics: health.metrics().clone(),
            health,
            tombstones: Tombstones::default(),
            batch_max,
            log_pages,
            folded_pages: 0,
        })
    }

    /// Writes until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let _ended = Ended(self.queue.clone(), self.health.clone());
        while let Some(job) = self.queue.pop() {
            self.write(job);
        }
        self.finish();
    }

    /// One transaction, beginning with this request.
    fn write(&mut self, first: Job) {
        if let Some(sealed) = self.health.sealed() {
            let _ = first.answer.send(Err(sealed));
            return;
        }
        let watch = Stopwatch::start();
        if let Err(error) = self.begin() {
            // It waited for as long as anyone may wait, so everyone who waits behind it is told as well.
            let error = self.health.write_failed(&error);
            let waiting: VecDeque<Job> = self.queue.drain();
            for job in std::iter::once(first).chain(waiting) {
                let _ = job.answer.send(Err(error.clone()));
            }
            return;
        }
        let mut batch = Batch::new();
        match self.fill(first, &mut batch).and_then(|()| self.commit()) {
            Ok(()) => {
                self.tombstones.commit();
                self.health.written();
                self.metrics.commit_requests.observe(batch.len() as f64);
                self.metrics.commit_seconds.observe(watch.elapsed().as_secs_f64());
            }
            Err(error) => {
                self.tombstones.roll_back();
                let error = self.health.write_failed(&error);
                self.roll_back();
                for (_, answer) in &mut batch {
                    *answer = Err(error.clone());
                }
            }
        }
        for (caller, answer) in batch {
            let _ = caller.send(answer);
        }
        self.fold_if_due();
    }

    fn begin(&self) -> rusqlite::Result<()> {
        // Nothing to do, unless the last attempt at that failed.
        self.roll_back();
        self.identity.check()?;
        self.health.seam.pass(Step::Begin)?;
        // A deferred transaction that turns into a writing one fails at once where another process has the lock.
        self.execute("BEGIN IMMEDIATE")
    }

    fn commit(&self) -> rusqlite::Result<()> {
        self.health.seam.pass(Step::Commit)?;
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

    /// Does the first request and whatever waits by now. An error ends the whole transaction.
    fn fill(&mut self, first: Job, batch: &mut Batch) -> rusqlite::Result<()> {
        let mut next = Some(first);
        let mut rows = 0;
        while let Some(job) = next {
            if job.ticket.take() {
                rows += job.write.rows();
                let (answer, outcome) = match self.apply(job.write) {
                    Ok(answer) => (answer, Ok(())),
                    Err(error) => (Ok(()), Err(error)),
                };
                batch.push((job.answer, answer));
                outcome?;
            }
            next = match rows < self.batch_max {
                true => self.queue.try_pop(),
                false => None,
            };
        }
        Ok(())
    }

    /// One request. An error is the transaction's, an answer the request's own.
    fn apply(&mut self, write: Write) -> rusqlite::Result<Answer> {
        self.execute("SAVEPOINT request")?;
        let error = match write.apply(&self.connection, &mut self.tombstones) {
            Ok(()) => {
                self.execute("RELEASE request")?;
                return Ok(Ok(()));
            }
            Err(Failure::Forgotten) => StoreError::Forgotten,
            Err(Failure::Sql(error)) => {
                // Some errors have rolled everything back already, whatever they look like.
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

    /// Folds the log into the database when it has grown by enough, waiting for nobody.
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
            self.health.seam.pass(Step::Checkpoint)?;
            let sql = format!("PRAGMA wal_checkpoint({mode})");
            self.connection.query_row(&sql, [], |_| Ok(()))
        };
        if let Err(error) = fold() {
            self.health.checkpoint_failed(&error);
        }
    }

    /// The last of the thread. A sealed file is left alone: closing must not fold its log in either.
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

/// If the thread ends by a panic, callers are refused rather than left waiting.
struct Ended(Arc<Queue<Job>>, Arc<Health>);

impl Drop for Ended {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.1.writer_ended();
            self.0.close();
            self.0.drain();
        }
    }
}
