//! A phase of changes in a cluster under load: how long deliveries took, and what each change cost.

use std::time::Duration;

use crate::clock::Stopwatch;
use crate::cluster_cost::{Cpu, Idle};
use crate::cluster_load::{ClusterLoad, Deliveries, percentile};
use crate::connection_load::join_all;
use crate::wait::let_time_pass;
use crate::{Cluster, Daemon};

/// For how long it is measured what the cluster uses without changes.
const IDLE: Duration = Duration::from_secs(4);
/// For how long nothing happens before that: what came before is done by then.
const QUIET: Duration = Duration::from_secs(1);

/// What came of a phase.
#[derive(Debug)]
pub struct Phase {
    pub changes: usize,
    pub deliveries: Deliveries,
    /// Beyond what the cluster uses without changes.
    pub each_change: Cpu,
    pub idle: Idle,
}

impl Phase {
    /// Has the clients make so many changes a second for so long. Returns when every watcher has the truth.
    pub async fn run(cluster: &Cluster, load: &mut ClusterLoad, per_second: u32, during: Duration) -> Self {
        join_all(cluster.nodes().map(Daemon::flushed)).await;
        let_time_pass(QUIET).await;
        let idle = Idle::measure(cluster, IDLE).await;
        load.take_deliveries();
        let (clock, before) = (Stopwatch::start(), Cpu::of(cluster));
        let changes = load.change(per_second, during).await;
        load.all_were_told().await;
        let each_change = idle.each_change(Cpu::of(cluster).since(before), clock.elapsed(), changes);
        let deliveries = load.take_deliveries();
        load.all_have_the_truth(&cluster.nodes()).await;
        Self {
            changes,
            deliveries,
            each_change,
            idle,
        }
    }

    /// How much longer the slowest of a hundred deliveries takes on another node than on the node of the user.
    pub fn ratio(&self) -> f64 {
        let p99 = |times: &[Duration]| percentile(times, 99).as_secs_f64();
        p99(&self.deliveries.other_nodes) / p99(&self.deliveries.same_node)
    }
}
