//! How tests make SQLite fail or hang. Outside tests there is nothing here.

use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;
use rusqlite::ffi::{SQLITE_BUSY, SQLITE_FULL};

use super::SqliteStore;
use super::health::Step;

/// While it lives, something of the store stands still.
#[must_use]
pub(in crate::store) struct SqliteHold<'a> {
    _guard: MutexGuard<'a, ()>,
}

impl SqliteStore {
    /// Makes every read fail as if the file were locked, until told otherwise.
    pub(in crate::store) fn fail_reads(&self, is_failing: bool) {
        self.inner
            .health
            .seam
            .fail(is_failing.then_some((Step::Read, SQLITE_BUSY)));
    }

    /// Makes every write fail as if the file were locked, until told otherwise.
    pub(in crate::store) fn fail_writes(&self, is_failing: bool) {
        self.inner
            .health
            .seam
            .fail(is_failing.then_some((Step::Begin, SQLITE_BUSY)));
    }

    /// Makes every commit fail as if the disk were full, until told otherwise.
    pub(in crate::store) fn fail_commits(&self, is_failing: bool) {
        self.inner
            .health
            .seam
            .fail(is_failing.then_some((Step::Commit, SQLITE_FULL)));
    }

    /// No read is answered while it is held.
    pub(in crate::store) fn hold_reads(&self) -> SqliteHold<'_> {
        let _guard = self.inner.health.seam.reads.lock();
        SqliteHold { _guard }
    }

    /// How many reads were made, answered or not.
    pub(in crate::store) fn read_count(&self) -> u64 {
        self.inner.health.seam.read_count.load(Ordering::SeqCst)
    }

    /// Nothing is committed while it is held.
    pub(in crate::store) fn hold_commits(&self) -> SqliteHold<'_> {
        let _guard = self.inner.health.seam.commits.lock();
        SqliteHold { _guard }
    }
}
