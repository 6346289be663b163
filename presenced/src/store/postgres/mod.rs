//! The store in a PostgreSQL database: one task writes, a few read, all on one thread with a runtime of its own.
//!
//! This file is the handle. A write is answered after its commit and never before; reads never wait for the writer. The
//! database is somebody else's server: it comes and goes, and the store goes on when it is back.

mod columns;
mod commit_mark;
mod database_lock;
mod decode;
mod failure;
mod fault_injection;
mod forget;
mod group;
mod health;
mod import_marker;
mod import_target;
mod list;
mod migration;
mod open;
mod published_versions;
mod reach;
mod read;
mod revocations;
mod session;
mod single;
mod startup;
mod statements;
#[cfg(test)]
mod tests;
mod tls;
mod tombstones;
mod transaction;
mod write_session;
mod writer;

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use presence::wire::rest::PostgresInfo;

use super::requests::Requests;
use super::{OpenError, OpenOptions, Startup, StoreMetrics};
use crate::postgres_url::PostgresUrl;
use crate::vital::VitalThread;
use database_lock::LockMode;
#[cfg(test)]
pub(super) use fault_injection::PostgresHold;
pub(super) use health::ServerHealth;
pub(super) use import_target::ImportTarget;
use session::Connector;

/// Where the database is, and what the store needs beside it.
#[derive(Debug, Clone)]
pub(crate) struct PostgresPlace<'a> {
    pub(crate) url: &'a PostgresUrl,
    /// The file with the password, if one is needed.
    pub(crate) password_file: Option<&'a Path>,
    /// The file that tells when the node was last alive.
    pub(crate) alive: &'a Path,
}

/// A handle on the database; clones share it.
#[derive(Clone)]
pub(crate) struct PostgresStore {
    inner: Arc<PostgresInner>,
}

/// What the handles share with the thread.
struct PostgresInner {
    requests: Requests,
    /// The thread makes the connections with it.
    connector: Arc<Connector>,
    #[cfg(test)]
    health: Arc<ServerHealth>,
    /// Empty once the store was closed.
    thread: Mutex<Option<VitalThread>>,
}

impl PostgresStore {
    /// Opens the database, and makes its schema if it has none. Keeps other daemons out, or those that are in no cluster.
    pub(super) async fn open(
        place: PostgresPlace<'_>,
        options: &OpenOptions,
        metrics: StoreMetrics,
    ) -> Result<(Self, Startup), OpenError> {
        let (inner, startup) = open::open(place, LockMode::of(options.access), options, metrics).await?;
        let inner = Arc::new(inner);
        Ok((Self { inner }, startup))
    }

    pub(super) fn requests(&self) -> &Requests {
        &self.inner.requests
    }

    /// What the server told of itself when a connection was last made.
    pub(super) fn server(&self) -> Option<PostgresInfo> {
        self.inner.connector.server()
    }

    /// Does what is queued, and ends the connections and the thread. Blocks; later calls are refused.
    pub(super) fn close(&self) {
        let mut thread = self.inner.thread.lock();
        self.inner.requests.close_reads();
        self.inner.requests.writes.close();
        if let Some(thread) = thread.take() {
            thread.join();
        }
    }
}
