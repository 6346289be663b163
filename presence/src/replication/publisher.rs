//! What is to be sent to one partition and what is under way: one call at a time, and one timer for all that waits.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
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

/// How many places of a call are for what other nodes left, while there is any: a quarter, so that a stream of this node's own
/// changes does not keep it from being cleaned up.
const LEFT_OVER_MIN: usize = CALL_USERS_MAX / 4;

/// How far the users to offer have been looked through for one call: those that stay are passed over once.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// The last user that was taken of each.
    pending: Option<UserId>,
    left_over: Option<UserId>,
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
    /// The same, because of what did not happen here: what another node left. Changes of this node's users come first, and no
    /// caller waits for these.
    pub(super) left_over: BTreeSet<UserId>,
    /// Those of them that are under way, awaited or held back.
    pub(super) left_over_taken: BTreeSet<UserId>,
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
            self.put_back(under_way.users);
            self.drops.extend(under_way.dropped);
            for times in under_way.times {
                self.times.entry(times.user.clone()).or_insert(times);
            }
        }
        self.forget_stored();
    }

    /// The copy was read anew.
    pub(super) fn forget_stored(&mut self) {
        let awaiting = std::mem::take(&mut self.awaiting);
        self.put_back(awaiting);
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
        self.left_over_taken.remove(user);
        let is_older =
            |stored: &Option<(Revision, Vec<u8>)>| stored.as_ref().is_none_or(|(stored, _)| *stored <= revision);
        if self.stored.get(user).is_some_and(is_older) {
            self.stored.remove(user);
        }
    }

    /// The users are to be offered again.
    pub(super) fn put_back(&mut self, users: impl IntoIterator<Item = UserId>) {
        for user in users {
            match self.left_over_taken.remove(&user) {
                true => self.left_over.insert(user),
                false => self.pending.insert(user),
            };
        }
    }

    /// Those who were held back are not any more.
    pub(super) fn free_held_back(&mut self) {
        let held_back = std::mem::take(&mut self.held_back);
        self.put_back(held_back);
    }

    /// The user need not be offered.
    pub(super) fn withdraw(&mut self, user: &UserId) {
        self.refused.remove(user);
        self.left_over_taken.remove(user);
        self.pending.remove(user);
        self.left_over.remove(user);
    }

    /// A user to offer in a call that has so many already. Those that wait for the log, or for their sessions to end, stay.
    pub(super) fn take_next(&mut self, turn: &mut Turn, offered: usize) -> Option<UserId> {
        let keeps_room = !self.left_over.is_empty() && offered >= CALL_USERS_MAX - LEFT_OVER_MIN;
        let is_free = |user: &&UserId| !self.awaiting.contains(*user) && !self.ending.contains_key(*user);
        let find = |users: &BTreeSet<UserId>, after: &Option<UserId>| {
            let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            users
                .range::<UserId, _>((from, Bound::Unbounded))
                .find(is_free)
                .cloned()
        };
        if !keeps_room && let Some(user) = find(&self.pending, &turn.pending) {
            self.pending.remove(&user);
            self.left_over.remove(&user);
            self.left_over_taken.remove(&user);
            turn.pending = Some(user.clone());
            return Some(user);
        }
        let user = find(&self.left_over, &turn.left_over)?;
        self.left_over.remove(&user);
        self.left_over_taken.insert(user.clone());
        turn.left_over = Some(user.clone());
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
    /// longer than anybody waits. Nor what another node left: nothing was told here that an answer would lack.
    pub(super) fn is_waiting_for(&self, user: &UserId) -> bool {
        let is_under_way = |under_way: &UnderWay| under_way.users.contains(user);
        let is_taken = self.awaiting.contains(user) || self.under_way.as_ref().is_some_and(is_under_way);
        self.pending.contains(user) || is_taken && !self.left_over_taken.contains(user)
    }

    /// Whether this incarnation is to be ended, or is being ended.
    pub(super) fn is_ending(&self, incarnation: Incarnation) -> bool {
        let ended = self.under_way.as_ref().and_then(|under_way| under_way.ended);
        self.ends.contains_key(&incarnation) || ended.is_some_and(|(ended, _)| ended == incarnation)
    }

    /// How many users are on their way to the log, those who are held back too: a crash of this node would lose what happened to
    /// them.
    pub(super) fn on_the_way(&self) -> usize {
        let under_way = self.under_way.as_ref().map_or(0, |under_way| under_way.users.len());
        self.pending.len() + self.held_back.len() + self.left_over.len() + self.awaiting.len() + under_way
    }

    /// How many users wait, for metrics and tests.
    pub(super) fn waiting(&self) -> usize {
        let held_back: BTreeSet<&UserId> = self.pending.union(&self.held_back).collect();
        let left_over = self.left_over.iter().filter(|user| !held_back.contains(user));
        held_back.len() + left_over.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(numbers: std::ops::Range<usize>) -> BTreeSet<UserId> {
        let ids = numbers.map(|number| format!("user-{number:04}"));
        ids.filter_map(|id| UserId::new(&id).ok()).collect()
    }

    /// A call's users, as they are taken.
    fn take_call(publisher: &mut Publisher) -> BTreeSet<UserId> {
        let (mut turn, mut taken) = (Turn::default(), BTreeSet::new());
        while taken.len() < CALL_USERS_MAX
            && let Some(user) = publisher.take_next(&mut turn, taken.len())
        {
            taken.insert(user);
        }
        taken
    }

    #[test]
    fn changes_here_are_offered_before_what_another_node_left() {
        let mut publisher = Publisher {
            pending: users(500..510),
            left_over: users(0..200),
            ..Publisher::default()
        };
        let first = take_call(&mut publisher);
        assert_eq!(first.len(), CALL_USERS_MAX);
        assert!(first.is_superset(&users(500..510)));
    }

    #[test]
    fn a_stream_of_changes_leaves_room_for_what_another_node_left() {
        let mut publisher = Publisher {
            pending: users(0..200),
            left_over: users(500..600),
            ..Publisher::default()
        };
        let first = take_call(&mut publisher);
        assert_eq!(first.intersection(&users(500..600)).count(), LEFT_OVER_MIN);
        assert_eq!(first.len(), CALL_USERS_MAX);
    }

    #[test]
    fn no_caller_waits_for_what_another_node_left() {
        let mut publisher = Publisher {
            left_over: users(0..1),
            ..Publisher::default()
        };
        let all = users(0..1);
        let user = all.first().expect("a user");
        assert!(!publisher.is_waiting_for(user), "to be offered");
        assert_eq!(take_call(&mut publisher), all);
        publisher.awaiting.insert(user.clone());
        assert!(!publisher.is_waiting_for(user), "offered");
        publisher.pending.insert(user.clone());
        assert!(publisher.is_waiting_for(user), "changed here");
        publisher.handle_read(user, Revision::new(1));
        assert_eq!(take_call(&mut publisher), all);
        publisher.awaiting.insert(user.clone());
        assert!(publisher.is_waiting_for(user), "offered because it changed here");
    }

    #[test]
    fn a_left_over_that_changes_here_is_offered_once() {
        let mut publisher = Publisher {
            pending: users(0..1),
            left_over: users(0..1),
            ..Publisher::default()
        };
        let mut turn = Turn::default();
        assert_eq!(publisher.take_next(&mut turn, 0), users(0..1).pop_first());
        assert_eq!(publisher.take_next(&mut turn, 1), None);
        publisher.awaiting = users(0..1);
        assert!(
            users(0..1).iter().all(|user| publisher.is_waiting_for(user)),
            "changed here"
        );
    }

    #[test]
    fn a_left_over_is_still_one_after_a_reconnect() {
        let mut publisher = Publisher {
            left_over: users(0..3),
            ..Publisher::default()
        };
        publisher.awaiting = take_call(&mut publisher);
        publisher.reset(Incarnation(1));
        assert_eq!(publisher.left_over, users(0..3));
        assert!(publisher.pending.is_empty() && publisher.left_over_taken.is_empty());
    }

    #[test]
    fn a_user_who_is_held_back_is_on_the_way_and_nobody_waits_for_it() {
        let publisher = Publisher {
            held_back: users(0..2),
            ..Publisher::default()
        };
        assert_eq!(publisher.on_the_way(), 2);
        assert!(!users(0..2).iter().any(|user| publisher.is_waiting_for(user)));
    }

    #[test]
    fn a_user_who_waits_for_the_log_stays() {
        let mut publisher = Publisher {
            pending: users(0..3),
            awaiting: users(0..2),
            ..Publisher::default()
        };
        assert_eq!(take_call(&mut publisher), users(2..3));
        assert_eq!(publisher.pending, users(0..2));
    }
}
