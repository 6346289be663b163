//! What the daemons of the black-box tests are: each alone, or each a cluster.

use std::env;

/// What stands behind the address of one daemon of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topology {
    /// One node alone.
    Alone,
    /// A cluster of one node: `PRESENCE_TEST_CLUSTER=redis`.
    OneNode,
    /// A cluster of three nodes behind a load balancer, on one Redis and one PostgreSQL: `PRESENCE_TEST_CLUSTER=three`.
    ThreeNodes,
    /// The same on a Redis Cluster of three masters, one of which fails over under the running nodes:
    /// `PRESENCE_TEST_CLUSTER=redis-cluster`.
    RedisCluster,
}

impl Topology {
    /// As the environment of the tests says.
    pub fn wanted() -> Self {
        match env::var("PRESENCE_TEST_CLUSTER").as_deref() {
            Ok("redis") => Self::OneNode,
            Ok("three") => Self::ThreeNodes,
            Ok("redis-cluster") => Self::RedisCluster,
            Ok(other) => panic!("PRESENCE_TEST_CLUSTER is {other:?}: redis, three or redis-cluster"),
            Err(_) => Self::Alone,
        }
    }

    /// How many nodes there are.
    pub fn nodes(self) -> usize {
        match self {
            Self::Alone | Self::OneNode => 1,
            Self::ThreeNodes | Self::RedisCluster => 3,
        }
    }
}
