//! What can be asked of a partition without changing it.

use crate::replication::names::{Epoch, Incarnation};
use crate::replication::node_info::NodeInfo;
use crate::replication::partition::Partition;
use crate::replication::settings::Rule;
use crate::replication::state::State;
use crate::revision::Revision;
use crate::time::{Reading, Wall};
use crate::user_id::UserId;

impl Partition {
    /// Redis's clock, as estimated: what the times of records are made of.
    #[must_use]
    pub fn time(&self, reading: Reading) -> Wall {
        self.clock.now(reading)
    }

    /// Whether the partition can be reached.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        self.reach.is_reachable()
    }

    /// The epoch of the copy, and the last id applied to it, while cursors may be given out.
    #[must_use]
    pub fn position(&self) -> Option<(Epoch, Revision)> {
        let is_current = self.follower.is_synced && self.reach.is_reachable();
        let epoch = self.follower.epoch.filter(|_| is_current)?;
        let last = self.follower.last;
        match self
            .replica
            .first_withheld()
            .filter(|_| self.settings.has(Rule::CursorsWait))
        {
            Some(Revision::NEVER) => None,
            Some(first) => Some((epoch, last.min(Revision::new(first.get() - 1)))),
            None => Some((epoch, last)),
        }
    }

    /// What watchers are told of a user; none if it is in no copy, and the database has it.
    #[must_use]
    pub fn shown(&self, user: &UserId) -> Option<(Revision, State)> {
        self.replica.shown(user).map(|held| (held.revision, held.state()))
    }

    /// What the copy has of a user.
    #[must_use]
    pub fn copied(&self, user: &UserId) -> Option<(Revision, State)> {
        self.replica.get(user).map(|held| (held.revision, held.state()))
    }

    /// All users of the copy in order of their ids, with the revision.
    pub fn users(&self) -> impl Iterator<Item = (&UserId, Revision)> {
        self.replica.users().map(|(user, held)| (user, held.revision))
    }

    /// How many users are in the copy.
    #[must_use]
    pub fn len(&self) -> usize {
        self.replica.len()
    }

    /// Whether the copy is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.replica.len() == 0
    }

    /// How many users wait to be offered.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.publisher.waiting()
    }

    /// The registered nodes, with what each told of itself.
    pub fn nodes(&self) -> impl Iterator<Item = (Incarnation, Option<NodeInfo>)> {
        self.leases
            .nodes()
            .map(|(one, node)| (one, NodeInfo::decode(node).ok()))
    }
}
