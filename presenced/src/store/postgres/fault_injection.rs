//! Points at which tests make PostgreSQL fail or hang. Outside tests they do nothing.

#[cfg(test)]
use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

#[cfg(test)]
use parking_lot::Mutex;
#[cfg(test)]
use tokio::sync::Notify;

#[cfg(test)]
use super::database_lock::LockMode;
use super::failure::Failure;
#[cfg(test)]
use super::{OpenOptions, PostgresPlace, PostgresStore, open};
#[cfg(test)]
use crate::store::StoreMetrics;
#[cfg(test)]
use crate::store::metrics::FailureKind;
use crate::store::read_request::ReadLane;

/// An operation that tests can make fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultStep {
    Begin,
    Commit,
    Read,
}

/// The faults that are injected now. Outside tests it is empty.
#[derive(Debug, Default)]
pub(super) struct PostgresFaults {
    #[cfg(test)]
    pub(super) failing: Mutex<Option<FaultStep>>,
    #[cfg(test)]
    pub(super) singles: Arc<Turnstile>,
    #[cfg(test)]
    pub(super) lists: Arc<Turnstile>,
    #[cfg(test)]
    pub(super) commits: Arc<Turnstile>,
    /// How many users were read, answered or not.
    #[cfg(test)]
    pub(super) read_count: AtomicU64,
}

impl PostgresFaults {
    /// Fails if a test injected a fault into this step, or waits while a test holds it.
    pub(super) async fn pass(&self, step: FaultStep) -> Result<(), Failure> {
        #[cfg(test)]
        {
            if step == FaultStep::Commit {
                self.commits.pass().await;
            }
            if *self.failing.lock() == Some(step) {
                return Err(Failure::new(FailureKind::Full, "a test lets it fail"));
            }
        }
        let _ = step;
        std::future::ready(Ok(())).await
    }

    /// Called between a read and its answer.
    pub(super) async fn answer(&self, lane: ReadLane, users: usize) {
        #[cfg(test)]
        {
            self.read_count.fetch_add(users as u64, Ordering::SeqCst);
            match lane {
                ReadLane::Singles => self.singles.pass().await,
                ReadLane::Lists => self.lists.pass().await,
            }
        }
        let _ = (lane, users);
        std::future::ready(()).await;
    }
}

/// Lets nobody pass while it is held.
#[cfg(test)]
#[derive(Debug, Default)]
pub(super) struct Turnstile {
    holders: AtomicUsize,
    released: Notify,
    /// How many times somebody has stood before it.
    stops: AtomicUsize,
}

#[cfg(test)]
impl Turnstile {
    async fn pass(&self) {
        loop {
            let released = self.released.notified();
            tokio::pin!(released);
            // From here on a release is not missed.
            released.as_mut().enable();
            if self.holders.load(Ordering::SeqCst) == 0 {
                return;
            }
            self.stops.fetch_add(1, Ordering::SeqCst);
            released.await;
        }
    }
}

/// While it lives, reads or commits stand still.
#[cfg(test)]
#[must_use]
pub(crate) struct PostgresHold(Vec<Arc<Turnstile>>);

#[cfg(test)]
impl PostgresHold {
    pub(super) fn new(turnstiles: Vec<Arc<Turnstile>>) -> Self {
        for turnstile in &turnstiles {
            turnstile.holders.fetch_add(1, Ordering::SeqCst);
        }
        Self(turnstiles)
    }

    /// Whether something stands still by now.
    pub(in crate::store) fn has_stopped_any(&self) -> bool {
        self.0
            .iter()
            .any(|turnstile| turnstile.stops.load(Ordering::SeqCst) > 0)
    }
}

#[cfg(test)]
impl Drop for PostgresHold {
    fn drop(&mut self) {
        for turnstile in &self.0 {
            turnstile.holders.fetch_sub(1, Ordering::SeqCst);
            turnstile.released.notify_waiters();
        }
    }
}

#[cfg(test)]
impl PostgresStore {
    /// A second handle on a database that is open, as another node has one.
    pub(in crate::store) async fn open_beside(
        place: PostgresPlace<'_>,
        options: &OpenOptions,
        metrics: StoreMetrics,
    ) -> Self {
        let opened = open::open(place, LockMode::Unlocked, options, metrics).await;
        let inner = Arc::new(opened.expect("a database").0);
        Self { inner }
    }

    /// Makes every read fail in a way that passes, until it is called with false.
    pub(in crate::store) fn fail_reads(&self, is_failing: bool) {
        self.fail(FaultStep::Read, is_failing);
    }

    /// Makes every transaction fail at its beginning, until it is called with false.
    pub(in crate::store) fn fail_writes(&self, is_failing: bool) {
        self.fail(FaultStep::Begin, is_failing);
    }

    /// Makes every commit fail, until it is called with false.
    pub(in crate::store) fn fail_commits(&self, is_failing: bool) {
        self.fail(FaultStep::Commit, is_failing);
    }

    fn fail(&self, step: FaultStep, is_failing: bool) {
        *self.inner.health.faults.failing.lock() = is_failing.then_some(step);
    }

    /// No read is answered while it is held.
    pub(in crate::store) fn hold_reads(&self) -> PostgresHold {
        let faults = &self.inner.health.faults;
        PostgresHold::new(vec![faults.singles.clone(), faults.lists.clone()])
    }

    /// No list is answered while it is held; single users are.
    pub(in crate::store) fn hold_lists(&self) -> PostgresHold {
        PostgresHold::new(vec![self.inner.health.faults.lists.clone()])
    }

    /// How many users were read, answered or not.
    pub(in crate::store) fn read_count(&self) -> u64 {
        self.inner.health.faults.read_count.load(Ordering::SeqCst)
    }

    /// Nothing is committed while it is held.
    pub(in crate::store) fn hold_commits(&self) -> PostgresHold {
        PostgresHold::new(vec![self.inner.health.faults.commits.clone()])
    }
}
