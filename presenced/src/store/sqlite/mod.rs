//! The store in one SQLite file: one thread writes, a few read.
//!
//! This file is the handle. A write is answered after its commit and never before; reads never wait for the writer.

mod connection;
mod database_lock;
mod decode;
mod durable_part;
mod fault_injection;
mod file_check;
mod file_identity;
mod health;
mod log_check;
mod migration;
mod open;
mod read;
mod statements;
#[cfg(test)]
mod tests;
mod tombstones;
mod unreadable_rows;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use presence::{NodeName, Revision, Source, UserId, Version, Wall};
use tokio::sync::oneshot;

use super::alive::AliveFile;
use super::metrics::FailureKind;
use super::options::ROWS_AT_ONCE;
use super::queue::{Queue, Rejected};
use super::write_request::{Caller, DurableChange, DurableWrite, PlainWrite, Ticket, WriteJob, WriteRequest};
use super::{
    DurableRow, ExpiredReport, Heartbeat, LoadedRow, NewPreference, NewReport, OpenError, OpenOptions, ReportTimes,
    Startup, StatusRow, StoreError, StoreHealth, StoreMetrics,
};
#[cfg(test)]
pub(super) use fault_injection::SqliteHold;

use super::read_request::{ReadCaller, ReadJob, ReadLane};
use health::Health;
use read::ReadQueues;

/// A handle on the file; clones share it.
#[derive(Clone)]
pub(crate) struct SqliteStore {
    inner: Arc<Inner>,
}

/// What the handles share with the threads.
struct Inner {
    writes: Arc<Queue<WriteJob>>,
    reads: ReadQueues,
    health: Arc<Health>,
    alive: Arc<AliveFile>,
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
        // No handle is left; the threads end by themselves when they have done what waits.
        self.reads.close();
        self.writes.close();
    }
}

impl SqliteStore {
    pub(super) fn open(
        path: &Path,
        options: &OpenOptions,
        metrics: StoreMetrics,
    ) -> Result<(Self, Startup), OpenError> {
        let (inner, startup) = open::open(path, options, metrics)?;
        let inner = Arc::new(inner);
        Ok((Self { inner }, startup))
    }

    pub(super) async fn load(&self, user: &UserId) -> LoadedRow {
        let rows = self.read(ReadLane::Singles, vec![user.clone()], Queue::push).await?;
        rows.into_iter().next().unwrap_or(Ok(None))
    }

    pub(super) async fn load_many(&self, users: &[UserId]) -> Result<Vec<LoadedRow>, StoreError> {
        let mut rows = Vec::with_capacity(users.len());
        for part in users.chunks(ROWS_AT_ONCE) {
            rows.extend(self.read(ReadLane::Lists, part.to_vec(), Queue::push).await?);
        }
        Ok(rows)
    }

    pub(super) async fn load_first(&self, users: &[UserId]) -> Result<Vec<LoadedRow>, StoreError> {
        let mut rows = Vec::with_capacity(users.len());
        for part in users.chunks(ROWS_AT_ONCE) {
            rows.extend(self.read(ReadLane::Singles, part.to_vec(), Queue::push_first).await?);
        }
        Ok(rows)
    }

    pub(super) async fn removed_at(&self, users: &[UserId]) -> Result<Vec<Option<Revision>>, StoreError> {
        let mut removals = Vec::with_capacity(users.len());
        for part in users.chunks(ROWS_AT_ONCE) {
            let (caller, answer) = oneshot::channel();
            let job = ReadJob {
                users: part.to_vec(),
                caller: ReadCaller::Removals(caller),
            };
            self.inner
                .reads
                .of(ReadLane::Lists)
                .push(job)
                .map_err(|rejected| self.rejected(rejected))?;
            removals.extend(self.answer(answer).await??);
        }
        Ok(removals)
    }

    pub(super) async fn save_preference(
        &self,
        user: &UserId,
        preference: NewPreference,
        proposed: Version,
        revision: Revision,
    ) -> Result<DurableRow, StoreError> {
        self.write_durable(user, proposed, DurableChange::Preference { preference, revision })
            .await
    }

    pub(super) async fn save_report(
        &self,
        user: &UserId,
        report: NewReport,
        times: ReportTimes,
        proposed: Version,
    ) -> Result<DurableRow, StoreError> {
        self.write_durable(user, proposed, DurableChange::Report { report, times })
            .await
    }

    pub(super) async fn end_report(
        &self,
        user: &UserId,
        source: &Source,
        times: ReportTimes,
        proposed: Version,
    ) -> Result<DurableRow, StoreError> {
        let source = source.clone();
        self.write_durable(user, proposed, DurableChange::EndReport { source, times })
            .await
    }

    pub(super) async fn end_reports(&self, user: &UserId, proposed: Version) -> Result<DurableRow, StoreError> {
        self.write_durable(user, proposed, DurableChange::EndReports).await
    }

