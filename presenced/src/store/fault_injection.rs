//! How tests, of other modules too, make the store fail or hang. Outside tests there is nothing here.

use std::path::Path;

use super::sqlite::{SqliteHold, SqliteStore};
use super::{Store, StoreMetrics};

/// While it lives, some operation of the store stands still.
#[must_use]
pub(crate) struct Held<'a> {
    _sqlite: SqliteHold<'a>,
}

impl Store {
    /// A second handle on a database that is open, as another node has one.
    pub(super) fn open_beside(path: &Path, metrics: StoreMetrics) -> Self {
        Self::Sqlite(SqliteStore::open_beside(path, metrics))
    }

    /// Makes every read fail in a way that passes, until it is called with false.
    pub(crate) fn fail_reads(&self, is_failing: bool) {
        let Self::Sqlite(store) = self;
        store.fail_reads(is_failing);
    }

    /// Makes every write fail in a way that passes, until it is called with false.
    pub(crate) fn fail_writes(&self, is_failing: bool) {
        let Self::Sqlite(store) = self;
        store.fail_writes(is_failing);
    }

    /// Makes every commit fail in a way that passes, until it is called with false.
    pub(crate) fn fail_commits(&self, is_failing: bool) {
        let Self::Sqlite(store) = self;
        store.fail_commits(is_failing);
    }

    /// Makes every write that is done be answered as if its outcome were unknown, until it is called with false.
    pub(crate) fn lose_answers(&self, is_losing: bool) {
        let Self::Sqlite(store) = self;
        store.lose_answers(is_losing);
    }

    /// No read is answered while the result lives.
    pub(crate) fn hold_reads(&self) -> Held<'_> {
        let Self::Sqlite(store) = self;
        Held {
            _sqlite: store.hold_reads(),
        }
    }

    /// No list of users is answered while the result lives; single users are.
    pub(crate) fn hold_lists(&self) -> Held<'_> {
        let Self::Sqlite(store) = self;
        Held {
            _sqlite: store.hold_lists(),
        }
    }

    /// How many users were read, answered or not.
    pub(crate) fn read_count(&self) -> u64 {
        let Self::Sqlite(store) = self;
        store.read_count()
    }

    /// Nothing is committed while the result lives.
    pub(crate) fn hold_commits(&self) -> Held<'_> {
        let Self::Sqlite(store) = self;
        Held {
            _sqlite: store.hold_commits(),
        }
    }
}
