//! What can be asked of a partition without changing it.

use std::time::Duration;

use crate::replication::names::{Epoch, Incarnation};
use crate::replication::node_info::{NodeInfo, Tick};
use crate::replication::partition::{Input, Partition};
use crate::replication::settings::{Rule, SILENT_AFTER_TICKS, TICKS_PER_LEASE};
use crate::replication::state::State;
use crate::revision::Revision;
use crate::time::{Mono, Reading, Wall};
use crate::user_id::UserId;

/// A registered node as this one sees it in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The run of the node.
    pub incarnation: Incarnation,
    /// What the node told of itself; none if a newer version wrote it.
    pub info: Option<NodeInfo>,
    /// How long ago its last tick was read here, or its registration.
    pub tick_age: Duration,
    /// The same in the partition where that is the least: of several, some may be out of reach for a while.
    pub youngest_tick: Duration,
    /// Its last tick, without times; one that tells nothing if none was read yet.
    pub tick: Tick,
    /// How long a tick of the node takes through the log and back to it, as far as is known here.
    pub lag: Duration,
}

impl Member {
    /// Whether clients that leave another node may come to this one, as far as its last tick says.
    #[must_use]
    pub fn takes_clients(&self, lease: Duration) -> bool {
        self.tick.takes_clients() && self.youngest_tick <= lease / TICKS_PER_LEASE * SILENT_AFTER_TICKS
    }
}

impl Partition {
    /// Redis's clock, as estimated: what the node's clock of records follows.
    #[must_use]
    pub fn time(&self, reading: Reading) -> Wall {
        self.clock.estimate(reading)
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

    /// When the contributions of an incarnation that is not registered cease to count.
    #[must_use]
    pub fn contributions_end(&self, incarnation: Incarnation) -> Option<Mono> {
        self.leases.over_at(incarnation)
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

    /// Whether some users are OFFLINE who are not told to be, until everyone who moved was heard of.
    #[must_use]
    pub fn is_withholding(&self) -> bool {
        self.replica.has_withheld()
    }

    /// How many users are on their way to the log.
    #[must_use]
    pub fn on_the_way(&self) -> usize {
        self.publisher.on_the_way()
    }

    /// How many users wait to be offered.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.publisher.waiting()
    }

    /// The user as the next offer would have it, for whoever can't wait for the log; none if nothing is known of it, or it has
    /// too many sessions.
    #[must_use]
    pub fn said(&self, input: Input<'_>, user: &UserId) -> Option<State> {
        let base = self.base_of(user);
        let own = (input.own)(user);
        if own.is_none() && base.state.is_none() && !self.parts.contains_key(user) {
            return None;
        }
        let knowledge = self.knowledge(user, own.unwrap_or_default());
        self.build(input, user, base.state.as_ref(), &knowledge).ok()
    }

    /// Whether the custom statuses of this pass, as [`super::Effect::LoadChosen`] named it, are still to be listed.
    #[must_use]
    pub fn is_listing(&self, pass: u64) -> bool {
        self.lists.is_under_way(pass)
    }

    /// Whether nobody becomes OFFLINE now, because not everyone who moved may have been heard of.
    #[must_use]
    pub fn is_holding(&self, now: Mono) -> bool {
        self.reach.is_holding(now)
    }

    /// Whether the log may not have what this node offers of the user, or whose a lost session is that was claimed here: another
    /// node's entry, which was not read yet, may have left nothing to say.
    #[must_use]
    pub fn is_waiting_for(&self, user: &UserId) -> bool {
        self.publisher.is_waiting_for(user) || self.awaits_claims(user)
    }

    /// How often a registration began or ended: [`Self::nodes`] may differ after that.
    #[must_use]
    pub fn registrations(&self) -> u64 {
        self.leases.changes
    }

    /// The registered nodes, with what each told of itself.
    pub fn nodes(&self) -> impl Iterator<Item = (Incarnation, Option<NodeInfo>)> {
        self.leases
            .nodes()
            .map(|(one, node)| (one, NodeInfo::decode(node).ok()))
    }

    /// The registered nodes, with how they are.
    pub fn members(&self, now: Mono) -> impl Iterator<Item = Member> {
        self.leases
            .ticks(now)
            .map(move |(incarnation, node, tick_age, tick)| Member {
                incarnation,
                info: NodeInfo::decode(node).ok(),
                tick_age,
                youngest_tick: tick_age,
                tick: tick.clone(),
                lag: match incarnation == self.own {
                    true => self.reach.lag(now),
                    false => Duration::from_millis(tick.lag_millis.into()),
                },
            })
    }
}
