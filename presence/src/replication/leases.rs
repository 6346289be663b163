//! Which nodes are registered, which of them are silent, and how long the contributions of the others still count. No
//! clock of another node is compared: a node is dead for another that has read five of its own ticks and nothing of it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::replication::names::Incarnation;
use crate::replication::node_info::Tick;
use crate::replication::settings::{GRACE_LATE, Rule, Settings, TICKS_PER_LEASE};
use crate::revision::Revision;
use crate::time::Mono;

/// A registered node.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Registered {
    /// Own ticks that were read since the node was last heard of.
    unheard: u32,
    /// When it was last heard of, by this node's clock: ticks of its own may have been held up.
    heard: Mono,
    /// When the last entry of it was read; none since the state was read: it may have been silent before that.
    last_entry: Option<Mono>,
    /// What it told of itself.
    node: Vec<u8>,
    /// When its last tick was read, or its registration.
    ticked: Mono,
    /// Its last tick without the times; that of a node which has not told any if none was read.
    tick: Tick,
}

/// An incarnation that is not registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unregistered {
    /// When its contributions cease to count.
    over_at: Mono,
    /// The entry of this epoch that ended its registration. If there is none, it may only not have registered yet.
    ended: Option<Revision>,
    /// How many connections it told of last; 0 if that is not known.
    connections: u32,
    /// How long it had been silent when its registration ended; none if that is not known.
    silence: Option<Duration>,
}

/// The end of a registration, as pages of the state told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ToldEnd {
    /// The entry that ended it.
    pub(super) id: Revision,
    /// When its contributions cease to count.
    pub(super) over_at: Mono,
}

/// The registrations of one partition.
#[derive(Debug, Clone, Default)]
pub(super) struct Leases {
    registered: BTreeMap<Incarnation, Registered>,
    /// Those whose contributions were read, or whose end was.
    unregistered: BTreeMap<Incarnation, Unregistered>,
    /// The ends that pages told, until the log tells more of the incarnation.
    told_ends: BTreeMap<Incarnation, ToldEnd>,
    /// Whether Redis refuses what some node adds, as it was told last.
    are_additions_refused: bool,
    /// How often a registration began or ended.
    pub(super) changes: u64,
}

impl Leases {
    /// The registrations as pages of the state told them, and their ends.
    pub(super) fn restore(
        &mut self,
        registrations: BTreeMap<Incarnation, Vec<u8>>,
        ends: BTreeMap<Incarnation, ToldEnd>,
        now: Mono,
    ) {
        let before = std::mem::take(&mut self.registered);
        self.changes += 1;
        // Of the others, whose end was not read counts as long as it is told to, once a contribution is found.
        self.unregistered
            .retain(|one, known| ends.get(one).is_none_or(|end| known.ended == Some(end.id)));
        for (one, known) in &mut self.unregistered {
            known.ended = known.ended.filter(|_| ends.contains_key(one));
        }
        self.told_ends = ends;
        for (incarnation, node) in registrations {
            self.handle_registered(incarnation, node, now);
        }
        for (incarnation, known) in before {
            if let Some(registered) = self.registered.get_mut(&incarnation) {
                (registered.ticked, registered.tick) = (known.ticked, known.tick);
            }
        }
    }

    pub(super) fn handle_registered(&mut self, incarnation: Incarnation, node: Vec<u8>, now: Mono) {
        self.unregistered.remove(&incarnation);
        self.told_ends.remove(&incarnation);
        self.changes += 1;
        self.registered.insert(
            incarnation,
            Registered {
                unheard: 0,
                heard: now,
                last_entry: None,
                node,
                ticked: now,
                tick: Tick::default(),
            },
        );
    }

    /// An entry of the node was read.
    pub(super) fn handle_heard(&mut self, incarnation: Incarnation, now: Mono) {
        if let Some(registered) = self.registered.get_mut(&incarnation) {
            registered.unheard = 0;
            registered.heard = now;
            registered.last_entry = Some(now);
        }
    }

    /// A tick of the node was read; its times are taken out.
    pub(super) fn handle_tick(&mut self, incarnation: Incarnation, now: Mono, tick: Tick) {
        if let Some(registered) = self.registered.get_mut(&incarnation) {
            (registered.ticked, registered.tick) = (now, tick);
        }
    }

