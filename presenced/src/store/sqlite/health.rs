//! What an error of SQLite means for the store, and the health that follows from it.
//!
//! There are three kinds: a request that can't be stored (the others of its transaction can), a state that passes (a lock,
//! a full disk) and one that doesn't (the disk lost what it had taken, the file is damaged or gone). The last seals the
//! store: nothing is written until a restart has read what is there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use presence::UserId;
use rusqlite::ffi;

use super::fault_injection::FaultPoints;
use super::file_check::is_damaged;
use super::unreadable_rows::UnreadableRows;
use crate::store::metrics::{FailureKind, StoreMetrics};
use crate::store::{StoreError, StoreHealth};

impl FailureKind {
    pub(super) fn of(error: &rusqlite::Error) -> Self {
        let rusqlite::Error::SqliteFailure(failure, _) = error else {
            return Self::Request;
        };
        match failure.extended_code {
            ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC => return Self::Fsync,
            ffi::SQLITE_IOERR_CORRUPTFS => return Self::Damaged,
            ffi::SQLITE_IOERR_DATA => return Self::Log,
            ffi::SQLITE_READONLY_DBMOVED => return Self::Moved,
            _ => {}
        }
        match failure.extended_code & 0xff {
            ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED | ffi::SQLITE_PROTOCOL => Self::Locked,
            ffi::SQLITE_FULL => Self::Full,
            ffi::SQLITE_READONLY | ffi::SQLITE_PERM | ffi::SQLITE_AUTH => Self::ReadOnly,
            ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB => Self::Damaged,
            ffi::SQLITE_ERROR
            | ffi::SQLITE_CONSTRAINT
            | ffi::SQLITE_MISMATCH
            | ffi::SQLITE_TOOBIG
            | ffi::SQLITE_RANGE => Self::Request,
            _ => Self::Io,
        }
    }

    /// Whether only a restart can help.
    const fn seals(self) -> bool {
        matches!(self, Self::Fsync | Self::Damaged | Self::Log | Self::Moved)
    }

    /// What the operator can do about it.
    const fn advice(self) -> &'static str {
        match self {
            Self::Locked => "another process holds a lock on it",
            Self::Full => "free some space; service resumes by itself",
            Self::ReadOnly => "make it and its directory writable; service resumes by itself",
            Self::Fsync => "restart needed: the disk did not keep what it had taken",
            Self::Log => {
                "acknowledged writes are lost with the process: it is left alone; stop the daemon and put a backup in its place"
            }
            Self::Moved => "restart needed, with the database in its place: what is written now would be lost",
            Self::Damaged => "it is damaged and is left alone: stop the daemon and put a backup in its place",
            Self::Io
            | Self::Lost
            | Self::Unreachable
            | Self::Conflict
            | Self::Request
            | Self::Overloaded
            | Self::Late => "service resumes by itself when the disk works",
        }
    }
}

/// Whether the store can write, shared by the threads and the handles.
#[derive(Debug)]
pub(in crate::store) struct Health {
    path: PathBuf,
    schema_version: i64,
    metrics: StoreMetrics,
    state: Mutex<HealthState>,
    pub(super) unreadable_rows: UnreadableRows,
    pub(super) faults: FaultPoints,
}

#[derive(Debug, Clone)]
enum HealthState {
    /// The last write succeeded.
    Writable,
    /// The last write failed for this reason; the next may succeed.
    Failing(Arc<str>),
    /// There will be no next write, for this reason.
    Sealed(Arc<str>),
}

impl Health {
    pub(super) fn new(path: &Path, schema_version: i64, metrics: StoreMetrics) -> Self {
        Self {
            path: path.to_owned(),
            schema_version,
            metrics,
            state: Mutex::new(HealthState::Writable),
            unreadable_rows: UnreadableRows::default(),
            faults: FaultPoints::default(),
        }
    }

    pub(super) fn metrics(&self) -> &StoreMetrics {
        &self.metrics
    }

