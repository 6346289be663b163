//! Whether the store can write, as the failures of its connection tell. Almost every failure passes by itself: the server is
//! somebody else's. Another database in the place of this one, or another daemon in ours, does not: it seals the store.

use std::sync::Arc;

use parking_lot::Mutex;

use super::failure::Failure;
use super::fault_injection::PostgresFaults;
use crate::store::metrics::{FailureKind, StoreMetrics};
use crate::store::{StoreError, StoreHealth};

/// Shared by the tasks and the handles.
#[derive(Debug)]
pub(in crate::store) struct ServerHealth {
    /// The database, for people.
    name: String,
    schema_version: i64,
    metrics: StoreMetrics,
    state: Mutex<ServerState>,
    pub(super) faults: PostgresFaults,
}

#[derive(Debug, Clone)]
enum ServerState {
    /// The last write succeeded.
    Writable,
    /// The last write failed for this reason; the next may succeed.
    Failing(Arc<str>),
    /// There will be no next write, for this reason.
    Sealed(Arc<str>),
}

impl ServerHealth {
    pub(super) fn new(name: &str, schema_version: i64, metrics: StoreMetrics) -> Self {
        Self {
            name: name.to_owned(),
            schema_version,
            metrics,
            state: Mutex::new(ServerState::Writable),
            faults: PostgresFaults::default(),
        }
    }

    pub(super) fn metrics(&self) -> &StoreMetrics {
        &self.metrics
    }

    /// The error of every write, if the store is sealed.
    pub(in crate::store) fn sealed(&self) -> Option<StoreError> {
        match &*self.state.lock() {
            ServerState::Sealed(reason) => Some(StoreError::Sealed { reason: reason.clone() }),
            ServerState::Writable | ServerState::Failing(_) => None,
        }
    }

    /// A commit succeeded.
    pub(super) fn written(&self) {
        let mut state = self.state.lock();
        if let ServerState::Failing(_) = *state {
            tracing::info!(database = self.name, "the store takes writes again");
            *state = ServerState::Writable;
        }
    }

    /// A transaction failed. Returns the answer to its requests.
    pub(super) fn write_failed(&self, failure: &Failure) -> StoreError {
        self.metrics.failed(failure.kind);
        let reason: Arc<str> = self.describe(failure).into();
        let mut state = self.state.lock();
        if let ServerState::Sealed(reason) = &*state {
            return StoreError::Sealed { reason: reason.clone() };
        }
        if failure.kind == FailureKind::Moved {
            tracing::error!("the store takes no more writes: {reason}");
            *state = ServerState::Sealed(reason.clone());
            return StoreError::Sealed { reason };
        }
        // Once for each outage, however its reason changes meanwhile: /readyz has the last one.
        if let ServerState::Writable = *state {
            tracing::error!("the store takes no writes: {reason}");
        }
        *state = ServerState::Failing(reason.clone());
        StoreError::Unavailable { reason }
    }

    /// A new connection shows that a commit is gone that was acknowledged.
    pub(super) fn writes_lost(&self) {
        self.metrics.failed(FailureKind::Lost);
        tracing::error!(
            database = self.name,
            "the server has lost writes that it had acknowledged: a standby that was behind has taken over, or a backup was \
             put in its place. Custom statuses that were set and tokens that were revoked shortly before are so in memory at most, until a restart"
        );
    }

    /// One request failed, alone. Returns the answer to it.
    pub(super) fn request_failed(&self, failure: &Failure) -> StoreError {
        self.metrics.failed(FailureKind::Request);
        tracing::error!(error = %failure.text, "the store can't keep one request");
        StoreError::Refused {
            reason: failure.text.clone(),
        }
    }

    /// A read failed. Returns the answer to it.
    pub(super) fn read_failed(&self, failure: &Failure) -> StoreError {
        self.metrics.failed(failure.kind);
        if failure.kind == FailureKind::Request {
            tracing::error!(database = self.name, error = %failure.text, "a row of the database can't be understood");
            return StoreError::Refused {
                reason: failure.text.clone(),
            };
        }
        StoreError::Unavailable {
            reason: self.describe(failure).into(),
        }
    }

    /// A caller gave up waiting. The commit under way, if it succeeds, makes the store writable again.
    pub(in crate::store) fn answer_overdue(&self) {
        self.metrics.failed(FailureKind::Late);
        let mut state = self.state.lock();
        if let ServerState::Writable = *state {
            let reason = self.describe(&Failure::late());
            tracing::error!("the store takes no writes: {reason}");
            *state = ServerState::Failing(reason.into());
        }
    }

    /// The health as people and `/readyz` are shown it.
    pub(in crate::store) fn snapshot(&self) -> StoreHealth {
        let state = self.state.lock().clone();
        StoreHealth {
            writable: matches!(state, ServerState::Writable),
            restart_needed: matches!(state, ServerState::Sealed(_)),
            error: match state {
                ServerState::Writable => None,
                ServerState::Failing(reason) | ServerState::Sealed(reason) => Some(reason),
            },
            schema_version: self.schema_version,
        }
    }

    fn describe(&self, failure: &Failure) -> String {
        format!("{}: {}: {}", self.name, failure.text, failure.advice)
    }
}
