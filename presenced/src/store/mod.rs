//! The durable store: what is acknowledged survives a crash of the process and of the machine.
//!
//! [`Store`] is the interface that the rest of the daemon knows; each implementation passes the contract suite in
//! `tests/contract`. No rule of presence lives here: the store keeps what it is given, orders the writes of a user by
//! version, and lets nothing older replace what is newer.

mod alive;
mod cluster_requests;
mod error;
#[cfg(test)]
mod fault_injection;
mod import;
mod metrics;
mod options;
mod postgres;
mod queue;
mod read_request;
mod requests;
mod revocations;
mod row;
mod sqlite;
#[cfg(test)]
mod tests;
mod write_request;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use postgres::PostgresStore;
use presence::wire::rest::PostgresInfo;
use requests::Requests;
use sqlite::SqliteStore;

pub(crate) use error::{OpenError, StoreError};
#[cfg(test)]
pub(crate) use fault_injection::when_free;
#[cfg(test)]
pub(crate) use import::SkippedRow;
pub(crate) use import::{ImportError, ImportEvent, ImportPlace, ImportReport, ImportStart, import};
pub(crate) use metrics::StoreMetrics;
pub(crate) use options::{Access, OpenOptions, RECONNECT_MAX};
pub(crate) use postgres::PostgresPlace;
pub(crate) use row::{
    Alive, DurableRow, ExpiredReport, Heartbeat, ListedRow, LoadedRow, NewPreference, NewReport, PastChanges,
    ReportRow, ReportTimes, Row, Startup, StatusRow, StoredRevocation,
};

/// For how long the heartbeat of a node that is gone is kept, if a higher ceiling is stored: a start looks back five
/// minutes at most, and hosts with a new name at each start must not fill the table.
const HEARTBEAT_KEPT: Duration = Duration::from_secs(86_400);
/// Past changes that a start finds at most: as many as a run remembers.
const PAST_CHANGES_MAX: u32 = 131_072;

/// How the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreHealth {
    /// Whether the last write succeeded (or none was tried yet).
    pub(crate) writable: bool,
    /// Whether only a restart can make it writable again.
    pub(crate) restart_needed: bool,
    /// Why it isn't writable, naming the file.
    pub(crate) error: Option<Arc<str>>,
    pub(crate) schema_version: i64,
}

/// A handle on the store; clones share it.
///
/// Writes of the durable part (custom status and reports) give the user a new version, `max(stored, proposed) + 1`, where
/// the caller proposes the version it knows, and return the whole part as it is stored then. A write whose future is
/// dropped is done all the same.
#[derive(Clone)]
pub(crate) enum Store {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

impl Store {
    /// Whether several nodes may use it.
    pub(crate) const fn is_on_server(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Opens the SQLite database at `path`, or makes it; brings an older one up to date. Blocks.
    pub(crate) fn open(
        path: &Path,
        options: &OpenOptions,
        metrics: StoreMetrics,
    ) -> Result<(Self, Startup), OpenError> {
        let (store, startup) = SqliteStore::open(path, options, metrics)?;
        Ok((Self::Sqlite(store), startup))
    }

    /// Opens a PostgreSQL database, makes its schema if it has none, and keeps other daemons out. Waits for a while for a server
    /// that can't be reached yet.
    pub(crate) async fn open_postgres(
        place: PostgresPlace<'_>,
        options: &OpenOptions,
        metrics: StoreMetrics,
    ) -> Result<(Self, Startup), OpenError> {
        let (store, startup) = PostgresStore::open(place, options, metrics).await?;
        Ok((Self::Postgres(store), startup))
    }

    /// The kind of database, as `/api/stats` tells it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }

    /// What the server of the database told of itself when a connection was last made; none if it has no server.
    pub(crate) fn server(&self) -> Option<PostgresInfo> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(store) => store.server(),
        }
    }

    /// Does the writes that wait, and ends the threads. Blocks; later calls are refused.
    pub(crate) fn close(&self) {
        match self {
            Self::Sqlite(store) => store.close(),
            Self::Postgres(store) => store.close(),
        }
    }

    fn requests(&self) -> &Requests {
        match self {
            Self::Sqlite(store) => store.requests(),
            Self::Postgres(store) => store.requests(),
        }
    }
}
