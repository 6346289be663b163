//! The engine: users in shards behind short locks, and everything that can happen to them. `api` and `gateway` call it;
//! it calls `directory`, `hub` and `store`. STUB: signatures are agreed, bodies follow.

pub(crate) mod connections;

use std::time::Duration;

use presence::wire::record::{Record, Viewer};
use presence::wire::rest::{Counts, Explain, Page};
use presence::{By, CustomStatus, ReportInput, Status, UserId};

/// Why the engine refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EngineError {
    /// The store can't answer or can't write; nothing changed.
    #[error("the store is unavailable; nothing was changed")]
    StoreUnavailable,
    /// Too many choices of this user.
    #[error("too many choices; try again later")]
    RateLimited {
        /// When the next one fits.
        retry_after: Duration,
    },
    /// As many reports as one user may have.
    #[error("too many reports of this user")]
    TooManyReports,
}

/// What to list.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListRequest {
    /// Only this status.
    pub(crate) status: Option<Status>,
    /// Only ids that begin with this.
    pub(crate) prefix: String,
    /// At most so many, 1 to 1000.
    pub(crate) limit: usize,
    /// Only ids after this one (the cursor of the page before).
    pub(crate) after: Option<UserId>,
}

/// Figures of the engine for `/api/stats`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EngineStats {
    pub(crate) users: Counts,
    pub(crate) sessions: presence::wire::rest::SessionStats,
    pub(crate) rates: presence::wire::rest::RateStats,
    pub(crate) pending_writes: u64,
}

/// The engine.
pub(crate) struct Engine {}

impl Engine {
    /// The record of one user; never seen: OFFLINE, null times, revision 0.
    pub(crate) async fn record(&self, _user: &UserId, _viewer: Viewer) -> Result<Record, EngineError> {
        unimplemented!()
    }

    /// The records of several, in the order asked. `own` is the caller's own id, whose record shows more.
    pub(crate) async fn records(
        &self,
        _users: &[UserId],
        _viewer: Viewer,
        _own: Option<&UserId>,
    ) -> Result<Vec<Record>, EngineError> {
        unimplemented!()
    }

    /// The choice of one user; never seen: ONLINE.
    pub(crate) async fn custom_status(&self, _user: &UserId) -> Result<CustomStatus, EngineError> {
        unimplemented!()
    }

    /// Chooses: stored first, then applied. The record as `viewer` sees it.
    pub(crate) async fn choose(
        &self,
        _user: &UserId,
        _custom: CustomStatus,
        _by: By,
        _viewer: Viewer,
    ) -> Result<Record, EngineError> {
        unimplemented!()
    }

    /// Opens, refreshes or ends a report: stored first, then applied. The record for internal callers.
    pub(crate) async fn report(&self, _user: &UserId, _report: ReportInput) -> Result<Record, EngineError> {
        unimplemented!()
    }

    /// A page of who is present, by user id, for internal callers; `next` is the last id where there is more.
    pub(crate) fn list(&self, _request: &ListRequest) -> Page {
        unimplemented!()
    }

    /// Why this user is shown so, and what will change it next.
    pub(crate) async fn explain(&self, _user: &UserId) -> Result<Explain, EngineError> {
        unimplemented!()
    }

    /// Ends connections (4003), reports and grace. How many connections and reports there were.
    pub(crate) async fn kick(&self, _user: &UserId) -> Result<u64, EngineError> {
        unimplemented!()
    }

    /// Forgets the user (4010). How many connections and reports there were.
    pub(crate) async fn forget(&self, _user: &UserId) -> Result<u64, EngineError> {
        unimplemented!()
    }

    /// Figures, without a pass over anything that grows.
    pub(crate) fn stats(&self) -> EngineStats {
        unimplemented!()
    }
}
