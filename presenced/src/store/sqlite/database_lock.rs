//! The lock of the database: two daemons on one file would each show its own truth and overwrite what the other
//! acknowledged, whatever their data directories and the names by which they know the file.
//!
//! It is the lock of the file itself and none of SQLite's, so other programs can still read it and back it up. Closing any
//! descriptor of a file gives up all locks that SQLite has on it: whoever holds this lock drops it after the connections.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::Path;

use super::connection::Beside;
use super::file_check::io_error;
use crate::files::{FileLock, Holder, LockError, is_irregular, open_regular};
use crate::store::OpenError;

/// How often a lock is tried that meets another start, which replaces the file meanwhile.
const ATTEMPTS: usize = 8;

/// Held for as long as it lives.
#[derive(Debug)]
pub(super) struct DatabaseLock {
    _lock: FileLock,
}

impl DatabaseLock {
    /// Locks the database; none if there is no file. Nothing else may be opened before.
    pub(super) fn take(path: &Path) -> Result<Option<Self>, OpenError> {
        for beside in [Beside::Log, Beside::LogIndex, Beside::Journal] {
            let beside = beside.path(path);
            if is_irregular(&beside) {
                return Err(io_error(&beside, &std::io::Error::other("it is not a regular file")));
            }
        }
        for _ in 0..ATTEMPTS {
            let file = match open_regular(path, OpenOptions::new().read(true)) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(io_error(path, &error)),
            };
            if let Some(lock) = Self::of(file, path)? {
                return Ok(Some(lock));
            }
        }
        Err(in_use(path, Holder(None)))
    }

    /// Locks this file. None if the name leads to another one by now.
    pub(super) fn of(file: File, path: &Path) -> Result<Option<Self>, OpenError> {
        let lock = FileLock::take(file).map_err(|error| match error {
            LockError::Held(holder) => in_use(path, holder),
            LockError::Io(error) => io_error(path, &error),
        })?;
        match lock.is_at(path) {
            Ok(is_there) => Ok(is_there.then_some(Self { _lock: lock })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error(path, &error)),
        }
    }
}

pub(super) fn in_use(path: &Path, holder: Holder) -> OpenError {
    let path = path.to_owned();
    OpenError::InUse { path, holder }
}