    /// The error of every write, if the store is sealed.
    pub(in crate::store) fn sealed(&self) -> Option<StoreError> {
        match &*self.state.lock() {
            HealthState::Sealed(reason) => Some(StoreError::Sealed { reason: reason.clone() }),
            HealthState::Writable | HealthState::Failing(_) => None,
        }
    }

    /// A commit succeeded.
    pub(super) fn written(&self) {
        let mut state = self.state.lock();
        if let HealthState::Failing(_) = *state {
            tracing::info!(file = ?self.path, "the store takes writes again");
            *state = HealthState::Writable;
        }
    }

    /// A transaction failed. Returns the answer to its requests.
    pub(super) fn write_failed(&self, error: &rusqlite::Error) -> StoreError {
        let kind = self.kind_of(error);
        self.metrics.failed(kind);
        if kind.seals() {
            return self.seal(kind, error);
        }
        let reason: Arc<str> = describe(kind, error).into();
        let mut state = self.state.lock();
        match &*state {
            HealthState::Sealed(reason) => return StoreError::Sealed { reason: reason.clone() },
            HealthState::Writable => tracing::error!(file = ?self.path, "the store takes no writes: {reason}"),
            HealthState::Failing(_) => {}
        }
        *state = HealthState::Failing(reason.clone());
        StoreError::Unavailable { reason }
    }

    /// One request failed, alone. Returns the answer to it.
    pub(super) fn request_failed(&self, error: &rusqlite::Error) -> StoreError {
        self.metrics.failed(FailureKind::Request);
        tracing::error!(%error, "the store can't keep one request");
        StoreError::Refused {
            reason: error.to_string().into(),
        }
    }

    /// A read of one user failed. Returns the answer to it. Damage found by a reader stops the writer too.
    pub(super) fn read_failed(&self, user: &UserId, error: &rusqlite::Error) -> StoreError {
        let kind = self.kind_of(error);
        // What SQLite itself refuses, such as a table that is gone, is no row's own.
        if kind == FailureKind::Request && !matches!(error, rusqlite::Error::SqliteFailure(..)) {
            let reason = error.to_string();
            self.metrics.failed(kind);
            if self.unreadable_rows.note(user, &reason) {
                tracing::error!(file = ?self.path, ?user, %error, "a row of the database can't be understood");
            }
            return StoreError::Refused { reason: reason.into() };
        }
        self.failed_as(kind, error)
    }

    /// A read of a list failed. Returns the answer to it.
    pub(super) fn list_failed(&self, error: &rusqlite::Error) -> StoreError {
        self.failed_as(self.kind_of(error), error)
    }

    fn failed_as(&self, kind: FailureKind, error: &rusqlite::Error) -> StoreError {
        self.metrics.failed(kind);
        if kind.seals() {
            return self.seal(kind, error);
        }
        StoreError::Unavailable {
            reason: describe(kind, error).into(),
        }
    }

    /// A read of one user succeeded.
    pub(super) fn row_read(&self, user: &UserId) {
        if self.unreadable_rows.note_read(user) {
            tracing::info!(file = ?self.path, ?user, "a row of the database can be understood again");
        }
    }

    /// Folding the log into the database failed. Nothing acknowledged is lost: it is in the log.
    pub(super) fn checkpoint_failed(&self, error: &rusqlite::Error) {
        let kind = self.kind_of(error);
        self.metrics.failed(kind);
        if kind.seals() {
            self.seal(kind, error);
        } else {
            tracing::warn!(file = ?self.path, %error, "the database's log could not be folded in; it grows until it can");
        }
    }

    /// A caller gave up waiting. The commit under way, if it succeeds, makes the store writable again.
    pub(in crate::store) fn answer_overdue(&self) {
        self.metrics.failed(FailureKind::Late);
        let mut state = self.state.lock();
        if let HealthState::Writable = *state {
            let reason = format!("the disk does not answer: {}", FailureKind::Late.advice());
            tracing::error!(file = ?self.path, "the store takes no writes: {reason}");
            *state = HealthState::Failing(reason.into());
        }
    }

