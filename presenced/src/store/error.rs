//! Why a store can't be opened, and why a request was not done.

use std::path::PathBuf;
use std::sync::Arc;

use crate::files::Holder;

/// Why the database can't be used. Each is one line that names the file and what to do. The file is as it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// A newer version of the daemon made the file.
    #[error("{file:?} has schema version {found}, this version knows {known}: run the newer version, or use another --data-dir", file = .path)]
    Newer { path: PathBuf, found: i64, known: i64 },
    /// The file can't be read as a database.
    #[error(
        "{path:?} is damaged ({what}) and was left as it is: move it away, with its -wal and -shm, and put a backup in its place"
    )]
    Damaged { path: PathBuf, what: String },
    /// The file is a database without our application id.
    #[error("{path:?} is a database of another program ({what}) and was left as it is: use another --data-dir")]
    Foreign { path: PathBuf, what: String },
    /// Another daemon has the file open, by whatever name.
    #[error("{path:?} is in use by {holder}: stop it, or use another --database")]
    InUse { path: PathBuf, holder: Holder },
    /// Another process holds a lock on the file.
    #[error("{path:?} is locked by another process: end it (`fuser {path:?}` names it), then start again")]
    Locked { path: PathBuf },
    /// The server can't be reached, lets nobody in, or refused an operation.
    #[error("can't use {database}: {what}")]
    Server { database: String, what: String },
    /// A newer version of the daemon made the schema.
    #[error(
        "{database} has schema version {found}, this version knows {known}: run the newer version, or use another --database"
    )]
    NewerSchema { database: String, found: i64, known: i64 },
    /// The database has tables of our names that are not ours.
    #[error(
        "{database} has a table {table:?} of another program and was left as it is: use another database or schema"
    )]
    ForeignTable { database: String, table: String },
    /// Other daemons use the database, and are in no cluster with this one.
    #[error("{database} is in use by {holders}: {advice}, or use another --database")]
    TakenBy {
        database: String,
        holders: String,
        advice: &'static str,
    },
    /// An import into the database was not finished.
    #[error(
        "{database} has a part of an import: finish it with `presenced import`, with the same --from and --to as before"
    )]
    ImportCutOff { database: String },
    /// The file system refused an operation.
    #[error("can't open {path:?}: {what}")]
    Io { path: PathBuf, what: String },
}

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreError {
    /// Nothing was stored; the next attempt may succeed.
    #[error("the store is unavailable: {reason}")]
    Unavailable { reason: Arc<str> },
    /// Nothing was acknowledged, and nothing will be stored until the daemon is started again. A write that was under way
    /// when the disk failed may be found by that start.
    #[error("the store takes no writes until a restart: {reason}")]
    Sealed { reason: Arc<str> },
    /// The user was forgotten at a revision that is not lower than the write's; nothing was stored.
    #[error("the user was forgotten meanwhile")]
    Forgotten,
    /// Too many requests wait already; nothing was stored.
    #[error("too many requests wait for the store")]
    Overloaded,
    /// This request can't be stored or read, whatever the state of the store; nothing was stored.
    #[error("the store can't keep this: {reason}")]
    Refused { reason: Arc<str> },
    /// The store did not answer in time and the write can't be withdrawn. The only error that leaves open whether it will be
    /// stored; [`Store::settle_unknown_outcomes`](super::Store::settle_unknown_outcomes) waits until that is decided.
    #[error("the store did not answer in time; the write may still be done")]
    UnknownOutcome,
    /// The store was closed; nothing was stored.
    #[error("the store is closed")]
    Closed,
}