    /// The registration was ended by this entry, `grace` from now its contributions cease to count.
    pub(super) fn handle_ended(&mut self, incarnation: Incarnation, id: Revision, now: Mono, grace: Duration) {
        let registered = self.registered.remove(&incarnation);
        self.told_ends.remove(&incarnation);
        self.changes += 1;
        let ended = Unregistered {
            over_at: now.after(grace + GRACE_LATE),
            ended: Some(id),
            connections: registered.as_ref().map_or(0, |registered| registered.tick.connections),
            silence: registered
                .and_then(|registered| registered.last_entry)
                .map(|at| now.since(at)),
        };
        self.unregistered.insert(incarnation, ended);
    }

    /// A contribution was read. If its node is not registered, and its end was neither read nor told, it counts until `until`.
    /// Whether that was not known.
    pub(super) fn note_contribution(&mut self, incarnation: Incarnation, until: Mono) -> bool {
        if self.registered.contains_key(&incarnation) || self.unregistered.contains_key(&incarnation) {
            return false;
        }
        let told = self.told_ends.get(&incarnation);
        let found = Unregistered {
            over_at: told.map_or(until, |end| end.over_at),
            ended: told.map(|end| end.id),
            connections: 0,
            silence: None,
        };
        self.unregistered.insert(incarnation, found);
        true
    }

    /// A contribution was changed in what was not read: unless its end was told, its node may have been registered and ended anew,
    /// so it counts until `until` at least. Whether that is later than was known.
    pub(super) fn renew_contribution(&mut self, incarnation: Incarnation, until: Mono) -> bool {
        match self.unregistered.get_mut(&incarnation) {
            Some(one) if one.ended.is_none() && one.over_at < until => one.over_at = until,
            _ => return false,
        }
        true
    }

    /// A tick of the node's own was read. The nodes that are dead by it.
    pub(super) fn handle_own_tick(&mut self, own: Incarnation, now: Mono, settings: &Settings) -> Vec<Incarnation> {
        let limit = match settings.has(Rule::OwnTicks) {
            true => TICKS_PER_LEASE,
            false => 1,
        };
        let mut dead = Vec::new();
        for (incarnation, registered) in &mut self.registered {
            registered.unheard += 1;
            let is_silent = now.since(registered.heard) >= settings.tick_every() * (limit - 1);
            if *incarnation != own && registered.unheard >= limit && is_silent {
                dead.push(*incarnation);
            }
        }
        dead
    }

    /// Whether its contributions don't count any more.
    pub(super) fn is_over(&self, incarnation: Incarnation, now: Mono) -> bool {
        self.over_at(incarnation).is_some_and(|at| at <= now)
    }

    /// When the contributions of an incarnation that is not registered cease to count.
    pub(super) fn over_at(&self, incarnation: Incarnation) -> Option<Mono> {
        self.unregistered.get(&incarnation).map(|one| one.over_at)
    }

    /// Whether an entry of this epoch ended its registration.
    pub(super) fn is_ended(&self, incarnation: Incarnation) -> bool {
        let one = self.unregistered.get(&incarnation);
        one.is_some_and(|one| one.ended.is_some())
    }

    /// How many connections an incarnation that is not registered told of last; 0 if that is not known.
    pub(super) fn connections(&self, incarnation: Incarnation) -> u32 {
        self.unregistered.get(&incarnation).map_or(0, |one| one.connections)
    }

    /// When an incarnation that is not registered is to be cleaned up, whose sessions must be over `within` this time after a lease and
    /// their grace period. One that was not silent for so long as that it was dead stopped.
    pub(super) fn clean_by(&self, incarnation: Incarnation, settings: &Settings, within: Duration) -> Option<Mono> {
        let one = self.unregistered.get(&incarnation)?;
        let left = one.silence.map(|silence| settings.lease.saturating_sub(silence));
        let left = left.filter(|left| *left <= settings.tick_every());
        Some(one.over_at.after(left.unwrap_or_default() + within))
    }

    /// For how long a registered node has not been heard of.
    pub(super) fn silence(&self, incarnation: Incarnation, now: Mono) -> Duration {
        let registered = self.registered.get(&incarnation);
        registered.map_or(Duration::MAX, |registered| now.since(registered.heard))
    }

    pub(super) fn is_registered(&self, incarnation: Incarnation) -> bool {
        self.registered.contains_key(&incarnation)
    }