    /// The writer panicked: writes are refused until a restart.
    pub(super) fn writer_ended(&self) {
        *self.state.lock() = HealthState::Sealed("restart needed: the writer ended unexpectedly".into());
    }

    /// The health, with the name of the file.
    pub(in crate::store) fn snapshot(&self) -> StoreHealth {
        let state = self.state.lock().clone();
        StoreHealth {
            writable: matches!(state, HealthState::Writable),
            restart_needed: matches!(state, HealthState::Sealed(_)),
            error: match state {
                HealthState::Writable => None,
                HealthState::Failing(reason) | HealthState::Sealed(reason) => {
                    Some(format!("{:?}: {reason}", self.path).into())
                }
            },
            schema_version: self.schema_version,
        }
    }

    /// What the error means. Damage is what a check of the file finds: an error alone may have been the disk's, once.
    fn kind_of(&self, error: &rusqlite::Error) -> FailureKind {
        match FailureKind::of(error) {
            FailureKind::Damaged if self.sealed().is_none() && !is_damaged(&self.path) => FailureKind::Io,
            kind => kind,
        }
    }

    fn seal(&self, kind: FailureKind, error: &rusqlite::Error) -> StoreError {
        let mut state = self.state.lock();
        if let HealthState::Sealed(reason) = &*state {
            return StoreError::Sealed { reason: reason.clone() };
        }
        let reason: Arc<str> = describe(kind, error).into();
        tracing::error!(file = ?self.path, "the store takes no more writes: {reason}");
        *state = HealthState::Sealed(reason.clone());
        StoreError::Sealed { reason }
    }
}

/// What happened and what to do. Users are answered with it, so it names no path.
fn describe(kind: FailureKind, error: &rusqlite::Error) -> String {
    format!("{error}: {}", kind.advice())
}

#[cfg(test)]
mod tests {
    use std::io;

    use prometheus_client::registry::Registry;

    use super::*;

    /// Collects log lines.
    #[derive(Clone, Default)]
    struct CapturedLog(Arc<Mutex<Vec<u8>>>);

    impl io::Write for CapturedLog {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn health() -> Health {
        let metrics = StoreMetrics::register(&mut Registry::default());
        Health::new(Path::new("presence.db"), 1, metrics)
    }

    /// What is logged meanwhile.
    fn logged(log: impl FnOnce()) -> String {
        let lines = CapturedLog::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, log);
        String::from_utf8_lossy(&lines.0.lock()).into_owned()
    }

    #[test]
    fn a_row_that_stays_unreadable_is_logged_once() {
        let (health, ann) = (health(), UserId::new("ann").unwrap());
        let error = |column| rusqlite::Error::InvalidColumnName(column);
        let fail = |column: &str| drop(health.read_failed(&ann, &error(column.to_owned())));
        let text = logged(|| (0..5).for_each(|_| fail("since")));
        assert_eq!(text.matches("can't be understood").count(), 1, "{text}");
        assert!(text.contains("ann") && text.contains("since"), "{text}");
        assert_eq!(logged(|| fail("status")).matches("can't be understood").count(), 1);
        let text = logged(|| (0..5).for_each(|_| health.row_read(&ann)));
        assert_eq!(text.matches("can be understood again").count(), 1, "{text}");
        assert_eq!(logged(|| fail("status")).matches("can't be understood").count(), 1);
    }

    #[test]
    fn an_error_of_sqlite_is_logged_once_with_its_text() {
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_FSYNC] {
            let health = health();
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some("what SQLite said".into()));
            let mut answer = String::new();
            let logged = logged(|| answer = health.write_failed(&error).to_string());
            assert!(
                answer.contains("what SQLite said") && !answer.contains("presence.db"),
                "{answer}"
            );
            assert_eq!(logged.matches("what SQLite said").count(), 1, "{logged}");
        }
    }
}
