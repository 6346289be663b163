//! The durable store: what is acknowledged survives a crash of the process and of the machine.
//!
//! [`Store`] is the interface that the rest of the daemon knows; each implementation passes the contract suite in
//! `tests/contract`. No rule of presence lives here: the store keeps what it is given, orders the writes of a user by
//! version, and lets nothing older replace what is newer.

mod alive;
mod error;
#[cfg(test)]
mod fault_injection;
mod metrics;
mod options;
mod postgres;
mod queue;
mod read_request;
mod row;
mod sqlite;
#[cfg(test)]
mod tests;
mod write_request;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use presence::{NodeName, Revision, Source, UserId, Version, Wall};

use postgres::PostgresStore;
use sqlite::SqliteStore;

pub(crate) use error::{OpenError, StoreError};
#[cfg(test)]
pub(crate) use fault_injection::when_free;
pub(crate) use metrics::StoreMetrics;
pub(crate) use options::OpenOptions;
pub(crate) use postgres::PostgresPlace;
pub(crate) use row::{
    Alive, DurableRow, ExpiredReport, Heartbeat, LoadedRow, NewPreference, NewReport, PastChanges, ReportRow,
    ReportTimes, Row, Startup, StatusRow,
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

    /// Loads a user; none if nothing is stored of it. Sees whatever was acknowledged before.
    pub(crate) async fn load(&self, user: &UserId) -> LoadedRow {
        match self {
            Self::Sqlite(store) => store.load(user).await,
            Self::Postgres(store) => store.load(user).await,
        }
    }

    /// Loads several users, in the order asked. Single users don't wait behind them.
    pub(crate) async fn load_many(&self, users: &[UserId]) -> Result<Vec<LoadedRow>, StoreError> {
        match self {
            Self::Sqlite(store) => store.load_many(users).await,
            Self::Postgres(store) => store.load_many(users).await,
        }
    }

    /// Loads several users before everyone else who waits.
    pub(crate) async fn load_first(&self, users: &[UserId]) -> Result<Vec<LoadedRow>, StoreError> {
        match self {
            Self::Sqlite(store) => store.load_first(users).await,
            Self::Postgres(store) => store.load_first(users).await,
        }
    }

    /// The revisions at which these users were forgotten, in the order asked; none for one that has no tombstone.
    pub(crate) async fn removed_at(&self, users: &[UserId]) -> Result<Vec<Option<Revision>>, StoreError> {
        match self {
            Self::Sqlite(store) => store.removed_at(users).await,
            Self::Postgres(store) => store.removed_at(users).await,
        }
    }

    /// Stores a custom status, unless the user was forgotten at `revision` or above.
    pub(crate) async fn save_preference(
        &self,
        user: &UserId,
        preference: NewPreference,
        proposed: Version,
        revision: Revision,
    ) -> Result<DurableRow, StoreError> {
        match self {
            Self::Sqlite(store) => store.save_preference(user, preference, proposed, revision).await,
            Self::Postgres(store) => store.save_preference(user, preference, proposed, revision).await,
        }
    }

    /// Stores a report, in place of the one that its source had.
    pub(crate) async fn save_report(
        &self,
        user: &UserId,
        report: NewReport,
        times: ReportTimes,
        proposed: Version,
    ) -> Result<DurableRow, StoreError> {
        match self {
            Self::Sqlite(store) => store.save_report(user, report, times, proposed).await,
            Self::Postgres(store) => store.save_report(user, report, times, proposed).await,
        }
    }

    /// Deletes the report of a source, if it has one.
    pub(crate) async fn end_report(
        &self,
        user: &UserId,
        source: &Source,
        times: ReportTimes,
        proposed: Version,
    ) -> Result<DurableRow, StoreError> {
        match self {
            Self::Sqlite(store) => store.end_report(user, source, times, proposed).await,
            Self::Postgres(store) => store.end_report(user, source, times, proposed).await,
        }
    }

    /// Deletes all reports of a user. Of a user that is not stored nothing is stored, and version 0 is returned.
    pub(crate) async fn end_reports(&self, user: &UserId, proposed: Version) -> Result<DurableRow, StoreError> {
        match self {
            Self::Sqlite(store) => store.end_reports(user, proposed).await,
            Self::Postgres(store) => store.end_reports(user, proposed).await,
        }
    }

    /// Deletes everything about a user and leaves a tombstone until it is pruned: custom statuses and statuses of this
    /// revision or a lower one that come later, from whatever handle, are dropped. Reports carry no revision: one that
    /// comes later makes the user anew. `now` is for people who look; no clock ends a tombstone.
    pub(crate) async fn forget(&self, user: &UserId, revision: Revision, now: Wall) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(store) => store.forget(user, revision, now).await,
            Self::Postgres(store) => store.forget(user, revision, now).await,
        }
    }

    /// Deletes the tombstones of users that were forgotten at this revision or a lower one, in several transactions as well.
    pub(crate) async fn prune_tombstones(&self, removed_to: Revision) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(store) => store.prune_tombstones(removed_to).await,
            Self::Postgres(store) => store.prune_tombstones(removed_to).await,
        }
    }

    /// Stores statuses and times. In several transactions, so that custom statuses need not wait for a long list: after an
    /// error some may be stored; repeating the call does no harm.
    pub(crate) async fn save_statuses(&self, rows: Vec<StatusRow>) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(store) => store.save_statuses(rows).await,
            Self::Postgres(store) => store.save_statuses(rows).await,
        }
    }

    /// Deletes reports whose deadline has passed; in several transactions as well.
    pub(crate) async fn expire_reports(&self, expired: Vec<ExpiredReport>) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(store) => store.expire_reports(expired).await,
            Self::Postgres(store) => store.expire_reports(expired).await,
        }
    }

    /// Stores the heartbeat of a node.
    pub(crate) async fn save_heartbeat(&self, node: &NodeName, heartbeat: Heartbeat) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(store) => store.save_heartbeat(node, heartbeat).await,
            Self::Postgres(store) => store.save_heartbeat(node, heartbeat).await,
        }
    }

    /// Tells beside the store that the node is alive, whether the store can be written or not. Whether that was possible.
    pub(crate) async fn tell_alive(&self, heartbeat: Heartbeat) -> bool {
        match self {
            Self::Sqlite(store) => store.tell_alive(heartbeat).await,
            Self::Postgres(store) => store.tell_alive(heartbeat).await,
        }
    }

    /// Waits until every write of this handle that was answered with [`StoreError::UnknownOutcome`] before the call has
    /// been done or has failed for good. After an error that is not known yet: try again.
    pub(crate) async fn settle_unknown_outcomes(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(store) => store.settle_unknown_outcomes().await,
            Self::Postgres(store) => store.settle_unknown_outcomes().await,
        }
    }

    /// The kind of database, as `/api/stats` tells it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }

    /// Answers from memory, without waiting for the disk.
    pub(crate) fn health(&self) -> StoreHealth {
        match self {
            Self::Sqlite(store) => store.health(),
            Self::Postgres(store) => store.health(),
        }
    }

    /// Does the writes that wait, and ends the threads. Blocks; later calls are refused.
    pub(crate) fn close(&self) {
        match self {
            Self::Sqlite(store) => store.close(),
            Self::Postgres(store) => store.close(),
        }
    }
}
