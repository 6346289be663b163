//! The presence index: the present users in order of their ids, and their counts. It is updated with each change of a
//! user, so that listing and counting never pass over all users.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use presence::wire::rest::Counts;
use presence::{Status, UserId};

use super::users::{LockedEntry, SHARDS};
use super::visits::Visits;

/// The index's note about one user.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Under which status the user is listed.
    status: Option<Status>,
    /// Whether the user counts as being in a grace period alone.
    is_only_in_grace: bool,
    /// How many of the user's reports are counted.
    reports: u32,
}

impl Listing {
    /// Under which status the user is listed; none while OFFLINE.
    pub(super) fn status(&self) -> Option<Status> {
        self.status
    }
}

/// Present users of one shard, in order of their ids.
type ByStatus = BTreeMap<Status, BTreeSet<UserId>>;

/// The present users and their counts.
pub(super) struct PresenceIndex {
    /// Locked after a user's entry, never before one.
    shards: Box<[Mutex<ByStatus>]>,
    /// Present users, in the order of [`Status::ALL`] without OFFLINE.
    by_status: [AtomicU64; 3],
    in_grace: AtomicU64,
    reports: AtomicU64,
    /// Of listed users, by pages.
    pub(super) visits: Visits,
}

impl PresenceIndex {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            by_status: Default::default(),
            in_grace: AtomicU64::new(0),
            reports: AtomicU64::new(0),
            visits: Visits::default(),
        }
    }

    /// Brings the index up to date with one user.
    pub(super) fn update(&self, entry: &mut LockedEntry<'_>) {
        let now = Listing {
            status: Some(entry.state.profile().decision().status).filter(|status| *status != Status::Offline),
            is_only_in_grace: entry.state.is_only_in_grace(),
            reports: u32::try_from(entry.state.profile().reports().len()).unwrap_or(u32::MAX),
        };
        let before = std::mem::replace(&mut entry.listing, now);
        let now = &entry.listing;
        move_count(
            &self.in_grace,
            before.is_only_in_grace.into(),
            now.is_only_in_grace.into(),
        );
        move_count(&self.reports, before.reports.into(), now.reports.into());
        if before.status != now.status {
            self.relist(entry, before.status, now.status);
        }
    }

    /// Present users by status.
    pub(super) fn counts(&self) -> Counts {
        let [online, idle, do_not_disturb] = self.by_status.each_ref().map(|count| count.load(Ordering::Relaxed));
        Counts {
            online,
            idle,
            do_not_disturb,
        }
    }

    /// How many users a grace period alone keeps present.
    pub(super) fn in_grace(&self) -> u64 {
        self.in_grace.load(Ordering::Relaxed)
    }

    /// How many reports hold.
    pub(super) fn reports(&self) -> u64 {
        self.reports.load(Ordering::Relaxed)
    }

    /// The next present users of one shard after a bound, in order of their ids, at most `count`.
    pub(super) fn page(&self, shard: usize, status: Option<Status>, after: Bound<&str>, count: usize) -> Vec<UserId> {
        let shard = self.shards[shard].lock();
        let users = shard
            .iter()
            .filter(|(listed, _)| status.is_none_or(|status| status == **listed))
            .flat_map(|(_, users)| users.range::<str, _>((after, Bound::Unbounded)).take(count));
        let mut page: Vec<UserId> = self.visits.of(users).cloned().collect();
        drop(shard);
        page.sort_unstable();
        page.truncate(count);
        page
    }

    fn relist(&self, entry: &LockedEntry<'_>, before: Option<Status>, now: Option<Status>) {
        let mut shard = self.shards[entry.at().shard()].lock();
        if let Some(status) = before {
            self.count_of(status).fetch_sub(1, Ordering::Relaxed);
            shard.entry(status).or_default().remove(entry.user());
        }
        if let Some(status) = now {
            self.count_of(status).fetch_add(1, Ordering::Relaxed);
            shard.entry(status).or_default().insert(entry.user().clone());
        }
    }

    fn count_of(&self, status: Status) -> &AtomicU64 {
        let [online, idle, do_not_disturb] = &self.by_status;
        match status {
            Status::Online => online,
            Status::Idle => idle,
            // OFFLINE is never listed.
            Status::DoNotDisturb | Status::Offline => do_not_disturb,
        }
    }
}

