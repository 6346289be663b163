//! The nodes of the cluster as operators read them. What this node knows of itself does not come from the log.

use presence::replication::Member;
use presence::wire::rest::{ClusterStats, NodeStats};

use super::AppState;

impl AppState {
    /// The cluster; none if this node is alone.
    pub(super) fn cluster(&self) -> Option<ClusterStats> {
        let facts = self.engine.cluster_facts()?;
        Some(ClusterStats {
            partitions: facts.partitions,
            stale_partitions: self.engine.stale_partitions(),
            lease_seconds: facts.lease.as_secs_f64(),
            nodes: self.nodes(),
            redis: self.engine.redis(),
        })
    }

    /// The nodes, by name and run; of one alone itself.
    pub(super) fn nodes(&self) -> Vec<NodeStats> {
        let own = self.own_node();
        let mut nodes: Vec<NodeStats> = self.engine.members().into_iter().map(node_of).collect();
        match nodes.iter_mut().find(|node| node.incarnation == own.incarnation) {
            Some(node) => {
                (node.connections, node.capacity, node.draining) = (own.connections, own.capacity, own.draining);
            }
            // It is alone, or was taken for dead and is about to register again.
            None => nodes.push(own),
        }
        nodes.sort_by(|one, other| (&one.name, &one.incarnation).cmp(&(&other.name, &other.incarnation)));
        nodes
    }

    fn own_node(&self) -> NodeStats {
        let sessions = self.engine.stats().sessions;
        NodeStats {
            name: self.node_info.node.clone(),
            incarnation: self.engine.incarnation().to_string(),
            address: Some(self.node_info.address.clone()),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            connections: sessions.connections + sessions.observers,
            capacity: u64::try_from(self.connection_limit.bounds().max).unwrap_or(u64::MAX),
            draining: self.engine.is_draining(),
            last_tick_seconds: None,
            lag_seconds: None,
            error: None,
            error_code: None,
        }
    }
}

fn node_of(member: Member) -> NodeStats {
    let incarnation = member.incarnation.to_string();
    let (name, address, version) = match member.info {
        Some(info) => (info.name, Some(info.address), Some(info.version)),
        None => (incarnation.clone(), None, None),
    };
    NodeStats {
        name,
        incarnation,
        address,
        version,
        connections: member.tick.connections.into(),
        capacity: member.tick.capacity.into(),
        draining: member.tick.is_draining,
        last_tick_seconds: Some(member.tick_age.as_secs_f64()),
        lag_seconds: Some(member.lag.as_secs_f64()),
        error: None,
        error_code: None,
    }
}
