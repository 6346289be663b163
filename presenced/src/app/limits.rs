//! The limits that clients meet, from the configuration at the start and from each reload after it.

use std::sync::Arc;

use prometheus_client::metrics::gauge::Gauge;

use crate::clock::Clock;
use crate::engine::Engine;
use crate::limits::{CurrentLimits, Limits};
use crate::server::listen::FileShares;
use crate::server::{ConnectionBounds, ConnectionLimit, ServerMetrics};

/// Everything that must change with the limits.
pub(super) struct LimitHolders {
    pub(super) current: Arc<CurrentLimits>,
    /// That of the main listener.
    pub(super) connections: Arc<ConnectionLimit>,
    engine: Arc<Engine>,
    clock: Arc<Clock>,
    files: FileShares,
    connections_max: Gauge,
}

impl LimitHolders {
    pub(super) fn new(engine: Arc<Engine>, clock: Arc<Clock>, files: FileShares, metrics: &ServerMetrics) -> Self {
        let current = Arc::clone(engine.current_limits());
        let bounds = bounds(&current.load(), files);
        let holders = Self {
            current,
            connections: ConnectionLimit::new(bounds, metrics.connections.clone()),
            engine,
            clock,
            files,
            connections_max: metrics.connections_max.clone(),
        };
        holders.tell(bounds);
        holders
    }

    /// Has these limits take effect. What is open stays.
    pub(super) fn replace(&self, limits: &Limits) {
        let bounds = bounds(limits, self.files);
        self.current.replace(limits.clone(), self.clock.mono());
        self.connections.set_bounds(bounds);
        self.tell(bounds);
    }

    fn tell(&self, bounds: ConnectionBounds) {
        self.engine.follow_limits();
        self.engine.set_capacity(bounds.max);
        self.connections_max.set(i64::try_from(bounds.max).unwrap_or(i64::MAX));
    }
}

fn bounds(limits: &Limits, files: FileShares) -> ConnectionBounds {
    ConnectionBounds::of(limits, max_connections(limits.max_connections, files))
}

/// The configured limit, unless there are not files for so many.
fn max_connections(configured: Option<usize>, files: FileShares) -> usize {
    let allowed = files.connections_max;
    match configured {
        Some(configured) if configured > allowed => {
            tracing::warn!(
                configured,
                allowed,
                "the limit on open files allows fewer connections than --max-connections"
            );
            allowed
        }
        Some(configured) => configured,
        None => files.connections,
    }
}
