//! The nodes that take part in the cluster, for operators.

use std::time::Duration;

use presence::replication::{Incarnation, Member};
use presence::wire::rest::RedisStats;

use super::Engine;
use crate::cluster::Shared;

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
}
