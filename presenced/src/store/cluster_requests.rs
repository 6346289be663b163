//! What a node of a cluster asks of its store, and no other: the log of the cluster orders changes, so the store has to tell what
//! the log may lack, and to leave alone what came after.

use std::time::Duration;

use presence::{Revision, UserId, Version, Wall};

use super::options::{ROWS_AT_ONCE, SCANNED_AT_ONCE};
use super::queue::Queue;
use super::read_request::{PageRequest, ReadCaller, ReadLane, UserList};
use super::requests::{Push, Requests};
use super::write_request::{DurableChange, PlainWrite};
use super::{DurableRow, ListedRow, Store, StoreError};

/// Single users don't wait behind lists.
const LANE: (ReadLane, Push) = (ReadLane::Lists, Queue::push);

impl Store {
    /// Loads users that are shown as present, are connected on some node or have a report, ordered by id: at most `limit` of
    /// those after `after`; fewer are the last ones. In several reads, which together are of no one moment.
    pub(crate) async fn load_present(
        &self,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<ListedRow>, StoreError> {
        self.requests().read_list(UserList::Present, after, limit).await
    }

    /// Loads users who have another custom status than ONLINE, whether they are present or not, in the same way.
    pub(crate) async fn load_chosen(&self, after: Option<&UserId>, limit: usize) -> Result<Vec<ListedRow>, StoreError> {
        self.requests().read_list(UserList::Chosen, after, limit).await
    }

    /// Loads users whose durable part has been marked for `marked_for`, by the database's clock, in the same way: the log may
    /// not have it.
    pub(crate) async fn unpublished(
        &self,
        marked_for: Duration,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<ListedRow>, StoreError> {
        let list = UserList::Unpublished(marked_for);
        self.requests().read_list(list, after, limit).await
    }

    /// Clears the marks of users whose durable part the log has in this version or a higher one; a higher one that is stored keeps
    /// its mark. In several transactions as well.
    pub(crate) async fn mark_published(&self, versions: Vec<(UserId, Version)>) -> Result<(), StoreError> {
        for part in versions.chunks(ROWS_AT_ONCE) {
            let published = PlainWrite::Published(part.to_vec());
            self.requests().write_plain(published).await?;
        }
        Ok(())
    }

    /// Deletes what was written about a user before the log had it forgotten, at this revision and version. What is of a higher
    /// version, or of a higher revision, was written since, and stays. The durable part that is left takes a new version, which is
    /// returned with it as by every write of the durable part: it replaces what others may have read before.
    ///
    /// Leaves a tombstone as [`Store::forget`] does. Called again with the same, it deletes what has come late, and nothing else.
    pub(crate) async fn forget_older(
        &self,
        user: &UserId,
        revision: Revision,
        version: Version,
        now: Wall,
    ) -> Result<DurableRow, StoreError> {
        let change = DurableChange::ForgetOlder { revision, now };
        self.requests().write_durable(user, version, change).await
    }
}

impl Requests {
    /// Reads so much of a list at once that nobody waits long behind it, and more where little of it is found.
    async fn read_list(
        &self,
        list: UserList,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<ListedRow>, StoreError> {
        let mut after = after.map_or_else(String::new, |user| user.as_str().to_owned());
        let (mut rows, mut scan_max) = (Vec::new(), limit.clamp(1, ROWS_AT_ONCE));
        while rows.len() < limit {
            let page = PageRequest {
                list,
                after: std::mem::take(&mut after),
                scan_max,
            };
            let found = self.read(LANE, &[], |caller| ReadCaller::Page(page, caller)).await??;
            let Some(last) = found.last else { break };
            if found.rows.len() < scan_max / 2 {
                scan_max = (scan_max * 2).min(SCANNED_AT_ONCE);
            }
            rows.extend(found.rows);
            after = last;
        }
        rows.truncate(limit);
        Ok(rows)
    }
}
