//! Lists present users in pages: the shards' orders are merged, and the cost of a page is proportional to its length.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Bound;

use presence::wire::record::{Record, Viewer};
use presence::wire::rest::Page;
use presence::{Status, UserId};

use super::Engine;
use super::users::SHARDS;

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

/// One shard's next users in the merge, last first.
struct Run {
    users: Vec<UserId>,
    is_all: bool,
}

impl Engine {
    /// A page of the present users, by user id, for internal callers; `next` is the last id where there is more.
    pub(crate) fn list(&self, request: &ListRequest) -> Page {
        // A little more than an even share of each shard, so that most are asked once.
        let share = request.limit / SHARDS * 3 / 2 + 2;
        let mut runs: Vec<Run> = (0..SHARDS)
            .map(|shard| self.run_of(shard, request, None, share))
            .collect();
        let mut heads = BinaryHeap::new();
        for (index, run) in runs.iter_mut().enumerate() {
            heads.extend(run.users.pop().map(|user| Reverse((user, index))));
        }
        let mut users: Vec<Record> = Vec::new();
        let mut last = None;
        while let Some(Reverse((user, index))) = heads.pop() {
            if users.len() == request.limit {
                return self.page(users, last);
            }
            if runs[index].users.is_empty() && !runs[index].is_all {
                runs[index] = self.run_of(index, request, Some(&user), share);
            }
            heads.extend(runs[index].users.pop().map(|user| Reverse((user, index))));
            // It may have changed since the run was read.
            let entry = self.users.find(&user);
            let is_listed =
                |status: Option<Status>| status.is_some() && (request.status.is_none() || status == request.status);
            if let Some(entry) = entry.filter(|entry| is_listed(entry.listing.status())) {
                users.push(self.record_of(&entry, Viewer::Internal));
                last = Some(user);
            }
        }
        self.page(users, None)
    }

    fn page(&self, users: Vec<Record>, last: Option<UserId>) -> Page {
        let latest = users.iter().filter_map(Record::latest_time).max();
        let next = last.map(|user| user.as_str().to_owned());
        Page {
            now: self.clock.record_time(latest),
            users,
            next,
            counts: self.index.counts(),
        }
    }

    fn run_of(&self, shard: usize, request: &ListRequest, after: Option<&UserId>, count: usize) -> Run {
        let after = after.or(request.after.as_ref()).map(UserId::as_str);
        let from = match after {
            Some(after) if after >= request.prefix.as_str() => Bound::Excluded(after),
            _ => Bound::Included(request.prefix.as_str()),
        };
        let mut users = self.index.page(shard, request.status, from, count);
        let is_all = users.len() < count;
        users.retain(|user| user.as_str().starts_with(&request.prefix));
        users.reverse();
        Run {
            is_all: is_all || users.len() < count,
            users,
        }
    }
}
