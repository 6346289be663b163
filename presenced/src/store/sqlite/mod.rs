//! The store in one SQLite file: one thread writes, a few read.
//!
//! This file is the handle. A write is answered after its commit and never before; reads never wait for the writer.

mod connection;
mod database_lock;
mod decode;
mod durable_part;
mod fault_injection;
mod file_check;
mod file_identity;
mod forget;
mod health;
mod list;
mod log_check;
mod marks;
mod migration;
mod open;
mod read;
mod revocations;
mod source;
mod statements;
#[cfg(test)]
mod tests;
mod tombstones;
mod unreadable_rows;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;

use super::requests::Requests;
use super::{OpenError, OpenOptions, Startup, StoreMetrics};
use crate::vital::VitalThread;
#[cfg(test)]
pub(super) use fault_injection::SqliteHold;
pub(super) use health::Health;
pub(super) use source::{SourceUsers, SqliteSource};

/// A handle on the file; clones share it.
#[derive(Clone)]
pub(crate) struct SqliteStore {
    inner: Arc<Inner>,
}

/// What the handles share with the threads.
struct Inner {
    requests: Requests,
    health: Arc<Health>,
    threads: Mutex<Threads>,
}

/// Empty once the store was closed.
#[derive(Default)]
struct Threads {
    readers: Vec<VitalThread>,
    writer: Option<JoinHandle<()>>,
}

impl SqliteStore {
    pub(super) fn open(
        path: &Path,
        options: &OpenOptions,
        metrics: StoreMetrics,
    ) -> Result<(Self, Startup), OpenError> {
        let (inner, startup) = open::open(path, options, metrics)?;
        let inner = Arc::new(inner);
        Ok((Self { inner }, startup))
    }

    pub(super) fn requests(&self) -> &Requests {
        &self.inner.requests
    }

    /// Does what is queued, folds the log into the database and ends the threads. Blocks; later calls are refused.
    pub(super) fn close(&self) {
        let mut threads = self.inner.threads.lock();
        // The readers first: the last connection to close is the one that removes the log.
        self.inner.requests.close_reads();
        let readers = std::mem::take(&mut threads.readers);
        for reader in readers {
            reader.join();
        }
        self.inner.requests.writes.close();
        if threads.writer.take().is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the store's writer ended by a panic");
        }
    }
}