    pub(super) async fn forget(&self, user: &UserId, revision: Revision, now: Wall) -> Result<(), StoreError> {
        let user = user.clone();
        self.write(PlainWrite::Forget { user, revision, now }).await
    }

    pub(super) async fn prune_tombstones(&self, removed_to: Revision) -> Result<(), StoreError> {
        loop {
            let pruned = self.queue(|caller| WriteRequest::Prune(removed_to, caller)).await?;
            if pruned < ROWS_AT_ONCE {
                return Ok(());
            }
        }
    }

    pub(super) async fn save_statuses(&self, rows: Vec<StatusRow>) -> Result<(), StoreError> {
        for part in rows.chunks(ROWS_AT_ONCE) {
            self.write(PlainWrite::Statuses(part.to_vec())).await?;
        }
        Ok(())
    }

    pub(super) async fn expire_reports(&self, expired: Vec<ExpiredReport>) -> Result<(), StoreError> {
        for part in expired.chunks(ROWS_AT_ONCE) {
            self.write(PlainWrite::Expired(part.to_vec())).await?;
        }
        Ok(())
    }

    pub(super) async fn save_heartbeat(&self, node: &NodeName, heartbeat: Heartbeat) -> Result<(), StoreError> {
        let node = node.clone();
        self.write(PlainWrite::Heartbeat { node, heartbeat }).await?;
        self.inner.alive.note_stored(heartbeat.wall);
        self.inner.alive.keep_reserve();
        Ok(())
    }

    pub(super) async fn tell_alive(&self, heartbeat: Heartbeat) -> bool {
        let telling = self.inner.alive.save(heartbeat.wall, heartbeat.ceiling);
        tokio::time::timeout(self.inner.answer_within, telling)
            .await
            .unwrap_or(false)
    }

    /// Writes are done in the order in which they were queued: when one that does nothing is answered, those before it are
    /// over.
    pub(super) async fn settle_unknown_outcomes(&self) -> Result<(), StoreError> {
        self.write(PlainWrite::Barrier).await
    }

    pub(super) fn health(&self) -> StoreHealth {
        self.inner.health.snapshot()
    }

    /// Does what is queued, folds the log into the database and ends the threads. Blocks; later calls are refused.
    pub(super) fn close(&self) {
        let mut threads = self.inner.threads.lock();
        // The readers first: the last connection to close is the one that removes the log.
        self.inner.reads.close();
        let readers = std::mem::take(&mut threads.readers);
        join(readers);
        self.inner.writes.close();
        join(threads.writer.take());
    }

    async fn write_durable(
        &self,
        user: &UserId,
        proposed: Version,
        change: DurableChange,
    ) -> Result<DurableRow, StoreError> {
        let user = user.clone();
        let write = DurableWrite { user, proposed, change };
        self.queue(|caller| WriteRequest::Durable(write, caller)).await
    }

    async fn write(&self, write: PlainWrite) -> Result<(), StoreError> {
        self.queue(|caller| WriteRequest::Plain(write, caller)).await
    }

    /// Queues a request and waits for its answer. Queued is queued: dropping the future undoes nothing.
    async fn queue<T>(&self, request: impl FnOnce(Caller<T>) -> WriteRequest) -> Result<T, StoreError> {
        let inner = &*self.inner;
        if let Some(sealed) = inner.health.sealed() {
            return Err(sealed);
        }
        let (caller, answer) = oneshot::channel();
        let ticket = Arc::new(Ticket::default());
        let job = WriteJob {
            request: request(caller),
            ticket: ticket.clone(),
        };
        inner.writes.push(job).map_err(|rejected| self.rejected(rejected))?;
        match tokio::time::timeout(inner.answer_within, answer).await {
            Ok(Ok(answer)) => inner.health.faults.told(answer),
            Ok(Err(_)) => Err(self.rejected(Rejected::Closed)),
            Err(_) => {
                inner.health.answer_overdue();
                Err(match ticket.withdraw() {
                    true => unanswered(),
                    false => StoreError::UnknownOutcome,
                })
            }
        }
    }

    async fn read(
        &self,
        lane: ReadLane,
        users: Vec<UserId>,
        push: fn(&Queue<ReadJob>, ReadJob) -> Result<(), Rejected>,
    ) -> Result<Vec<LoadedRow>, StoreError> {
        let inner = &*self.inner;
        let (caller, answer) = oneshot::channel();
        let job = ReadJob {
            users,
            caller: ReadCaller::Rows(caller),
        };
        push(inner.reads.of(lane), job).map_err(|rejected| self.rejected(rejected))?;
        self.answer(answer).await
    }

    /// Waits for the answer to a read.
    async fn answer<T>(&self, answer: oneshot::Receiver<T>) -> Result<T, StoreError> {
        match tokio::time::timeout(self.inner.answer_within, answer).await {
            Ok(answer) => answer.map_err(|_| self.rejected(Rejected::Closed)),
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
