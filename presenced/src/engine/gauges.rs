//! The engine's gauges, read at each scrape from counts that are kept anyway.

use std::sync::{Arc, Weak};

use presence::Status;
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
                "Partitions of the cluster that this node can't reach.",
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
        let mut family = encoder.encode_descriptor("users", "Present users, by status.", None, MetricType::Gauge)?;
        for status in Status::ALL {
            if let Some(count) = users.of(status) {
                ConstGauge::new(*count).encode(family.encode_family(&[("status", status.as_str())])?)?;
            }
        }
        Ok(())
    }
}
