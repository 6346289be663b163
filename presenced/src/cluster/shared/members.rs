//! The nodes of the cluster as this one sees them: what each partition knows of them, put together.

use std::collections::BTreeMap;
use std::time::Duration;

use presence::Mono;
use presence::replication::{Incarnation, Member};

use super::Shared;

impl Shared {
    /// The nodes that are registered in some partition. Of each the tick in the first of them, where a node that drains tells more
    /// often how far it is, unless that is a lease older than another; and the longest age of a last tick and the longest
    /// lag over all partitions: one that is silent in one of them is declared dead there.
    pub(crate) fn members(&self, now: Mono) -> Vec<Member> {
        let mut members: BTreeMap<Incarnation, (Member, Duration)> = BTreeMap::new();
        for partition in &self.partitions {
            for member in partition.machine().members(now) {
                match members.get_mut(&member.incarnation) {
                    Some((known, age)) => merge((known, age), member, self.lease),
                    None => drop(members.insert(member.incarnation, (member.clone(), member.tick_age))),
                }
            }
        }
        members.into_values().map(|(member, _)| member).collect()
    }
}

/// Adds what another partition knows of the same node. `age` is that of the tick which is taken.
fn merge((known, age): (&mut Member, &mut Duration), other: Member, lease: Duration) {
    if other.tick_age + lease < *age {
        *age = other.tick_age;
        known.tick = other.tick;
    }
    known.tick_age = known.tick_age.max(other.tick_age);
    known.youngest_tick = known.youngest_tick.min(other.youngest_tick);
    known.lag = known.lag.max(other.lag);
    known.info = known.info.take().or(other.info);
}
