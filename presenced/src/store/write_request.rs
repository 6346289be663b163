//! What waits for the writer of a store, of whatever kind: a request, where its answer goes, and whether its caller still
//! wants it done. How it is done belongs to each implementation.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use presence::{NodeName, Revision, Source, SystemWall, UserId, Version, Wall};
use tokio::sync::oneshot;

use super::options::ROWS_AT_ONCE;
use super::{
    DurableRow, ExpiredReport, Heartbeat, NewPreference, NewReport, ReportTimes, StatusRow, StoreError,
    StoredRevocation,
};

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
    /// Deletes tombstones up to this revision, some of them at once. The answer is how many.
    Prune(Revision, Caller<usize>),
    /// Revokes a user's tokens. The answer is what is stored then.
    Revoke(NewRevocation, Caller<StoredRevocation>),
}

/// Tokens of a user that are to be revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NewRevocation {
    pub(super) user_hash: [u8; 32],
    pub(super) issued_before: SystemWall,
}

/// One write of a user's durable part.
#[derive(Debug)]
pub(super) struct DurableWrite {
    pub(super) user: UserId,
    /// The version that the caller knows.
    pub(super) proposed: Version,
    pub(super) change: DurableChange,
}

#[derive(Debug)]
pub(super) enum DurableChange {
    Preference {
        preference: NewPreference,
        revision: Revision,
    },
    /// A report is opened or refreshed.
    Report { report: NewReport, times: ReportTimes },
    /// A report is ended by its source.
    EndReport { source: Source, times: ReportTimes },
    /// All reports are ended by an operator.
    EndReports,
    /// What is not above the proposed version, nor above this revision, is deleted.
    ForgetOlder { revision: Revision, now: Wall },
}

/// A write that is not of the durable part.
#[derive(Debug)]
pub(super) enum PlainWrite {
    Forget {
        user: UserId,
        revision: Revision,
        now: Wall,
    },
    /// Statuses and times, written behind.
    Statuses(Vec<StatusRow>),
    /// Reports whose deadline has passed, written behind.
    Expired(Vec<ExpiredReport>),
    /// The log has these versions.
    Published(Vec<(UserId, Version)>),
    Heartbeat {
        node: NodeName,
        heartbeat: Heartbeat,
    },
    /// Writes nothing: once it is answered, the writes queued before it are over.
    Barrier,
}

impl PlainWrite {
    /// How much of a transaction it takes up.
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Statuses(rows) => rows.len(),
            Self::Expired(expired) => expired.len(),
            Self::Published(versions) => versions.len(),
            Self::Forget { .. } | Self::Heartbeat { .. } | Self::Barrier => 1,
        }
    }
}

impl WriteRequest {
    /// How much of a transaction it takes up.
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Durable(..) | Self::Revoke(..) => 1,
            Self::Plain(write, _) => write.rows(),
            Self::Prune(..) => ROWS_AT_ONCE,
        }
    }

    /// Whether it is of rows that no client waits for. It may be done after what was queued later: statuses carry their revision,
    /// expired reports and published marks their version. It is not done before a forget that was queued earlier.
    pub(super) fn is_written_behind(&self) -> bool {
        match self {
            Self::Plain(write, _) => matches!(
                write,
                PlainWrite::Statuses(_) | PlainWrite::Expired(_) | PlainWrite::Published(_)
            ),
            Self::Durable(..) | Self::Prune(..) | Self::Revoke(..) => false,
        }
    }

    pub(super) fn refuse(self, error: StoreError) {
        // A caller that has given up needs no answer.
        match self {
            Self::Durable(_, caller) => drop(caller.send(Err(error))),
            Self::Plain(_, caller) => drop(caller.send(Err(error))),
            Self::Prune(_, caller) => drop(caller.send(Err(error))),
            Self::Revoke(_, caller) => drop(caller.send(Err(error))),
        }
    }
}

/// A caller may withdraw its request until the writer takes it. Dropping the caller's future is no withdrawal.
#[derive(Debug, Default)]
pub(super) struct Ticket(AtomicU8);

impl Ticket {
    const WAITING: u8 = 0;
    const TAKEN: u8 = 1;
    const WITHDRAWN: u8 = 2;

    /// The writer takes it. False: it was withdrawn.
    pub(super) fn take(&self) -> bool {
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
