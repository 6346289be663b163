//! What is to be sent to one partition and what is under way: one call at a time, and one timer for all that waits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::replication::call::{CALL_USERS_MAX, Call};
use crate::replication::names::{ConnectionNumber, Epoch, Incarnation};
use crate::replication::node_info::MovedTimes;
use crate::replication::settings::UNREACHABLE_AFTER;
use crate::revision::Revision;
use crate::time::Mono;
use crate::user_id::UserId;

/// A call without its answer.
#[derive(Debug, Clone, Default)]
pub(super) struct UnderWay {
    pub(super) since: Mono,
    /// The users offered.
    pub(super) users: Vec<UserId>,
    /// The users dropped.
    pub(super) dropped: Vec<(UserId, Revision)>,
    /// The incarnation ended, with the grace period that follows.
    pub(super) ended: Option<(Incarnation, Duration)>,
    /// The times that go with a tick.
    pub(super) times: Vec<MovedTimes>,
}

/// The publisher of one partition. Users are in memory here while their offer waits, at most once in each set.
#[derive(Debug, Clone, Default)]
pub(super) struct Publisher {
    pub(super) connection: ConnectionNumber,
    /// The connection is opened from here on; none if it is open.
    pub(super) retry_at: Option<Mono>,
    /// The epoch of the registration over this connection.
    pub(super) registered: Option<Epoch>,
    pub(super) under_way: Option<UnderWay>,
    /// Users whose newest state is to be offered.
    pub(super) pending: BTreeSet<UserId>,
    /// The same, once nobody is held back from becoming OFFLINE, or memory may be free.
    pub(super) held_back: BTreeSet<UserId>,
    /// Those of them that the memory of Redis had no room for.
    pub(super) refused: BTreeSet<UserId>,
    /// Users whose offer was taken, or who were changed by another, until the log says so.
    pub(super) awaiting: BTreeSet<UserId>,
    /// Users of whom a command was read, until the caller has ended their sessions here: what it knows now is of before.
    /// With the last tick sent, beyond which it has ended them in any case.
    pub(super) ending: BTreeMap<UserId, u64>,
    /// What is stored, where an answer said so before the log did.
    pub(super) stored: BTreeMap<UserId, Option<(Revision, Vec<u8>)>>,
    /// Registrations to end, with the grace period that follows.
    pub(super) ends: BTreeMap<Incarnation, Duration>,
    /// Users to remove from the state.
    pub(super) drops: BTreeMap<UserId, Revision>,
    /// Times to go with the next ticks.
    pub(super) times: BTreeMap<UserId, MovedTimes>,
    /// Those that go with the tick that is made.
    pub(super) taken_times: Vec<MovedTimes>,
    /// Users of whom a client was refused, for the next tick.
    pub(super) full_users: BTreeSet<UserId>,
    /// When the next regular tick is due.
    pub(super) tick_at: Mono,
    /// A tick is to be sent between the regular ones.
    pub(super) wants_probe: bool,
}

impl Publisher {
    /// The connection is gone: a call under way may be done or not, and what was to be heard may never be.
    pub(super) fn reset(&mut self, own: Incarnation) {
        self.registered = None;
        if let Some(under_way) = self.under_way.take() {
            self.ends.extend(under_way.ended.filter(|(ended, _)| *ended != own));
            self.pending.extend(under_way.users);
            self.drops.extend(under_way.dropped);
            for times in under_way.times {
                self.times.entry(times.user.clone()).or_insert(times);
            }
        }
        self.forget_stored();
    }

    /// The copy was read anew.
    pub(super) fn forget_stored(&mut self) {
        self.pending.append(&mut self.awaiting);
        self.stored.clear();
    }

    /// When the call under way has taken too long.
    pub(super) fn call_deadline(&self) -> Option<Mono> {
        let under_way = self.under_way.as_ref();
        under_way.map(|under_way| under_way.since.after(UNREACHABLE_AFTER))
    }

    /// A user's log entry was read.
    pub(super) fn handle_read(&mut self, user: &UserId, revision: Revision) {
        self.awaiting.remove(user);
        let is_older =
            |stored: &Option<(Revision, Vec<u8>)>| stored.as_ref().is_none_or(|(stored, _)| *stored <= revision);
        if self.stored.get(user).is_some_and(is_older) {
            self.stored.remove(user);
        }
    }

    /// A user to offer. Those that wait for the log, or for their sessions to end, stay.
    pub(super) fn take_pending(&mut self) -> Option<UserId> {
        let is_free = |user: &&UserId| !self.awaiting.contains(*user) && !self.ending.contains_key(*user);
        let user = self.pending.iter().find(is_free)?.clone();
        self.pending.remove(&user);
        Some(user)
    }

    /// Up to a call of users to remove.
    pub(super) fn take_drops(&mut self) -> Vec<(UserId, Revision)> {
        let mut taken = Vec::new();
        while taken.len() < CALL_USERS_MAX
            && let Some(first) = self.drops.pop_first()
        {
            taken.push(first);
        }
        taken
    }

    /// Notes that a call goes out.
    pub(super) fn begin(&mut self, now: Mono, call: &Call) {
        let mut under_way = UnderWay {
            since: now,
            ..UnderWay::default()
        };
        match call {
            Call::Offer { users, .. } => under_way.users = users.iter().map(|offer| offer.user.clone()).collect(),
            Call::Drop { users, .. } => under_way.dropped.clone_from(users),
            Call::End { ended, grace, .. } => under_way.ended = Some((*ended, *grace)),
            Call::Tick { .. } => under_way.times = std::mem::take(&mut self.taken_times),
            Call::Register { .. } | Call::List { .. } => {}
        }
        self.under_way = Some(under_way);
    }

    /// Whether the user is to be offered, is being offered, or is to come back from the log. Not one that is held back: that takes
    /// longer than anybody waits.
    pub(super) fn is_waiting_for(&self, user: &UserId) -> bool {
        let is_under_way = |under_way: &UnderWay| under_way.users.contains(user);
        self.pending.contains(user) || self.awaiting.contains(user) || self.under_way.as_ref().is_some_and(is_under_way)
    }

    /// Whether this incarnation is to be ended, or is being ended.
    pub(super) fn is_ending(&self, incarnation: Incarnation) -> bool {
        let ended = self.under_way.as_ref().and_then(|under_way| under_way.ended);
        self.ends.contains_key(&incarnation) || ended.is_some_and(|(ended, _)| ended == incarnation)
    }

    /// How many users are on their way to the log.
    pub(super) fn on_the_way(&self) -> usize {
        let under_way = self.under_way.as_ref().map_or(0, |under_way| under_way.users.len());
        self.pending.len() + self.awaiting.len() + under_way
    }

    /// How many users wait, for metrics and tests.
    pub(super) fn waiting(&self) -> usize {
        self.pending.union(&self.held_back).count()
    }
}
