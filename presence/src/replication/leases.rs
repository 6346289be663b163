//! Which nodes are registered, which of them are silent, and how long the contributions of the others still count. No
//! clock of another node is compared: a node is dead for another that has read five of its own ticks and nothing of it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::replication::names::Incarnation;
use crate::replication::node_info::Tick;
use crate::replication::settings::{GRACE_LATE, Rule, Settings, TICKS_PER_LEASE};
use crate::time::Mono;

/// A registered node.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Registered {
    /// Own ticks that were read since the node was last heard of.
    unheard: u32,
    /// When it was last heard of, by this node's clock: ticks of its own may have been held up.
    heard: Mono,
    /// What it told of itself.
    node: Vec<u8>,
    /// When its last tick was read, or its registration.
    ticked: Mono,
    /// Its last tick without the times; that of a node which has not told any if none was read.
    tick: Tick,
}

/// The registrations of one partition.
#[derive(Debug, Clone, Default)]
pub(super) struct Leases {
    registered: BTreeMap<Incarnation, Registered>,
    /// When the contributions of incarnations that are not registered cease to count.
    over_at: BTreeMap<Incarnation, Mono>,
    /// How often a registration began or ended.
    pub(super) changes: u64,
}

impl Leases {
    /// The registrations as pages of the state told them.
    pub(super) fn restore(&mut self, registrations: BTreeMap<Incarnation, Vec<u8>>, now: Mono) {
        let before = std::mem::take(&mut self.registered);
        self.changes += 1;
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
        self.over_at.remove(&incarnation);
        self.changes += 1;
        self.registered.insert(
            incarnation,
            Registered {
                unheard: 0,
                heard: now,
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
        }
    }

    /// A tick of the node was read; its times are taken out.
    pub(super) fn handle_tick(&mut self, incarnation: Incarnation, now: Mono, tick: Tick) {
        if let Some(registered) = self.registered.get_mut(&incarnation) {
            (registered.ticked, registered.tick) = (now, tick);
        }
    }

    /// The registration was ended, `grace` from now its contributions cease to count.
    pub(super) fn handle_ended(&mut self, incarnation: Incarnation, now: Mono, grace: Duration) {
        self.registered.remove(&incarnation);
        self.changes += 1;
        self.over_at.insert(incarnation, now.after(grace + GRACE_LATE));
    }

    /// A contribution was read. If its node is not registered and was never ended, it counts until `until`. Whether that
    /// was not known.
    pub(super) fn note_contribution(&mut self, incarnation: Incarnation, until: Mono) -> bool {
        if self.registered.contains_key(&incarnation) || self.over_at.contains_key(&incarnation) {
            return false;
        }
        self.over_at.insert(incarnation, until);
        true
    }

    /// A contribution was changed in what was not read: its node may have been registered and ended anew, so it counts until
    /// `until` at least. Whether that is later than was known.
    pub(super) fn renew_contribution(&mut self, incarnation: Incarnation, until: Mono) -> bool {
        if self.over_at(incarnation).is_none_or(|at| at >= until) {
            return false;
        }
        self.over_at.insert(incarnation, until);
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
        if self.registered.contains_key(&incarnation) {
            return None;
        }
        self.over_at.get(&incarnation).copied()
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

    /// Forgets an incarnation of which no contribution is left.
    pub(super) fn forget(&mut self, incarnation: Incarnation) {
        self.over_at.remove(&incarnation);
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
        leases.restore([(NODE, vec![1])].into(), at(8));
        assert_eq!(told(&leases, at(9)), Some((Duration::from_secs(5), 40)));
        leases.handle_ended(NODE, at(10), Duration::ZERO);
        leases.handle_tick(NODE, at(10), tick);
        assert_eq!(told(&leases, at(10)), None);
    }
}
