//! How tests of other modules let the store fail or hang. Outside tests there is nothing here.

use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;
use rusqlite::ffi::SQLITE_BUSY;

use super::Store;
use super::fault::Step;

impl Store {
    /// Makes every read fail as if the file were locked, until told otherwise.
    pub(crate) fn fail_reads(&self, is_failing: bool) {
        self.inner
            .health
            .seam
            .fail(is_failing.then_some((Step::Read, SQLITE_BUSY)));
    }

    /// Makes every write fail as if the file were locked, until told otherwise.
    pub(crate) fn fail_writes(&self, is_failing: bool) {
        self.inner
            .health
            .seam
            .fail(is_failing.then_some((Step::Begin, SQLITE_BUSY)));
    }

    /// No read is answered while the guard lives.
    pub(crate) fn hold_reads(&self) -> MutexGuard<'_, ()> {
        self.inner.health.seam.reads.lock()
    }

    /// How many reads were made, answered or not.
    pub(crate) fn read_count(&self) -> u64 {
        self.inner.health.seam.read_count.load(Ordering::SeqCst)
    }

    /// Nothing is committed while the guard lives.
    pub(crate) fn hold_commits(&self) -> MutexGuard<'_, ()> {
        self.inner.health.seam.commits.lock()
    }
}
