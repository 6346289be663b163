//! What is asked of a store, whichever it is: requests are queued, and each is answered or given up in time. How one is done
//! belongs to each implementation.

use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use presence::{NodeName, Revision, Source, UserId, Version, Wall};
use tokio::sync::oneshot;

use super::alive::AliveFile;
use super::metrics::FailureKind;
use super::options::ROWS_AT_ONCE;
use super::postgres::ServerHealth;
use super::queue::{Queue, Rejected};
use super::read_request::{ReadCaller, ReadJob, ReadLane};
use super::sqlite::Health;
use super::write_request::{Caller, DurableChange, DurableWrite, PlainWrite, Ticket, WriteJob, WriteRequest};
use super::{
    DurableRow, ExpiredReport, Heartbeat, LoadedRow, NewPreference, NewReport, OpenOptions, ReportTimes, StatusRow,
    Store, StoreError, StoreHealth, StoreMetrics,
};

/// The queues of a store, and what answers its callers when nothing else does.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) writes: Arc<Queue<WriteJob>>,
    pub(super) singles: Arc<Queue<ReadJob>>,
    pub(super) lists: Arc<Queue<ReadJob>>,
    pub(super) alive: Arc<AliveFile>,
    health: DatabaseHealth,
    metrics: StoreMetrics,
    /// After how long a caller is answered even if the database has not.
    answer_within: Duration,
    /// What a test has set in its place, in milliseconds; 0: nothing.
    #[cfg(test)]
    pub(super) patience_millis: AtomicU64,
    /// Whether nobody learns what a write came to.
    #[cfg(test)]
    pub(super) is_losing: AtomicBool,
}

/// How a read is put into the queue of its lane.
pub(super) type Push = fn(&Queue<ReadJob>, ReadJob) -> Result<(), Rejected>;

/// The health of whatever database it is.
#[derive(Debug)]
pub(super) enum DatabaseHealth {
    Sqlite(Arc<Health>),
    Postgres(Arc<ServerHealth>),
}

impl DatabaseHealth {
    fn sealed(&self) -> Option<StoreError> {
        match self {
            Self::Sqlite(health) => health.sealed(),
            Self::Postgres(health) => health.sealed(),
        }
    }

    fn answer_overdue(&self) {
        match self {
            Self::Sqlite(health) => health.answer_overdue(),
            Self::Postgres(health) => health.answer_overdue(),
        }
    }

    fn snapshot(&self) -> StoreHealth {
        match self {
            Self::Sqlite(health) => health.snapshot(),
            Self::Postgres(health) => health.snapshot(),
        }
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        // No handle is left; threads and tasks end by themselves when they have done what waits.
        self.close_reads();
        self.writes.close();
    }
}

impl Requests {
    pub(super) fn new(health: DatabaseHealth, alive: AliveFile, options: &OpenOptions, metrics: StoreMetrics) -> Self {
        let reads = || Arc::new(Queue::new(options.queue_max, metrics.reads_waiting.clone()));
        Self {
            writes: Arc::new(Queue::new(options.queue_max, metrics.writes_waiting.clone())),
            singles: reads(),
            lists: reads(),
            alive: Arc::new(alive),
            health,
            answer_within: options.answer_within,
            metrics,
            #[cfg(test)]
            patience_millis: AtomicU64::default(),
            #[cfg(test)]
            is_losing: AtomicBool::default(),
        }
    }

    /// After how long a caller is answered.
    fn patience(&self) -> Duration {
        #[cfg(test)]
        if let millis @ 1.. = self.patience_millis.load(Ordering::SeqCst) {
            return Duration::from_millis(millis);
        }
        self.answer_within
    }

    /// Refuses further reads.
    pub(super) fn close_reads(&self) {
        self.singles.close();
        self.lists.close();
    }

    pub(super) fn reads_of(&self, lane: ReadLane) -> &Arc<Queue<ReadJob>> {
        match lane {
            ReadLane::Singles => &self.singles,
            ReadLane::Lists => &self.lists,
        }
    }

    pub(super) async fn write_durable(
        &self,
        user: &UserId,
        proposed: Version,
        change: DurableChange,
    ) -> Result<DurableRow, StoreError> {
        let user = user.clone();
        let write = DurableWrite { user, proposed, change };
        self.write(|caller| WriteRequest::Durable(write, caller)).await
    }

    pub(super) async fn write_plain(&self, write: PlainWrite) -> Result<(), StoreError> {
        self.write(|caller| WriteRequest::Plain(write, caller)).await
    }

