//! What a cluster costs: CPU of its nodes and of Redis, and memory of both.

use std::time::Duration;

use crate::Cluster;
use crate::clock::Stopwatch;
use crate::process::Process;
use crate::wait::let_time_pass;

/// CPU time of the nodes together, and of Redis.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cpu {
    pub nodes: Duration,
    pub redis: Duration,
}

impl Cpu {
    /// What was used so far.
    pub fn of(cluster: &Cluster) -> Self {
        Self {
            nodes: cluster.nodes().iter().map(|node| node.process().exact_cpu_time()).sum(),
            redis: cluster.redis().process().exact_cpu_time(),
        }
    }

    /// What was used since.
    pub fn since(self, before: Self) -> Self {
        Self {
            nodes: self.nodes.saturating_sub(before.nodes),
            redis: self.redis.saturating_sub(before.redis),
        }
    }

    /// The median of each.
    pub fn median(of: &[Self]) -> Self {
        let middle = |of_each: fn(&Self) -> Duration| {
            let mut all: Vec<Duration> = of.iter().map(of_each).collect();
            all.sort_unstable();
            all[all.len() / 2]
        };
        Self {
            nodes: middle(|cpu| cpu.nodes),
            redis: middle(|cpu| cpu.redis),
        }
    }

    fn scaled(self, factor: f64) -> Self {
        Self {
            nodes: self.nodes.mul_f64(factor),
            redis: self.redis.mul_f64(factor),
        }
    }
}

/// What a cluster uses while nothing changes.
#[derive(Debug, Clone, Copy)]
pub struct Idle {
    /// In a second.
    pub each_second: Cpu,
}

impl Idle {
    /// Measures it for so long.
    pub async fn measure(cluster: &Cluster, during: Duration) -> Self {
        let (clock, before) = (Stopwatch::start(), Cpu::of(cluster));
        let_time_pass(during).await;
        let used = Cpu::of(cluster).since(before);
        Self {
            each_second: used.scaled(1.0 / clock.elapsed().as_secs_f64()),
        }
    }

    /// What each of so many changes used, beyond what is used without changes.
    pub fn each_change(&self, used: Cpu, during: Duration, changes: usize) -> Cpu {
        let idle = self.each_second.scaled(during.as_secs_f64());
        used.since(idle).scaled(1.0 / changes as f64)
    }
}

/// Bytes in Redis, over all partitions.
#[derive(Debug, Clone, Copy, Default)]
pub struct RedisBytes {
    pub state: u64,
    pub online: u64,
    pub custom_status: u64,
    pub log: u64,
}

impl RedisBytes {
    pub fn of(cluster: &Cluster) -> Self {
        let of_key = |key: &str| -> u64 {
            let all = 0..cluster.partitions();
            all.map(|number| {
                let key = format!("presence:{{{number}}}:{key}");
                let answer = cluster.command(&["MEMORY", "USAGE", &key, "SAMPLES", "0"]);
                // Nothing of a key that is not there.
                match answer.as_str() {
                    "" => 0,
                    bytes => bytes.parse::<u64>().unwrap(),
                }
            })
            .sum()
        };
        Self {
            state: of_key("state"),
            online: of_key("online"),
            custom_status: of_key("custom-status"),
            log: of_key("log"),
        }
    }

    /// What grows with the users who are present.
    pub fn of_users(&self) -> u64 {
        self.state + self.online + self.custom_status
    }
}

/// The resident memory of the nodes together.
pub fn resident_bytes(cluster: &Cluster) -> u64 {
    let nodes = cluster.nodes().into_iter().map(|node| node.process());
    nodes.map(Process::resident_bytes).sum()
}
