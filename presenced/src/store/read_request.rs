//! What waits for the readers of a store, of whatever kind.

use std::time::Duration;

use presence::{Revision, UserId};
use tokio::sync::oneshot;

use super::{ListedRow, LoadedRow, StoreError, StoredRevocation};

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
    /// The next users of a list; nobody is named.
    Page(PageRequest, oneshot::Sender<Result<ListPage, StoreError>>),
    /// The next revocations above this number; nobody is named.
    Revocations(u64, oneshot::Sender<Result<Vec<StoredRevocation>, StoreError>>),
}

/// A list of users that the database keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UserList {
    /// Shown as present, connected on some node or with a report.
    Present,
    /// With another custom status than ONLINE.
    Chosen,
    /// Marked for this long.
    Unpublished(Duration),
}

/// A part of a list, by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PageRequest {
    pub(super) list: UserList,
    /// Users with a higher id; every user, if empty.
    pub(super) after: String,
    /// Users that are looked at, at most: how many of them are in the list is not known before.
    pub(super) scan_max: usize,
}

/// What was found among the users that were looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ListPage {
    /// Ordered by id.
    pub(super) rows: Vec<ListedRow>,
    /// The last one that was looked at, which need not be a user id nor be in the list; none if there was no one left.
    pub(super) last: Option<String>,
}

/// Which threads or tasks read a request. Single users never wait behind lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadLane {
    /// Single users, and the reload of users that are shown without what is stored of them.
    Singles,
    /// Lists of users.
    Lists,
}