    /// Queues a request and waits for its answer. Queued is queued: dropping the future undoes nothing.
    pub(super) async fn write<T>(&self, request: impl FnOnce(Caller<T>) -> WriteRequest) -> Result<T, StoreError> {
        if let Some(sealed) = self.health.sealed() {
            return Err(sealed);
        }
        let (caller, answer) = oneshot::channel();
        let ticket = Arc::new(Ticket::default());
        let job = WriteJob {
            request: request(caller),
            ticket: ticket.clone(),
        };
        self.writes.push(job).map_err(|rejected| self.rejected(rejected))?;
        match tokio::time::timeout(self.patience(), answer).await {
            Ok(Ok(answer)) => self.told(answer),
            Ok(Err(_)) => Err(self.rejected(Rejected::Closed)),
            Err(_) => {
                self.health.answer_overdue();
                Err(match ticket.withdraw() {
                    true => unanswered(),
                    false => StoreError::UnknownOutcome,
                })
            }
        }
    }

    /// The answer to a write, as its caller is told.
    fn told<T>(&self, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        #[cfg(test)]
        if self.is_losing.load(Ordering::SeqCst) {
            return answer.and(Err(StoreError::UnknownOutcome));
        }
        answer
    }

    /// Queues the reading of these users and waits for it.
    pub(super) async fn read<T>(
        &self,
        (lane, push): (ReadLane, Push),
        users: &[UserId],
        caller: impl FnOnce(oneshot::Sender<T>) -> ReadCaller,
    ) -> Result<T, StoreError> {
        let (sender, answer) = oneshot::channel();
        let job = ReadJob {
            users: users.to_vec(),
            caller: caller(sender),
        };
        push(self.reads_of(lane), job).map_err(|rejected| self.rejected(rejected))?;
        match tokio::time::timeout(self.patience(), answer).await {
            Ok(answer) => answer.map_err(|_| self.rejected(Rejected::Closed)),
            Err(_) => Err(unanswered()),
        }
    }

    async fn read_rows(&self, lane: (ReadLane, Push), users: &[UserId]) -> Result<Vec<LoadedRow>, StoreError> {
        let mut rows = Vec::with_capacity(users.len());
        for part in users.chunks(ROWS_AT_ONCE) {
            rows.extend(self.read(lane, part, ReadCaller::Rows).await?);
        }
        Ok(rows)
    }

    fn rejected(&self, rejected: Rejected) -> StoreError {
        match rejected {
            Rejected::Full => {
                self.metrics.failed(FailureKind::Overloaded);
                StoreError::Overloaded
            }
            Rejected::Closed => self.health.sealed().unwrap_or(StoreError::Closed),
        }
    }
}

fn unanswered() -> StoreError {
    StoreError::Unavailable {
        reason: "the database did not answer in time".into(),
    }
}

impl Store {
    /// Loads a user; none if nothing is stored of it. Sees whatever was acknowledged before.
    pub(crate) async fn load(&self, user: &UserId) -> LoadedRow {
        let rows = self.load_singles(std::slice::from_ref(user));
        rows.await?.pop().unwrap_or(Ok(None))
    }

    /// Loads single users whom several callers wait for, in the order asked.
    pub(crate) async fn load_singles(&self, users: &[UserId]) -> Result<Vec<LoadedRow>, StoreError> {
        self.requests().read_rows((ReadLane::Singles, Queue::push), users).await
    }

    /// Loads several users, in the order asked. Single users don't wait behind them.
    pub(crate) async fn load_many(&self, users: &[UserId]) -> Result<Vec<LoadedRow>, StoreError> {
        self.requests().read_rows((ReadLane::Lists, Queue::push), users).await
    }

    /// Loads several users before everyone else who waits.
    pub(crate) async fn load_first(&self, users: &[UserId]) -> Result<Vec<LoadedRow>, StoreError> {
        self.requests()
            .read_rows((ReadLane::Singles, Queue::push_first), users)
            .await
    }

    /// The revisions at which these users were forgotten, in the order asked; none for one that has no tombstone.
    pub(crate) async fn removed_at(&self, users: &[UserId]) -> Result<Vec<Option<Revision>>, StoreError> {
        let lane: (ReadLane, Push) = (ReadLane::Lists, Queue::push);
        let mut removals = Vec::with_capacity(users.len());
        for part in users.chunks(ROWS_AT_ONCE) {
            removals.extend(self.requests().read(lane, part, ReadCaller::Removals).await??);
        }
        Ok(removals)
    }

