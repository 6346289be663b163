//! The nodes that take part in the cluster, for operators.

use std::collections::BTreeMap;
use std::time::Duration;

use presence::replication::{Incarnation, Member};
use presence::wire::rest::RedisStats;
use presence::{NodeName, UserId};

use super::Engine;
use crate::cluster::Shared;

/// Another node that has connections of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AskedNode {
    pub(crate) run: Incarnation,
    pub(crate) name: NodeName,
    /// Host and port that it registered; none if that can't be read.
    pub(crate) address: Option<String>,
}

/// How a node takes part in a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClusterFacts {
    /// Into how many partitions the users are split.
    pub(crate) partitions: u16,
    /// For how long a node may be silent.
    pub(crate) lease: Duration,
}

impl Engine {
    /// This run of the node.
    pub(crate) fn incarnation(&self) -> Incarnation {
        Incarnation(self.options.incarnation)
    }

    /// How this node takes part in a cluster; none if it is alone.
    pub(crate) fn cluster_facts(&self) -> Option<ClusterFacts> {
        self.cluster.shared().map(|shared| ClusterFacts {
            partitions: shared.partitions(),
            lease: shared.lease(),
        })
    }

    /// The servers of Redis at the last look; none if this node is alone.
    pub(crate) fn redis(&self) -> Vec<RedisStats> {
        self.cluster.shared().map_or_else(Vec::new, Shared::redis)
    }

    /// The registered nodes of the cluster as this one sees them; none if it is alone.
    pub(crate) fn members(&self) -> Vec<Member> {
        let shared = self.cluster.shared();
        shared.map_or_else(Vec::new, |shared| shared.members(self.clock.mono()))
    }

    /// The other nodes that have connections of the user, as far as this one has read.
    pub(crate) fn holders(&self, user: &UserId) -> Vec<AskedNode> {
        let runs = self.runs_with_connections(user);
        let (Some(shared), false) = (self.cluster.shared(), runs.is_empty()) else {
            return Vec::new();
        };
        let members = self.members();
        let address_of = |run: Incarnation| {
            let member = members.iter().find(|member| member.incarnation == run)?;
            member.info.as_ref().map(|info| info.address.clone())
        };
        let holder = |run| AskedNode {
            run,
            name: shared.name_of(run),
            address: address_of(run),
        };
        runs.into_iter().map(holder).collect()
    }
}

/// The other nodes, as the log of this one has told of them.
#[derive(Debug, Default)]
pub(super) struct KnownNodes(BTreeMap<Incarnation, String>);

impl KnownNodes {
    /// Logs who has come and who has gone.
    pub(super) fn note(&mut self, members: &[Member], own: Incarnation) {
        let (came, went) = self.take(members, own);
        for node in came {
            tracing::info!(node, "a node takes part in the cluster");
        }
        for node in went {
            tracing::warn!(
                node,
                "a node takes part in the cluster no more: it has stopped, or was not heard of for a lease; who is not back on \
                 another node becomes OFFLINE after its grace period"
            );
        }
    }

    /// The names of those that have come, and of those that are gone.
    fn take(&mut self, members: &[Member], own: Incarnation) -> (Vec<String>, Vec<String>) {
        let others = members.iter().filter(|member| member.incarnation != own);
        let now: BTreeMap<Incarnation, String> = others
            .map(|member| {
                let name = member.info.as_ref().map(|info| info.name.clone());
                (
                    member.incarnation,
                    name.unwrap_or_else(|| member.incarnation.to_string()),
                )
            })
            .collect();
        let before = std::mem::replace(&mut self.0, now);
        let missing = |some: &BTreeMap<Incarnation, String>, of: &BTreeMap<Incarnation, String>| -> Vec<String> {
            let missing = some.iter().filter(|(incarnation, _)| !of.contains_key(incarnation));
            missing.map(|(_, name)| name.clone()).collect()
        };
        (missing(&self.0, &before), missing(&before, &self.0))
    }
}

#[cfg(test)]
mod tests {
    use presence::replication::Tick;

    use super::*;

    #[test]
    fn nodes_that_come_and_go_are_named_once() {
        let member = |number| Member {
            incarnation: Incarnation(number),
            info: None,
            tick_age: Duration::ZERO,
            youngest_tick: Duration::ZERO,
            tick: Tick::default(),
            lag: Duration::ZERO,
        };
        let (own, mut known) = (Incarnation(1), KnownNodes::default());
        let name = |number| Incarnation(number).to_string();
        assert_eq!(known.take(&[member(1), member(2)], own), (vec![name(2)], vec![]));
        assert_eq!(known.take(&[member(1), member(2)], own), (vec![], vec![]));
        assert_eq!(known.take(&[member(3)], own), (vec![name(3)], vec![name(2)]));
    }
}
