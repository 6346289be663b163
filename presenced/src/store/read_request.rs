//! What waits for the readers of a store, of whatever kind.

use presence::{Revision, UserId};
use tokio::sync::oneshot;

use super::{LoadedRow, StoreError};

/// When users were forgotten.
pub(super) type Removals = Result<Vec<Option<Revision>>, StoreError>;

/// A request that waits, for what is stored of these users, in their order.
#[derive(Debug)]
pub(super) struct ReadJob {
    pub(super) users: Vec<UserId>,
    pub(super) caller: ReadCaller,
}

/// What is asked for.
#[derive(Debug)]
pub(super) enum ReadCaller {
    /// The rows, none for those that are not stored.
    Rows(oneshot::Sender<Vec<LoadedRow>>),
    /// When they were forgotten.
    Removals(oneshot::Sender<Removals>),
}

/// Which threads or tasks read a request. Single users never wait behind lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadLane {
    /// Single users, and the reload of users that are shown without what is stored of them.
    Singles,
    /// Lists of users.
    Lists,
}
