//! The nodes of a cluster as one of them sees them: in the responses of `nodes` and `stats`.

use serde::{Deserialize, Serialize};

use crate::time::Wall;

/// `GET /api/nodes`, response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodesResponse {
    /// The server's wall clock.
    pub now: Wall,
    /// The name of the node that answers.
    pub node: String,
    /// The nodes that take part, by name; of a node alone itself.
    pub nodes: Vec<NodeStats>,
    /// For another node that asks: digests of what the node checks users' tokens by, keyed by each of its internal secrets. Equal
    /// ones mean that both nodes accept the same tokens. Absent for other callers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_digest: Option<String>,
}

/// What is wrong with a node that was asked by another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum NodeErrorCode {
    /// A version wrote its address that the asking node can't read.
    NoAddress,
    /// Its address stands for all addresses of a machine.
    AddressLeadsNowhere,
    /// Nothing listens at its address, or the way there is blocked.
    Unreachable,
    /// It did not answer in time.
    Timeout,
    /// It does not accept the internal secret of the asking node, or another node has its address.
    OtherSecret,
    /// It does not accept requests for the address that it registered: 421. One of an older version does not, and one of this
    /// version whose internal secret is another one.
    NotAccepted,
    /// It answers, and accepts other tokens of users: another key, issuer or audience.
    OtherTokens,
    /// What is at its address does not answer as a node does.
    NotUnderstood,
    /// A newer version knows this code.
    #[serde(other)]
    Unknown,
}

/// A node of the cluster.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodeStats {
    /// The name of the node; its incarnation if a version wrote it that the answering node can't read.
    pub name: String,
    /// The run of the node: 16 hexadecimal digits.
    pub incarnation: String,
    /// Where the other nodes reach its API, host and port: the advertised address, else the bound one; null if that can't be
    /// read.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub address: Option<String>,
    /// The version of its program; null if that can't be read.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub version: Option<String>,
    /// Its open connections, as of its last tick.
    pub connections: u64,
    /// How many it takes, as of its last tick.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub capacity: u64,
    /// Whether it moves its clients to other nodes, and takes no new ones.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub draining: bool,
    /// Seconds since its last tick was read, in the partition where that is the longest; absent of a node alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_tick_seconds: Option<f64>,
    /// How long its ticks take through the log and back to it, in seconds, in the partition where that is the longest;
    /// absent of a node alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_seconds: Option<f64>,
    /// What was wrong when the node that answers asked it, for people; absent if nothing was, or it was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The same for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<NodeErrorCode>,
}

impl NodesResponse {
    /// How many more connections the nodes other than this one take.
    #[must_use]
    pub fn room_beside(&self, node: &NodeStats) -> u64 {
        room_beside(&self.nodes, node)
    }

    /// Whether any node other than this one takes clients, with room for them or without.
    #[must_use]
    pub fn takes_clients_beside(&self, node: &NodeStats) -> bool {
        let mut others = self.nodes.iter().filter(|other| other.incarnation != node.incarnation);
        others.any(|other| !other.draining && other.capacity > 0)
    }
}

/// How many more connections these nodes take but for one of them.
fn room_beside(nodes: &[NodeStats], node: &NodeStats) -> u64 {
    let others = nodes.iter().filter(|other| other.incarnation != node.incarnation);
    others.map(NodeStats::room).sum()
}

impl NodeStats {
    /// How many more connections the node takes: none while it drains, or before it listens.
    #[must_use]
    pub const fn room(&self) -> u64 {
        if self.draining {
            return 0;
        }
        self.capacity.saturating_sub(self.connections)
    }

    /// A node whose ticks take longer shows changes late, in seconds. After 2 s it takes a partition for unreachable.
    const LAG_USUAL_SECONDS: f64 = 1.0;

    /// Whether its address does not lead to it from all of these nodes: it listens on all addresses and advertises none, or another
    /// one has the same address, as where each listens on loopback on a machine of its own.
    #[must_use]
    pub fn has_no_way(&self, nodes: &[Self]) -> bool {
        let is_same = |other: &Self| other.incarnation != self.incarnation && other.address == self.address;
        if self.address.is_some() && nodes.iter().any(is_same) {
            return true;
        }
        let host = self.address.as_deref().and_then(|address| address.rsplit_once(':'));
        host.is_some_and(|(host, _)| matches!(host, "0.0.0.0" | "[::]" | "[::ffff:0.0.0.0]"))
    }

    /// Whether its ticks take long through the log and back.
    #[must_use]
    pub fn lags(&self) -> bool {
        self.lag_seconds.is_some_and(|lag| lag > Self::LAG_USUAL_SECONDS)
    }
}

