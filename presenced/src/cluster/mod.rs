//! The seam between this node's sessions and the records that everyone sees. A node offers what its sessions add up to,
//! and applies what comes back: a node that is alone at once, one among others when the log brings it. The store and the
//! sockets are not known here.

mod alone;
#[cfg(test)]
mod contract;
pub(crate) mod shared;

use std::sync::Arc;

use presence::replication::Incarnation;
use presence::{Contribution, Freshness, NodeName, Revision, UserId, Wall};

pub(crate) use alone::Alone;
pub(crate) use shared::{
    Company, DatabaseFacts, OWN_CHANGE_WAITS, OwnNode, RedisOptions, RedisServers, Shared, SharedFacts, SharedOptions,
};

/// What the sessions of one user on another node add up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeContribution {
    pub(crate) node: NodeName,
    /// The run of that node.
    pub(crate) incarnation: Incarnation,
    pub(crate) contribution: Contribution,
}

/// How this node shares its users with others.
pub(crate) enum Cluster {
    /// A single node.
    Alone(Alone),
    /// One of several, or one whose users other services read in Redis.
    Shared(Shared),
}

impl Cluster {
    /// The name of this node.
    pub(crate) fn node(&self) -> &str {
        match self {
            Self::Alone(alone) => alone.node(),
            Self::Shared(shared) => shared.name().as_str(),
        }
    }

    /// The name of this node, as the store keeps it.
    pub(crate) fn node_name(&self) -> &NodeName {
        match self {
            Self::Alone(alone) => alone.node_name(),
            Self::Shared(shared) => shared.name(),
        }
    }

    /// The nodes where a user has connections or lost ones in grace who has so many here, each as often.
    pub(crate) fn nodes_connected(&self, places: u32) -> Arc<[NodeName]> {
        match self {
            Self::Alone(alone) => alone.own_nodes(places),
            Self::Shared(shared) => (0..places).map(|_| shared.name().clone()).collect(),
        }
    }

    /// The cluster, if there is one.
    pub(crate) fn shared(&self) -> Option<&Shared> {
        match self {
            Self::Alone(_) => None,
            Self::Shared(shared) => Some(shared),
        }
    }

    /// Whether this node knows all that the cluster knows of a user.
    pub(crate) fn freshness_of(&self, user: &UserId) -> Freshness {
        match self {
            Self::Alone(_) => Freshness::Current,
            Self::Shared(shared) => shared.freshness_of(user),
        }
    }

    /// What a node contributes to a user by now: connections of one that is gone are in grace.
    pub(crate) fn current(&self, user: &UserId, remote: &NodeContribution) -> Contribution {
        let contribution = remote.contribution;
        match self {
            Self::Shared(shared) if !shared.partition_of(user).is_registered(remote.incarnation) => {
                contribution.in_grace()
            }
            Self::Alone(_) | Self::Shared(_) => contribution,
        }
    }

    /// What other nodes contribute to a user that is loaded into memory.
    pub(crate) fn contributions_of(&self, _user: &UserId) -> Vec<NodeContribution> {
        match self {
            // Whoever is present on another node is in memory.
            Self::Alone(_) | Self::Shared(_) => Vec::new(),
        }
    }

    /// Whether a user that is not in memory may be present on another node: then it is not simply OFFLINE.
    pub(crate) fn may_be_present_elsewhere(&self, _user: &UserId) -> bool {
        match self {
            Self::Alone(_) | Self::Shared(_) => false,
        }
    }

    /// Offers a new state of a user. Alone it takes effect at once, under the lock that the caller holds: `apply` is given
    /// the revision of the change, made from the one before, if it needs one.
    pub(crate) fn offer<T>(&self, now: Wall, apply: impl FnOnce(&dyn Fn(Revision) -> Revision) -> T) -> T {
        match self {
            Self::Alone(alone) => apply(&|before| alone.next_revision(before, now)),
            // What the log has not given a revision changes none.
            Self::Shared(_) => apply(&|before| before),
        }
    }

    /// The revision at which to tell a record that last changed at `changed`.
    pub(crate) fn told(&self, changed: Revision) -> Revision {
        match self {
            Self::Alone(alone) => alone.told(changed),
            Self::Shared(shared) => shared.told(changed),
        }
    }

    /// At or above every revision told before this run.
    pub(crate) fn floor(&self) -> Revision {
        match self {
            Self::Alone(alone) => alone.floor(),
            Self::Shared(_) => Revision::NEVER,
        }
    }

    /// A user was removed at this revision.
    pub(crate) fn note_removal(&self, revision: Revision) {
        match self {
            Self::Alone(alone) => alone.note_removal(revision),
            Self::Shared(shared) => shared.note_removal(revision),
        }
    }

    /// The revision of a change that is made now.
    pub(crate) fn next_revision(&self, before: Revision, wall: Wall) -> Revision {
        match self {
            Self::Alone(alone) => alone.next_revision(before, wall),
            // The log gives revisions; a row of the database alone has this one.
            Self::Shared(_) => before,
        }
    }

    /// The ceiling of revisions to store now, before any above the last one is given.
    pub(crate) fn wanted_ceiling(&self, wall: Wall) -> u64 {
        match self {
            Self::Alone(alone) => alone.wanted_ceiling(wall),
            Self::Shared(_) => 0,
        }
    }

    /// A ceiling is on disk.
    pub(crate) fn raise_ceiling(&self, stored: u64) {
        match self {
            Self::Alone(alone) => alone.raise_ceiling(stored),
            Self::Shared(_) => {}
        }
    }
}
