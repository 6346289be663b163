//! How tests, of other modules too, make the store fail or hang. Outside tests there is nothing here.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::postgres::{PostgresHold, PostgresStore};
use super::sqlite::{SqliteHold, SqliteStore};
use super::{OpenError, OpenOptions, PostgresPlace, Store, StoreMetrics};

/// Opens a database that was closed just now.
pub(crate) fn when_free<T>(open: impl FnMut() -> Result<T, OpenError>) -> Result<T, OpenError> {
    crate::files::when_free(|error| matches!(error, OpenError::InUse { .. }), open)
}

/// How long callers wait in tests, but for those that are to give up: longer than a busy machine takes for a write.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a lock is waited for: longer than a thread that has it stands still on a busy machine. Half of it is less than any
/// statement may take.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);

/// How long callers wait who are to give up: not before a busy machine has begun to write.
const SOON: Duration = Duration::from_secs(1);

impl OpenOptions {
    /// For a store that a test asks for what is to succeed.
    pub(crate) fn patient() -> Self {
        Self {
            answer_within: PATIENCE,
            busy_timeout: LOCK_PATIENCE,
            ..Self::default()
        }
    }
}

/// While it lives, some operation of the store stands still.
#[must_use]
pub(crate) enum Held<'a> {
    Sqlite(#[expect(dead_code, reason = "held")] SqliteHold<'a>),
    Postgres(PostgresHold),
}

impl Held<'_> {
    /// Whether an operation of PostgreSQL has come to where it stands still.
    pub(super) fn has_stopped_any(&self) -> bool {
        match self {
            Self::Sqlite(_) => panic!("another kind of store"),
            Self::Postgres(hold) => hold.has_stopped_any(),
        }
    }
}

impl Store {
    /// A second handle on a database that is open, as another node has one.
    pub(super) fn open_beside(path: &Path, options: &OpenOptions, metrics: StoreMetrics) -> Self {
        Self::Sqlite(SqliteStore::open_beside(path, options, metrics))
    }

    /// The same of a PostgreSQL database.
    pub(super) async fn open_postgres_beside(
        place: PostgresPlace<'_>,
        options: &OpenOptions,
        metrics: StoreMetrics,
    ) -> Self {
        Self::Postgres(PostgresStore::open_beside(place, options, metrics).await)
    }

    /// Makes every read fail in a way that passes, until it is called with false.
    pub(crate) fn fail_reads(&self, is_failing: bool) {
        match self {
            Self::Sqlite(store) => store.fail_reads(is_failing),
            Self::Postgres(store) => store.fail_reads(is_failing),
        }
    }

    /// Makes every write fail in a way that passes, until it is called with false.
    pub(crate) fn fail_writes(&self, is_failing: bool) {
        match self {
            Self::Sqlite(store) => store.fail_writes(is_failing),
            Self::Postgres(store) => store.fail_writes(is_failing),
        }
    }

    /// Makes every commit fail in a way that passes, until it is called with false.
    pub(crate) fn fail_commits(&self, is_failing: bool) {
        match self {
            Self::Sqlite(store) => store.fail_commits(is_failing),
            Self::Postgres(store) => store.fail_commits(is_failing),
        }
    }

    /// Makes every write that is done be answered as if its outcome were unknown, until it is called with false.
    pub(crate) fn lose_answers(&self, is_losing: bool) {
        self.requests().is_losing.store(is_losing, Ordering::SeqCst);
    }

    /// From now on callers give up after this time, whatever the options say; with zero after the time that they say.
    pub(crate) fn answer_within(&self, patience: Duration) {
        let millis = u64::try_from(patience.as_millis()).expect("a short time");
        self.requests().patience_millis.store(millis, Ordering::SeqCst);
    }

    /// What a call is answered that gives up soon; the calls after it wait as long as the options say.
    pub(crate) async fn give_up<T>(&self, call: impl Future<Output = T>) -> T {
        self.answer_within(SOON);
        let answer = call.await;
        self.answer_within(Duration::ZERO);
        answer
    }

    /// No read is answered while the result lives.
    pub(crate) fn hold_reads(&self) -> Held<'_> {
        match self {
            Self::Sqlite(store) => Held::Sqlite(store.hold_reads()),
            Self::Postgres(store) => Held::Postgres(store.hold_reads()),
        }
    }

    /// No list of users is answered while the result lives; single users are.
    pub(crate) fn hold_lists(&self) -> Held<'_> {
        match self {
            Self::Sqlite(store) => Held::Sqlite(store.hold_lists()),
            Self::Postgres(store) => Held::Postgres(store.hold_lists()),
        }
    }

    /// How many users were read, answered or not.
    pub(crate) fn read_count(&self) -> u64 {
        match self {
            Self::Sqlite(store) => store.read_count(),
            Self::Postgres(store) => store.read_count(),
        }
    }

    /// How many requests to read there were of a database in a file.
    pub(crate) fn read_requests(&self) -> u64 {
        match self {
            Self::Sqlite(store) => store.read_requests(),
            Self::Postgres(_) => 0,
        }
    }

    /// Nothing is committed while the result lives.
    pub(crate) fn hold_commits(&self) -> Held<'_> {
        match self {
            Self::Sqlite(store) => Held::Sqlite(store.hold_commits()),
            Self::Postgres(store) => Held::Postgres(store.hold_commits()),
        }
    }
}
