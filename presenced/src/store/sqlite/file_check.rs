//! Looking at a database file before anything may change it: a file that is newer, damaged or another program's is
//! refused, and it and its log stay as they are, byte for byte.
//!
//! SQLite changes what it reads: opening a file with a log makes files beside it, and closing folds the log in. So the way
//! to look depends on what is there. Only a file that its last writer left in the middle of a rollback has to be repaired
//! before it can be read at all.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ffi};

use super::connection::{Beside, open_alone, open_reader, open_unlocked, open_writable};
use super::log_check::loss;
use super::migration::{APPLICATION_ID, VERSION, version};
use crate::store::OpenError;
use crate::store::metrics::FailureKind;

/// The first bytes of every SQLite file.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Where the header has the journal mode: 2 with a log.
const JOURNAL_BYTE: usize = 18;
/// Where it has the page size.
const PAGE_SIZE_BYTES: std::ops::Range<usize> = 16..18;
const HEADER_BYTES: u64 = 100;

/// What there is to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FoundFile {
    Nothing,
    /// A sound file that is ours, of this version or an older one.
    Ours,
}

/// Inspects the file and its log.
pub(super) fn find(path: &Path, busy_timeout: Duration) -> Result<FoundFile, OpenError> {
    let (header, length) = match read_header(path) {
        Ok(Some(found)) => found,
        Ok(None) => return find_no_orphan(path),
        Err(error) => return Err(io_error(path, &error)),
    };
    if header.is_empty() {
        // Ours are never empty: they get their name when they are complete.
        return Err(damaged(path, "it is empty"));
    }
    if !header.starts_with(MAGIC) {
        return Err(damaged(path, "it does not begin like a database"));
    }
    if !Beside::Log.path(path).exists() && !Beside::Journal.path(path).exists() && !is_whole(&header, length) {
        return Err(damaged(path, "it ends in the middle of a page"));
    }
    if let Some(what) = loss(path) {
        return Err(damaged(path, &what));
    }
    let with_log = header.get(JOURNAL_BYTE) == Some(&2);
    let judge = |connection: rusqlite::Result<Connection>| connection.and_then(|connection| Facts::of(&connection));
    let facts = match (with_log, Beside::Log.path(path).exists()) {
        (true, false) => judge(open_unlocked(path)),
        // Another process has it open and has made the files beside it: one more reader changes nothing.
        (true, true) => match judge(open_alone(path)) {
            Err(error) if FailureKind::of(&error) == FailureKind::Locked => judge(open_reader(path, busy_timeout)),
            other => other,
        },
        (false, _) => match judge(open_reader(path, busy_timeout)) {
            Err(error) if error.sqlite_extended_error_code() == Some(ffi::SQLITE_READONLY_ROLLBACK) => {
                judge(open_writable(path, busy_timeout))
            }
            other => other,
        },
    };
    facts.map_err(|error| sql_error(path, &error))?.judge(path)
}

/// A log without its database holds acknowledged writes. SQLite would delete it.
fn find_no_orphan(path: &Path) -> Result<FoundFile, OpenError> {
    let log = Beside::Log.path(path);
    match log.metadata() {
        Ok(metadata) if metadata.len() > 0 => Err(damaged(path, &format!("it is gone, but its log {log:?} is there"))),
        _ => Ok(FoundFile::Nothing),
    }
}

/// Whether the open database is damaged on disk, as a connection finds that has read nothing of it yet. SQLite says of one
/// page that could not be read, or of one that came over wrong, what it says of a damaged file.
pub(super) fn is_damaged(path: &Path) -> bool {
    let checked = open_reader(path, Duration::ZERO)
        .and_then(|connection| connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0)));
    match checked {
        Ok(found) => found != "ok",
        Err(error) => FailureKind::of(&error) == FailureKind::Damaged,
    }
}

/// What the file contains, as far as it identifies it.
struct Facts {
    version: i64,
    application_id: i64,
    /// Tables, indexes and so on that do not belong to a table `profile`.
    others: i64,
    /// The columns of the table `profile`, if there is one.
    columns: Vec<String>,
    /// What is wrong with it; looked for only if it is ours.
    damage: Option<String>,
}

impl Facts {
    fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let mut facts = Self {
            version: version(connection)?,
            application_id: connection.pragma_query_value(None, "application_id", |row| row.get(0))?,
            others: connection.query_row(
                "SELECT count(*) FROM sqlite_schema WHERE tbl_name <> 'profile' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
                [],
                |row| row.get(0),
            )?,
            columns: connection
                .prepare("SELECT name FROM pragma_table_info('profile')")?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?,
            damage: None,
        };
        if facts.foreign().is_none() && facts.version <= VERSION {
            let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
            facts.damage = (found != "ok").then_some(found);
        }
        Ok(facts)
    }

    /// What shows that it is another program's, if it is.
    fn foreign(&self) -> Option<String> {
        let bare = self.others == 0 && self.columns == ["user_id", "status", "last_seen"];
        match (self.application_id, self.version) {
            (0, 0) if bare || (self.others == 0 && self.columns.is_empty()) => None,
            (0, 0) => Some("it has other tables".to_owned()),
            (0 | APPLICATION_ID, version) if version > VERSION => None,
            (APPLICATION_ID, 1..) => None,
            (id, _) => Some(format!("its application_id is {id}, not {APPLICATION_ID}")),
        }
    }

    fn judge(self, path: &Path) -> Result<FoundFile, OpenError> {
        if let Some(what) = self.foreign() {
            let path = path.to_owned();
            return Err(OpenError::Foreign { path, what });
        }
        if self.version > VERSION {
            return Err(OpenError::Newer {
                path: path.to_owned(),
                found: self.version,
                known: VERSION,
            });
        }
        match self.damage {
            Some(what) => Err(damaged(path, &what)),
            None => Ok(FoundFile::Ours),
        }
    }
}

/// Reads the beginning of the file and its length; none if there is no file. Not while a connection of this process is open:
/// closing any descriptor of a file gives up all of the process's locks on it.
fn read_header(path: &Path) -> std::io::Result<Option<(Vec<u8>, u64)>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    let mut header = Vec::new();
    file.take(HEADER_BYTES).read_to_end(&mut header)?;
    Ok(Some((header, length)))
}

/// Whether the file ends where a page does. SQLite takes the missing rest of a page for zeros. (It repairs that itself where
/// a log or a journal has the page.)
fn is_whole(header: &[u8], length: u64) -> bool {
    match header.get(PAGE_SIZE_BYTES) {
        // 1 stands for 65,536, which two bytes can't hold; 0 is an error that SQLite reports.
        Some(&[high, low]) => match u64::from(u16::from_be_bytes([high, low])) {
            0 => true,
            1 => length.is_multiple_of(65_536),
            size => length.is_multiple_of(size),
        },
        _ => false,
    }
}

fn damaged(path: &Path, what: &str) -> OpenError {
    OpenError::Damaged {
        path: path.to_owned(),
        what: what.replace('\n', "; "),
    }
}

pub(super) fn io_error(path: &Path, error: &std::io::Error) -> OpenError {
    OpenError::Io {
        path: path.to_owned(),
        what: error.to_string(),
    }
}

/// What an error of SQLite means for a start.
pub(super) fn sql_error(path: &Path, error: &rusqlite::Error) -> OpenError {
    match FailureKind::of(error) {
        FailureKind::Locked => OpenError::Locked { path: path.to_owned() },
        FailureKind::Damaged => damaged(path, &error.to_string()),
        _ => OpenError::Io {
            path: path.to_owned(),
            what: error.to_string(),
        },
    }
}
