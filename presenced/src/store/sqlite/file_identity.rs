//! Which files the store has open. A process that may write in the directory may remove or replace an open file; what is
//! written to that afterwards is lost with the process. So each transaction first checks that the names still lead to the
//! files that were opened.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rusqlite::ffi;

use super::connection::Beside;

/// The database and its log, as they were opened.
pub(super) struct FileIdentity([OpenedFile; 2]);

struct OpenedFile {
    /// Shown to API callers too, so it is no path.
    name: &'static str,
    path: PathBuf,
    /// Device and inode number.
    file: (u64, u64),
}

impl FileIdentity {
    /// Takes the files that are there now. The log must have been opened, which reading does.
    pub(super) fn of(database: &Path) -> io::Result<Self> {
        let opened = |name, path: PathBuf| -> io::Result<OpenedFile> {
            Ok(OpenedFile {
                name,
                file: file_of(&path)?,
                path,
            })
        };
        Ok(Self([
            opened("the database", database.to_owned())?,
            opened("the log of the database", Beside::Log.path(database))?,
        ]))
    }

    /// Fails as SQLite itself would; it checks only files without a log.
    pub(super) fn check(&self) -> rusqlite::Result<()> {
        let is_there = |opened: &OpenedFile| file_of(&opened.path).is_ok_and(|file| file == opened.file);
        match self.0.iter().find(|opened| !is_there(opened)) {
            None => Ok(()),
            Some(gone) => Err(rusqlite::Error::SqliteFailure(
                ffi::Error::new(ffi::SQLITE_READONLY_DBMOVED),
                Some(format!("{} was removed or replaced", gone.name)),
            )),
        }
    }
}

fn file_of(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = path.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}
