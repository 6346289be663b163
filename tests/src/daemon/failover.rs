//! Under the nodes of each test on a Redis Cluster one master fails over, after they have started and before the test goes on. The
//! masters take turns, so the tests see all of them replaced.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::node::Node;
use super::setup::PARTITIONS;
use crate::redis_cluster::RedisCluster;
use crate::rest;
use crate::wait::{let_time_pass, wait_until};

/// For how long nobody becomes OFFLINE after a new epoch, and a second more: tests wait for that too, but not so long.
const HELD_FOR: Duration = Duration::from_secs(6);

/// The first time that the nodes of this home are started.
pub(super) async fn happens_once(home: &Path, nodes: &[Node]) {
    static HOMES: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let turn = {
        let mut homes = HOMES.lock().unwrap_or_else(PoisonError::into_inner);
        if !homes.insert(home.to_owned()) {
            return;
        }
        homes.len()
    };
    let redis = RedisCluster::of(home);
    redis.fail_over_partition(turn % PARTITIONS, nodes.len()).await;
    let client = rest::client();
    for node in nodes {
        let url = format!("http://{}/readyz", node.address);
        wait_until("the node can reach all partitions", async || {
            let answer = client.get(&url).send().await.ok()?.text().await.ok()?;
            (!answer.contains("Redis")).then_some(())
        })
        .await;
    }
    let_time_pass(HELD_FOR).await;
}
