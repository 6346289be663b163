//! The engine's gauges, read at each scrape from counts that are kept anyway.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use presence::Status;
use presence::replication::Member;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::Engine;

/// Reads an engine for as long as it lives.
#[derive(Debug)]
struct Gauges(Weak<Engine>);

impl Engine {
    /// Sessions, watchers and users by status.
    pub(crate) fn register_gauges(self: &Arc<Self>, registry: &mut Registry) {
        registry.register_collector(Box::new(Gauges(Arc::downgrade(self))));
    }
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(engine) = self.0.upgrade() else { return Ok(()) };
        let stats = engine.stats();
        let (sessions, mut users) = (stats.sessions, stats.users);
        // The registry adds the final period to the help of metrics that are registered directly, but not of a collector's.
        let gauges = [
            ("sessions", "Users' WebSockets.", sessions.connections),
            ("observers", "Observers' WebSockets.", sessions.observers),
            ("reports", "Reports that hold.", sessions.reports),
            ("users_in_grace", "Users in grace with nothing else.", sessions.in_grace),
            ("watchers", "Connections that watch somebody.", sessions.watchers),
            ("watches", "Pairs of watcher and watched user.", sessions.watches),
            (
                "pending_writes",
                "Users whose status waits to be written.",
                stats.pending_writes,
            ),
            (
                "store_writable",
                "1 while the database takes writes, else 0.",
                u64::from(engine.persistence.store.health().writable),
            ),
            (
                "stale_partitions",
                "Partitions of the cluster whose records may be stale.",
                engine.stale_partitions(),
            ),
            (
                "clock_behind_seconds",
                "By how much the system's clock is behind what it said before.",
                engine.clock.behind().unwrap_or_default().as_secs(),
            ),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        if engine.is_shared() {
            encode_cluster(&engine, &mut encoder)?;
        }
        let mut family = encoder.encode_descriptor("users", "Present users, by status.", None, MetricType::Gauge)?;
        for status in Status::ALL {
            if let Some(count) = users.of(status) {
                ConstGauge::new(*count).encode(family.encode_family(&[("status", status.as_str())])?)?;
            }
        }
        Ok(())
    }
}

/// What this node sees of the other nodes and of Redis. Nodes and servers are few, and named by the operator.
fn encode_cluster(engine: &Engine, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
    let members = engine.members();
    let help = "Nodes that are registered in the cluster.";
    let nodes = ConstGauge::new(u64::try_from(members.len()).unwrap_or(u64::MAX));
    nodes.encode(encoder.encode_descriptor("nodes", help, None, MetricType::Gauge)?)?;
    let by_name = worst_by_name(&members);
    let ages = by_name
        .iter()
        .map(|(name, worst)| (name.as_str(), worst.tick_age.as_secs_f64()));
    let help = "How long ago the last tick of a node was read.";
    encode_family(encoder, ("node_last_tick_seconds", help, "node"), ages)?;
    let lags = by_name
        .iter()
        .map(|(name, worst)| (name.as_str(), worst.lag.as_secs_f64()));
    let help = "How long the ticks of a node take through the log and back to it.";
    encode_family(encoder, ("node_lag_seconds", help, "node"), lags)?;

    let servers = engine.redis();
    let reachable = servers
        .iter()
        .map(|one| (one.address.as_str(), f64::from(u8::from(one.reachable))));
    let help = "1 if a server of Redis answered at the last look, else 0.";
    encode_family(encoder, ("redis_reachable", help, "server"), reachable)?;
    let infos = || {
        servers
            .iter()
            .filter_map(|one| Some((one.address.as_str(), one.info.as_ref()?)))
    };
    let used = infos().map(|(address, info)| (address, info.used_memory as f64));
    encode_family(
        encoder,
        ("redis_memory_bytes", "Memory that a server of Redis uses.", "server"),
        used,
    )?;
    let most = infos().map(|(address, info)| (address, info.max_memory as f64));
    let help = "The most memory that a server of Redis uses; 0 without a limit.";
    encode_family(encoder, ("redis_memory_max_bytes", help, "server"), most)
}

/// A run of a node by its name: a run that is gone may still be registered, and there is one series for each name.
fn worst_by_name(members: &[Member]) -> BTreeMap<String, &Member> {
    let mut by_name: BTreeMap<String, &Member> = BTreeMap::new();
    for member in members {
        let name = match &member.info {
            Some(info) => info.name.clone(),
            None => member.incarnation.to_string(),
        };
        let known = by_name.entry(name).or_insert(member);
        if known.tick_age < member.tick_age {
            *known = member;
        }
    }
    by_name
}

/// One gauge for each value of a label, under a name and a help text.
fn encode_family<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, label): (&str, &str, &str),
    figures: impl Iterator<Item = (&'a str, f64)>,
) -> Result<(), std::fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (value, figure) in figures {
        ConstGauge::new(figure).encode(family.encode_family(&[(label, value)])?)?;
    }
    Ok(())
}