    /// Stores a custom status, unless the user was forgotten at `revision` or above.
    pub(crate) async fn save_preference(
        &self,
        user: &UserId,
        preference: NewPreference,
        proposed: Version,
        revision: Revision,
    ) -> Result<DurableRow, StoreError> {
        let change = DurableChange::Preference { preference, revision };
        self.requests().write_durable(user, proposed, change).await
    }

    /// Stores a report, in place of the one that its source had.
    pub(crate) async fn save_report(
        &self,
        user: &UserId,
        report: NewReport,
        times: ReportTimes,
        proposed: Version,
    ) -> Result<DurableRow, StoreError> {
        let change = DurableChange::Report { report, times };
        self.requests().write_durable(user, proposed, change).await
    }

    /// Deletes the report of a source, if it has one.
    pub(crate) async fn end_report(
        &self,
        user: &UserId,
        source: &Source,
        times: ReportTimes,
        proposed: Version,
    ) -> Result<DurableRow, StoreError> {
        let source = source.clone();
        let change = DurableChange::EndReport { source, times };
        self.requests().write_durable(user, proposed, change).await
    }

    /// Deletes all reports of a user. Of a user that is not stored nothing is stored, and version 0 is returned.
    pub(crate) async fn end_reports(&self, user: &UserId, proposed: Version) -> Result<DurableRow, StoreError> {
        self.requests()
            .write_durable(user, proposed, DurableChange::EndReports)
            .await
    }

    /// Deletes everything about a user and leaves a tombstone until it is pruned: custom statuses and statuses of this
    /// revision or a lower one that come later, from whatever handle, are dropped. Reports carry no revision: one that
    /// comes later makes the user anew. `now` is for people who look; no clock ends a tombstone.
    pub(crate) async fn forget(&self, user: &UserId, revision: Revision, now: Wall) -> Result<(), StoreError> {
        let user = user.clone();
        let forget = PlainWrite::Forget { user, revision, now };
        self.requests().write_plain(forget).await
    }

    /// Deletes the tombstones of users that were forgotten at this revision or a lower one, in several transactions as well.
    pub(crate) async fn prune_tombstones(&self, removed_to: Revision) -> Result<(), StoreError> {
        let prune = |caller| WriteRequest::Prune(removed_to, caller);
        while self.requests().write(prune).await? >= ROWS_AT_ONCE {}
        Ok(())
    }

    /// Stores statuses and times. In several transactions, so that custom statuses need not wait for a long list: after an
    /// error some may be stored; repeating the call does no harm.
    pub(crate) async fn save_statuses(&self, rows: Vec<StatusRow>) -> Result<(), StoreError> {
        for part in rows.chunks(ROWS_AT_ONCE) {
            let statuses = PlainWrite::Statuses(part.to_vec());
            self.requests().write_plain(statuses).await?;
        }
        Ok(())
    }

    /// Deletes reports whose deadline has passed; in several transactions as well.
    pub(crate) async fn expire_reports(&self, expired: Vec<ExpiredReport>) -> Result<(), StoreError> {
        for part in expired.chunks(ROWS_AT_ONCE) {
            let expired = PlainWrite::Expired(part.to_vec());
            self.requests().write_plain(expired).await?;
        }
        Ok(())
    }

    /// Stores the heartbeat of a node.
    pub(crate) async fn save_heartbeat(&self, node: &NodeName, heartbeat: Heartbeat) -> Result<(), StoreError> {
        let (node, requests) = (node.clone(), self.requests());
        let write = PlainWrite::Heartbeat { node, heartbeat };
        requests.write_plain(write).await?;
        requests.alive.note_stored(heartbeat.wall);
        if let Self::Sqlite(_) = self {
            requests.alive.keep_reserve();
        }
        Ok(())
    }

    /// Tells beside the store that the node is alive, whether the store can be written or not. Whether that was possible.
    pub(crate) async fn tell_alive(&self, heartbeat: Heartbeat) -> bool {
        let requests = self.requests();
        let telling = requests.alive.save(heartbeat.wall, heartbeat.ceiling);
        tokio::time::timeout(requests.patience(), telling)
            .await
            .unwrap_or(false)
    }

    /// Waits until every write of this handle that was answered with [`StoreError::UnknownOutcome`] before the call has
    /// been done or has failed for good. After an error that is not known yet: try again.
    pub(crate) async fn settle_unknown_outcomes(&self) -> Result<(), StoreError> {
        // Writes are done in the order in which they were queued, and none while the outcome of an earlier one is unknown:
        // when one that does nothing is answered, those before it are over.
        self.requests().write_plain(PlainWrite::Barrier).await
    }

    /// Answers from memory, without waiting for the disk.
    pub(crate) fn health(&self) -> StoreHealth {
        self.requests().health.snapshot()
    }
}
