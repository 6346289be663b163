//! The cluster of the daemon as the dashboard shows it: nothing of a daemon that is alone.

use presence::wire::rest::{ClusterStats, NodeStats, PostgresInfo};

use super::Model;

impl Model {
    /// The cluster at the last statistics; none if the daemon is alone.
    pub(crate) fn cluster(&self) -> Option<&ClusterStats> {
        self.stats.as_ref()?.cluster.as_ref()
    }

    /// The server of the nodes' database, if it has one.
    pub(crate) fn database_server(&self) -> Option<&PostgresInfo> {
        self.cluster()?;
        self.stats.as_ref()?.store.server.as_ref()
    }

    /// The nodes, those first that need attention.
    pub(crate) fn nodes(&self) -> Vec<&NodeStats> {
        let Some(cluster) = self.cluster() else {
            return Vec::new();
        };
        let mut nodes: Vec<&NodeStats> = cluster.nodes.iter().collect();
        nodes.sort_by_key(|node| !self.needs_attention(cluster, node));
        nodes
    }

    /// Whether the version of a node is not that of the daemon that is asked.
    pub(crate) fn has_other_version(&self, node: &NodeStats) -> bool {
        let own = self.stats.as_ref().map(|stats| stats.version.as_str());
        node.version.as_deref() != own
    }

    fn needs_attention(&self, cluster: &ClusterStats, node: &NodeStats) -> bool {
        cluster.is_silent(node) || node.lags() || self.has_other_version(node)
    }
}