    /// The registered nodes, with what they told of themselves.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (Incarnation, &[u8])> {
        self.registered
            .iter()
            .map(|(one, registered)| (*one, registered.node.as_slice()))
    }

    /// The registered nodes, with how long ago the last tick of each was read, and what it said.
    pub(super) fn ticks(&self, now: Mono) -> impl Iterator<Item = (Incarnation, &[u8], Duration, &Tick)> {
        self.registered.iter().map(move |(one, registered)| {
            let node = registered.node.as_slice();
            (*one, node, now.since(registered.ticked), &registered.tick)
        })
    }

    /// Whether the last tick of a registered node said that Redis refuses what it adds; none if that is as it was told last.
    pub(super) fn tell_additions_refused(&mut self) -> Option<bool> {
        let are_refused = self.registered.values().any(|registered| registered.tick.is_full);
        let was_told = std::mem::replace(&mut self.are_additions_refused, are_refused);
        (was_told != are_refused).then_some(are_refused)
    }

    /// Forgets an incarnation of which no contribution is left.
    pub(super) fn forget(&mut self, incarnation: Incarnation) {
        self.unregistered.remove(&incarnation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: Incarnation = Incarnation(7);

    fn at(seconds: u64) -> Mono {
        Mono::from_millis(seconds * 1_000)
    }

    fn told(leases: &Leases, now: Mono) -> Option<(Duration, u32)> {
        leases
            .ticks(now)
            .map(|(_, _, age, tick)| (age, tick.connections))
            .next()
    }

    #[test]
    fn a_nodes_last_tick_is_known_until_its_registration_ends() {
        let mut leases = Leases::default();
        leases.handle_registered(NODE, vec![1], at(1));
        assert_eq!(told(&leases, at(3)), Some((Duration::from_secs(2), 0)));
        let tick = Tick {
            connections: 40,
            ..Tick::default()
        };
        leases.handle_tick(NODE, at(4), tick.clone());
        // Other entries are no ticks.
        leases.handle_heard(NODE, at(5));
        assert_eq!(told(&leases, at(6)), Some((Duration::from_secs(2), 40)));
        // The state was read anew.
        leases.restore([(NODE, vec![1])].into(), BTreeMap::new(), at(8));
        assert_eq!(told(&leases, at(9)), Some((Duration::from_secs(5), 40)));
        leases.handle_ended(NODE, Revision::new(1), at(10), Duration::ZERO);
        leases.handle_tick(NODE, at(10), tick);
        assert_eq!(told(&leases, at(10)), None);
    }

    #[test]
    fn a_run_whose_end_was_not_read_is_over_when_pages_say_so() {
        let [same, anew, untold, unread] = [1, 2, 3, 4].map(Incarnation);
        let grace = Duration::from_secs(10);
        let told = |id, seconds| ToldEnd {
            id: Revision::new(id),
            over_at: at(seconds),
        };
        let mut leases = Leases::default();
        for one in [same, anew, untold] {
            leases.handle_ended(one, Revision::new(5), at(0), grace);
        }
        let exactly = at(0).after(grace + GRACE_LATE);
        let ends = [(same, told(5, 11)), (anew, told(6, 20)), (unread, told(4, 9))];
        leases.restore(BTreeMap::new(), ends.into(), at(8));
        // Contributions that were changed in what was not read.
        let until = at(38);
        let new = [same, anew, untold, unread].map(|one| leases.note_contribution(one, until));
        assert_eq!(new, [false, true, false, true], "to be cleaned up at another moment");
        let renewed = [same, anew, untold, unread].map(|one| leases.renew_contribution(one, until));
        assert_eq!(renewed, [false, false, true, false]);
        let over = [same, anew, untold, unread].map(|one| leases.over_at(one));
        assert_eq!(over, [Some(exactly), Some(at(20)), Some(until), Some(at(9))]);
        assert!(leases.is_ended(anew) && !leases.is_ended(untold));
        // It registers again, and what pages told counts no more.
        leases.handle_registered(unread, Vec::new(), at(9));
        leases.handle_ended(unread, Revision::new(8), at(10), grace);
        leases.forget(unread);
        assert!(leases.note_contribution(unread, until));
        assert_eq!(leases.over_at(unread), Some(until));
    }
}
