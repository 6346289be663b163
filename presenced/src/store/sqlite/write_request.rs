//! What waits for the writer: a request, where its answer goes, and whether its caller still wants it done.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use presence::Revision;
use tokio::sync::oneshot;

use super::ROWS_AT_ONCE;
use super::durable_part::DurableWrite;
use super::statements::PlainWrite;
use crate::store::{DurableRow, StoreError};

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
}

impl WriteRequest {
    /// How much of a transaction it takes up.
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Durable(..) => 1,
            Self::Plain(write, _) => write.rows(),
            Self::Prune(..) => ROWS_AT_ONCE,
        }
    }

    pub(super) fn refuse(self, error: StoreError) {
        // A caller that has given up needs no answer.
        match self {
            Self::Durable(_, caller) => drop(caller.send(Err(error))),
            Self::Plain(_, caller) => drop(caller.send(Err(error))),
            Self::Prune(_, caller) => drop(caller.send(Err(error))),
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