/// The cluster as a node sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ClusterStats {
    /// Into how many partitions the users are split.
    pub partitions: u16,
    /// Of how many of them records may be out of date: this node can't reach them, or Redis refuses what another node adds.
    pub stale_partitions: u64,
    /// A node whose last tick is older is declared dead, in seconds.
    pub lease_seconds: f64,
    /// The nodes that take part, by name.
    pub nodes: Vec<NodeStats>,
    /// The server of Redis, or the masters of a Redis Cluster; empty before the first look at them.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub redis: Vec<RedisStats>,
}

impl ClusterStats {
    /// A node ticks every fifth of a lease: after three of them it has missed two.
    const SILENT_LEASES: f64 = 3.0 / 5.0;

    /// How many more connections the nodes other than this one take.
    #[must_use]
    pub fn room_beside(&self, node: &NodeStats) -> u64 {
        room_beside(&self.nodes, node)
    }

    /// Whether the last tick of a node is old.
    #[must_use]
    pub fn is_silent(&self, node: &NodeStats) -> bool {
        let limit = self.lease_seconds * Self::SILENT_LEASES;
        node.last_tick_seconds.is_some_and(|age| age > limit)
    }

    /// Whether not all nodes have the same version.
    #[must_use]
    pub fn has_mixed_versions(&self) -> bool {
        self.nodes.windows(2).any(|pair| pair[0].version != pair[1].version)
    }

    /// Whether a server of Redis can't be reached.
    #[must_use]
    pub fn has_lost_redis(&self) -> bool {
        self.redis.iter().any(|server| !server.reachable)
    }
}

/// A server of Redis as a node sees it. The node looks at it every few seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RedisStats {
    /// Host and port, or the path of a socket.
    pub address: String,
    /// Whether it answered when the node last looked.
    pub reachable: bool,
    /// Why it did not; absent if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long it took to connect and to be answered, in seconds.
    pub answer_seconds: f64,
    /// Whether the connections are encrypted.
    pub tls: bool,
    /// Whether the address is one of the public Internet: neither loopback nor of a private network.
    pub public: bool,
    /// Whether it asks for a password before it does anything; absent if that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs_password: Option<bool>,
    /// Commands that it does not let the node call: what they tell is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<String>,
    /// What it last told of itself; absent if it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<RedisInfo>,
}

/// What a server of Redis tells of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RedisInfo {
    /// The kind of server: `redis`, or as it names itself, such as `valkey`.
    pub kind: String,
    /// The version of that.
    pub version: String,
    /// The version of Redis that it is compatible with: its own, if it is one.
    pub redis_version: String,
    /// `master`, or `slave` of one.
    pub role: String,
    /// For how long it has run, in seconds.
    pub uptime_seconds: u64,
    /// The bytes in use.
    pub used_memory: u64,
    /// The most that it uses (`maxmemory`); 0 if there is no limit.
    pub max_memory: u64,
    /// What it does at the limit (`maxmemory-policy`).
    pub eviction_policy: String,
    /// What it keeps on disk; absent if that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<Persistence>,
    /// What of that failed last; absent if nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence_error: Option<String>,
    /// The replicas that are connected to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<ReplicaStats>,
}

impl RedisInfo {
    /// The oldest version of Redis that can be used: scripts have flags since then.
    pub const VERSION_MIN: (u32, u32) = (7, 0);

    /// From this percentage of its most memory on, it is nearly full.
    const MEMORY_FULL_PERCENT: u64 = 80;

    /// Whether it would remove keys of the cluster when its memory is full. Those have no time to live, so that the policies
    /// `volatile-…` remove none of them.
    #[must_use]
    pub fn evicts(&self) -> bool {
        self.eviction_policy.starts_with("allkeys-")
    }

    /// Whether it is older than [`Self::VERSION_MIN`], or tells no version.
    #[must_use]
    pub fn is_too_old(&self) -> bool {
        let mut numbers = self.redis_version.split('.').map(|part| part.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < Self::VERSION_MIN
    }

    /// Whether its memory is nearly full: then users who come are told to nobody on other nodes.
    #[must_use]
    pub fn is_nearly_full(&self) -> bool {
        self.memory_percent() >= Some(Self::MEMORY_FULL_PERCENT)
    }

    /// How much of the most memory is in use, in percent; none without a limit.
    #[must_use]
    pub fn memory_percent(&self) -> Option<u64> {
        self.used_memory.saturating_mul(100).checked_div(self.max_memory)
    }
}

/// What a server of Redis keeps on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Persistence {
    /// Nothing: it is empty after a restart.
    None,
    /// Snapshots now and then.
    Rdb,
    /// A log of its commands.
    Aof,
    /// Snapshots and a log.
    Both,
}

/// A replica of a server of Redis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReplicaStats {
    /// Host and port.
    pub address: String,
    /// `online`, or how far it is with becoming that.
    pub state: String,
    /// Seconds since it last said how far it is.
    pub lag_seconds: u64,
    /// How many bytes of changes it has not confirmed.
    pub behind_bytes: u64,
}
