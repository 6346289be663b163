//! How connections to the database are opened and set up. Nothing is read or written here but settings.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

/// Statements that a connection keeps prepared: more than it ever uses.
const STATEMENTS_MAX: usize = 32;
/// The log is cut to this when it begins anew after something held it open for long, in bytes.
const LOG_KEPT_BYTES: u32 = 16 * 1024 * 1024;

/// The files beside the database that belong to it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Beside {
    /// The write-ahead log: as much a part of the data as the database itself.
    Log,
    /// The index of the log, which any start can make again.
    LogIndex,
    /// The pages of a file without a log from before an unfinished transaction.
    Journal,
    /// When the node was last alive.
    Alive,
}

impl Beside {
    pub(super) fn path(self, database: &Path) -> PathBuf {
        let suffix = match self {
            Self::Log => "-wal",
            Self::LogIndex => "-shm",
            Self::Journal => "-journal",
            Self::Alive => "-alive",
        };
        let mut path = OsString::from(database);
        path.push(suffix);
        PathBuf::from(path)
    }
}

/// Opens one that may write and keeps the journal mode of the file.
pub(super) fn open_writable(path: &Path, busy_timeout: Duration) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(busy_timeout)?;
    // NORMAL loses acknowledged commits with the power, OFF the whole file.
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

/// Opens the one that writes.
pub(super) fn open_writer(path: &Path, busy_timeout: Duration) -> rusqlite::Result<Connection> {
    let connection = open_writable(path, busy_timeout)?;
    keep_statements(&connection)?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0))?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // What is deleted is overwritten: nothing of a forgotten user may stay readable.
    connection.pragma_update_and_check(None, "secure_delete", true, |row| row.get::<_, i64>(0))?;
    connection.pragma_update_and_check(None, "journal_size_limit", LOG_KEPT_BYTES, |row| row.get::<_, i64>(0))?;
    Ok(connection)
}

/// Opens one that only reads, and sees every commit.
pub(super) fn open_reader(path: &Path, busy_timeout: Duration) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(busy_timeout)?;
    keep_statements(&connection)?;
    leave_log(&connection);
    Ok(connection)
}

/// Keeps statements prepared. Without the planner's stability guarantee, SQLite prepares those that select and order by key
/// again for each value bound to them, which takes longer than running them.
fn keep_statements(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Opens a database that no process has open and that has no log, without a trace: it takes no locks and makes no files.
pub(super) fn open_unlocked(path: &Path) -> rusqlite::Result<Connection> {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => uri.push(char::from(*byte)),
            other => {
                // Writing to a string can't fail.
                let _ = write!(uri, "%{other:02X}");
            }
        }
    }
    uri.push_str("?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(uri, flags)
}

/// Opens a database with a log and changes neither: it keeps the index of the log in memory, for which no other process may
/// have it open.
pub(super) fn open_alone(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::ZERO)?;
    leave_log(&connection);
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update_and_check(None, "locking_mode", "exclusive", |row| row.get::<_, String>(0))?;
    Ok(connection)
}

/// Keeps the close of this connection from folding the log into the database, even if it is the last one.
pub(super) fn leave_log(connection: &Connection) {
    if let Err(error) = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
        tracing::error!(%error, "the database's log can't be kept from being folded in");
    }
}
