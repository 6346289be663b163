//! Records that the log has are written behind by the node whose offer made the entry, in order of user id; then the user may
//! leave the state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use presence::replication::Share;
use presence::{NodeName, Revision, UserId, Version};
use tokio::sync::Notify;

use crate::cluster::Shared;
use crate::engine::Engine;
use crate::engine::persistence::BATCH_MAX_USERS;
use crate::store::StatusRow;

/// How long a change waits for others to be written with it.
const BATCH_EVERY: Duration = Duration::from_millis(80);
/// How long to wait after a failure.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Users whose record in the database is behind the log. Bounded by the users of the state.
#[derive(Default)]
pub(in crate::engine) struct Unwritten {
    waiting: Mutex<UnwrittenUsers>,
    some: Notify,
}

#[derive(Default)]
struct UnwrittenUsers {
    users: BTreeSet<UserId>,
    /// Whose durable part the log has, up to a version: their marks are to be cleared.
    published: BTreeMap<UserId, Version>,
    /// How many of either were taken and the store has not answered.
    under_way: usize,
}

impl UnwrittenUsers {
    fn publish(&mut self, user: UserId, version: Version) {
        let known = self.published.entry(user).or_default();
        *known = version.max(*known);
    }
}

impl Unwritten {
    pub(super) fn push(&self, user: UserId) {
        self.waiting.lock().users.insert(user);
        self.some.notify_one();
    }

    /// The log has the durable part of the user in this version.
    pub(super) fn publish(&self, user: UserId, version: Version) {
        self.waiting.lock().publish(user, version);
        self.some.notify_one();
    }

    fn take(&self) -> Vec<UserId> {
        let mut waiting = self.waiting.lock();
        let batch: Vec<UserId> = std::iter::from_fn(|| waiting.users.pop_first())
            .take(BATCH_MAX_USERS)
            .collect();
        waiting.under_way += batch.len();
        batch
    }

    fn take_published(&self) -> Vec<(UserId, Version)> {
        let mut waiting = self.waiting.lock();
        let batch: Vec<(UserId, Version)> = std::iter::from_fn(|| waiting.published.pop_first())
            .take(BATCH_MAX_USERS)
            .collect();
        waiting.under_way += batch.len();
        batch
    }

    /// The store has answered a batch of this size. What it did not take waits again.
    fn answered(&self, count: usize, put_back: impl FnOnce(&mut UnwrittenUsers)) {
        let mut waiting = self.waiting.lock();
        waiting.under_way -= count;
        put_back(&mut waiting);
    }

    /// How many users wait to be written or to have their marks cleared, those of the batch under way too.
    pub(in crate::engine) fn len(&self) -> usize {
        let waiting = self.waiting.lock();
        waiting.users.len() + waiting.published.len() + waiting.under_way
    }
}

impl Engine {
    /// Writes batch after batch until the daemon ends.
    pub(in crate::engine) async fn run_replicated_writes(self: &Arc<Self>, shared: &Shared) {
        loop {
            self.unwritten.some.notified().await;
            tokio::time::sleep(BATCH_EVERY).await;
            while !self.write_replicated(shared).await {
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }

    /// Writes what waits. Whether the store took it.
    pub(in crate::engine) async fn write_replicated(&self, shared: &Shared) -> bool {
        loop {
            let users = self.unwritten.take();
            if users.is_empty() {
                return self.clear_marks().await;
            }
            let (rows, written): (Vec<StatusRow>, Vec<(UserId, Revision)>) =
                users.iter().filter_map(|user| row_of(shared, user)).unzip();
            let count = users.len();
            if self.persistence.store.save_statuses(rows).await.is_err() {
                self.unwritten.answered(count, |waiting| waiting.users.extend(users));
                return false;
            }
            self.unwritten.answered(count, |_| {});
            tell_written(shared, written);
        }
    }
}

impl Engine {
    /// How many users wait until their record is written or their mark cleared, or until the log has what happened to them.
    pub(in crate::engine) fn pending_writes(&self) -> u64 {
        let on_the_way = self.cluster.shared().map_or(0, Shared::on_the_way);
        self.persistence.write_behind.pending() + (self.unwritten.len() + on_the_way) as u64
    }

    /// Clears the marks of changes that the log has. Whether the store took it.
    async fn clear_marks(&self) -> bool {
        loop {
            let published = self.unwritten.take_published();
            if published.is_empty() {
                return true;
            }
            let count = published.len();
            if self.persistence.store.mark_published(published.clone()).await.is_err() {
                self.unwritten.answered(count, |waiting| {
                    for (user, version) in published {
                        waiting.publish(user, version);
                    }
                });
                return false;
            }
            self.unwritten.answered(count, |_| {});
        }
    }
}

/// The database has the records of these users, at these revisions. Each partition is told of all its users at once.
fn tell_written(shared: &Shared, written: Vec<(UserId, Revision)>) {
    let mut by_partition: BTreeMap<u16, Vec<(UserId, Revision)>> = BTreeMap::new();
    for (user, revision) in written {
        by_partition
            .entry(shared.number_of(&user))
            .or_default()
            .push((user, revision));
    }
    for (number, written) in by_partition {
        shared.partition(number).tell(move |machine, input| {
            for (user, revision) in &written {
                machine.handle_written(input, user, *revision);
            }
        });
    }
}

/// The row of the user as the copy has it, with the revision of the copy; none if the user has left the state since.
fn row_of(shared: &Shared, user: &UserId) -> Option<(StatusRow, (UserId, Revision))> {
    let (revision, state) = shared.partition_of(user).machine().copied(user)?;
    if state.is_removed() || state.degraded {
        return None;
    }
    let row = StatusRow {
        user: user.clone(),
        status: state.status,
        since: state.since,
        connected_on: places(shared, &state.contributions).collect(),
        last_seen: state.last_seen,
        last_active: state.last_active,
        revision: state.changed.unwrap_or(revision),
        clamp_to: None,
        published: Some(state.durable.part.version),
    };
    Some((row, (user.clone(), revision)))
}

/// The node of each session and each lost one in grace.
fn places<'a>(shared: &'a Shared, shares: &'a [Share]) -> impl Iterator<Item = NodeName> + 'a {
    shares
        .iter()
        .flat_map(|share| std::iter::repeat_n(shared.name_of(share.incarnation), share.all_places() as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: usize) -> UserId {
        UserId::new(&format!("user-{number:05}")).expect("a user id")
    }

    #[test]
    fn a_batch_is_bounded_and_in_order_of_user_ids() {
        let unwritten = Unwritten::default();
        for number in (0..=BATCH_MAX_USERS).rev().chain([3]) {
            unwritten.push(user(number));
        }
        let batch = unwritten.take();
        assert!(batch.is_sorted() && batch[0] == user(0));
        assert_eq!((batch.len(), unwritten.len()), (BATCH_MAX_USERS, BATCH_MAX_USERS + 1));
        unwritten.answered(batch.len(), |_| {});
        assert_eq!(unwritten.len(), 1);
        assert_eq!(unwritten.take(), [user(BATCH_MAX_USERS)]);
        assert!(unwritten.take().is_empty());
    }

    #[test]
    fn a_mark_is_cleared_up_to_the_highest_version_that_was_read() {
        let unwritten = Unwritten::default();
        for version in [2, 5, 3] {
            unwritten.publish(user(1), Version::new(version));
        }
        assert_eq!(unwritten.waiting.lock().published, [(user(1), Version::new(5))].into());
    }
}
