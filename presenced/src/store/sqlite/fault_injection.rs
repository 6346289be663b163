//! Points at which tests make SQLite fail as a disk would, or hang. Outside tests they do nothing.

#[cfg(test)]
use std::path::Path;
#[cfg(test)]
use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::Ordering;

#[cfg(test)]
use parking_lot::{Mutex, MutexGuard};
#[cfg(test)]
use rusqlite::ffi::{self, SQLITE_BUSY, SQLITE_FULL};

#[cfg(test)]
use super::{OpenOptions, SqliteStore, open};
#[cfg(test)]
use crate::store::StoreMetrics;
use crate::store::read_request::ReadLane;

/// An operation of SQLite that tests can make fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Taking the write lock.
    Begin,
    Commit,
    Checkpoint,
    Read,
}

/// The faults that are injected now. Outside tests it is empty.
#[derive(Debug, Default)]
pub(super) struct FaultPoints {
    #[cfg(test)]
    failing: Mutex<Option<(Step, std::ffi::c_int)>>,
    /// Fails one step and is gone.
    #[cfg(test)]
    failing_once: Mutex<Option<(Step, std::ffi::c_int)>>,
    /// While a test holds it, no read of a single user is answered.
    #[cfg(test)]
    singles: Mutex<()>,
    /// While a test holds it, no read of a list is answered.
    #[cfg(test)]
    lists: Mutex<()>,
    /// How many of the next reads panic.
    #[cfg(test)]
    panicking: std::sync::atomic::AtomicU64,
    /// How many users were read, answered or not.
    #[cfg(test)]
    pub(super) read_count: std::sync::atomic::AtomicU64,
    /// By how many requests.
    #[cfg(test)]
    pub(super) read_requests: std::sync::atomic::AtomicU64,
    /// How often the index of the log was checked for reads of users.
    #[cfg(test)]
    pub(super) index_checks: std::sync::atomic::AtomicU64,
    /// While a test holds it, no commit begins.
    #[cfg(test)]
    pub(super) commits: Mutex<()>,
}

impl FaultPoints {
    /// Fails if a test injected a fault into this step.
    pub(super) fn pass(&self, step: Step) -> rusqlite::Result<()> {
        #[cfg(test)]
        if step == Step::Commit {
            drop(self.commits.lock());
        }
        #[cfg(test)]
        if let Some((failing, code)) = *self.failing.lock()
            && failing == step
        {
            return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        }
        #[cfg(test)]
        if let Some((_, code)) = self.failing_once.lock().take_if(|(failing, _)| *failing == step) {
            return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        }
        #[cfg(test)]
        if step == Step::Read {
            let one_less = |left: u64| left.checked_sub(1);
            let taken = self
                .panicking
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
            assert!(taken.is_err(), "on purpose");
        }
        let _ = step;
        Ok(())
    }

    /// Called before the index of the log is checked for users who are read together.
    pub(super) fn check_index(&self) {
        #[cfg(test)]
        self.index_checks.fetch_add(1, Ordering::SeqCst);
    }

    /// Called between a read and its answer.
    pub(super) fn answer(&self, lane: ReadLane, users: u64) {
        #[cfg(test)]
        {
            self.read_count.fetch_add(users, Ordering::SeqCst);
            self.read_requests.fetch_add(1, Ordering::SeqCst);
            drop(match lane {
                ReadLane::Singles => self.singles.lock(),
                ReadLane::Lists => self.lists.lock(),
            });
        }
        let _ = (lane, users);
    }

    /// Injects a fault into the next such step alone.
    #[cfg(test)]
    pub(super) fn fail_once(&self, step: Step, code: std::ffi::c_int) {
        *self.failing_once.lock() = Some((step, code));
    }

    /// Makes so many of the next reads panic.
    #[cfg(test)]
    pub(super) fn panic_at_reads(&self, count: u64) {
        self.panicking.store(count, Ordering::SeqCst);
    }

    /// Injects a fault: this code of SQLite at each such step; none removes it.
    #[cfg(test)]
    pub(super) fn fail(&self, failing: Option<(Step, std::ffi::c_int)>) {
        *self.failing.lock() = failing;
    }
}

/// While it lives, reads or commits stand still.
#[cfg(test)]
#[must_use]
pub(crate) struct SqliteHold<'a> {
    _guards: Vec<MutexGuard<'a, ()>>,
}

#[cfg(test)]
impl SqliteStore {
    pub(in crate::store) fn open_beside(path: &Path, options: &OpenOptions, metrics: StoreMetrics) -> Self {
        let (inner, _) = open::open_beside(path, options, metrics).expect("a database");
        let inner = Arc::new(inner);
        Self { inner }
    }

    /// Makes every read fail as if the file were locked, until it is called with false.
    pub(in crate::store) fn fail_reads(&self, is_failing: bool) {
        self.inner
            .health
            .faults
            .fail(is_failing.then_some((Step::Read, SQLITE_BUSY)));
    }

    /// Makes every write fail as if the file were locked, until it is called with false.
    pub(in crate::store) fn fail_writes(&self, is_failing: bool) {
        self.inner
            .health
            .faults
            .fail(is_failing.then_some((Step::Begin, SQLITE_BUSY)));
    }

    /// Makes every commit fail as if the disk were full, until it is called with false.
    pub(in crate::store) fn fail_commits(&self, is_failing: bool) {
        self.inner
            .health
            .faults
            .fail(is_failing.then_some((Step::Commit, SQLITE_FULL)));
    }

    /// No read is answered while it is held.
    pub(in crate::store) fn hold_reads(&self) -> SqliteHold<'_> {
        let faults = &self.inner.health.faults;
        SqliteHold {
            _guards: vec![faults.singles.lock(), faults.lists.lock()],
        }
    }

    /// No list is answered while it is held; single users are.
    pub(in crate::store) fn hold_lists(&self) -> SqliteHold<'_> {
        SqliteHold {
            _guards: vec![self.inner.health.faults.lists.lock()],
        }
    }

    /// How many users were read, answered or not.
    pub(in crate::store) fn read_count(&self) -> u64 {
        self.inner.health.faults.read_count.load(Ordering::SeqCst)
    }

    /// How many requests to read there were.
    pub(in crate::store) fn read_requests(&self) -> u64 {
        self.inner.health.faults.read_requests.load(Ordering::SeqCst)
    }

    /// Nothing is committed while it is held.
    pub(in crate::store) fn hold_commits(&self) -> SqliteHold<'_> {
        SqliteHold {
            _guards: vec![self.inner.health.faults.commits.lock()],
        }
    }
}