fn move_count(count: &AtomicU64, before: u64, now: u64) {
    match now.checked_sub(before) {
        Some(0) => {}
        Some(more) => drop(count.fetch_add(more, Ordering::Relaxed)),
        None => drop(count.fetch_sub(before - now, Ordering::Relaxed)),
    }
}

#[cfg(test)]
mod tests {
    use presence::{EndReason, ReportInput, Source};

    use super::*;
    use crate::engine::tests::stepped_engine::Stepped;

    fn listed(stepped: &Stepped, status: Option<Status>) -> Vec<String> {
        let pages = (0..SHARDS).flat_map(|shard| stepped.engine.index.page(shard, status, Bound::Unbounded, 10));
        let mut users: Vec<String> = pages.map(|user| user.to_string()).collect();
        users.sort();
        users
    }

    #[tokio::test]
    async fn users_are_listed_under_their_status_while_present() {
        let stepped = Stepped::new().await;
        let (ann, bob) = (stepped.connect("ann").await, stepped.connect("bob").await);
        stepped.engine.away(&bob.conn, None).expect("a session");
        assert_eq!(listed(&stepped, Some(Status::Online)), ["ann"]);
        assert_eq!(listed(&stepped, Some(Status::Idle)), ["bob"]);
        assert_eq!(listed(&stepped, None), ["ann", "bob"]);
        let counts = stepped.engine.index.counts();
        assert_eq!((counts.online, counts.idle, counts.do_not_disturb), (1, 1, 0));
        stepped.disconnect(&ann, EndReason::Closed);
        assert_eq!(listed(&stepped, None), ["bob"]);
        assert_eq!(stepped.engine.index.counts().total(), 1);
    }

    #[tokio::test]
    async fn reports_and_users_in_grace_alone_are_counted() {
        let stepped = Stepped::new().await;
        let ann = stepped.connect("ann").await;
        stepped.disconnect(&ann, EndReason::Lost);
        assert_eq!(
            (stepped.engine.index.in_grace(), stepped.engine.index.reports()),
            (1, 0)
        );
        let input = |status| ReportInput {
            source: Source::default(),
            status,
            ttl: None,
            update_last_active: false,
        };
        let user = presence::UserId::new("ann").expect("a user id");
        stepped
            .engine
            .report(&user, input(Status::Online))
            .await
            .expect("a record");
        assert_eq!(
            (stepped.engine.index.in_grace(), stepped.engine.index.reports()),
            (0, 1)
        );
        stepped
            .engine
            .report(&user, input(Status::Offline))
            .await
            .expect("a record");
        assert_eq!(
            (stepped.engine.index.in_grace(), stepped.engine.index.reports()),
            (1, 0)
        );
    }

    #[tokio::test]
    async fn a_user_with_a_connection_is_not_in_grace_alone() {
        let stepped = Stepped::new().await;
        let (lost, other) = (stepped.connect("ann").await, stepped.connect("ann").await);
        stepped.disconnect(&lost, EndReason::Lost);
        assert_eq!(stepped.engine.index.in_grace(), 0);
        stepped.disconnect(&other, EndReason::Closed);
        assert_eq!(stepped.engine.index.in_grace(), 1);
    }

    #[tokio::test]
    async fn a_page_begins_after_its_bound_and_is_no_longer_than_asked() {
        let stepped = Stepped::new().await;
        let shard = crate::engine::users::shard_of(&UserId::new("ann").expect("a user id"));
        let names = (0..).map(|number| format!("user-{number:03}"));
        let same_shard =
            names.filter(|name| crate::engine::users::shard_of(&UserId::new(name).expect("an id")) == shard);
        let names: Vec<String> = same_shard.take(3).collect();
        for name in &names {
            let client = stepped.connect(name).await;
            if *name == names[1] {
                // Users of one status come before those of another, in no order of the page.
                stepped.engine.away(&client.conn, None).expect("a session");
            }
        }
        let page = |after, count| stepped.engine.index.page(shard, None, after, count);
        let texts = |page: Vec<UserId>| page.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(texts(page(Bound::Unbounded, 2)), names[..2]);
        assert_eq!(texts(page(Bound::Excluded(names[0].as_str()), 9)), names[1..]);
        assert_eq!(texts(page(Bound::Included(names[2].as_str()), 9)), names[2..]);
    }
}
