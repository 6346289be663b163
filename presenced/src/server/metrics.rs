//! Metrics of the server: connections, and what was rejected before a request was handled.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::exceeded_limit::{Limit, LimitCounters};

/// The limits that are counted here.
const LIMITS: [Limit; 5] = [
    Limit::Connections,
    Limit::ConnectionsPerAddress,
    Limit::Unauthenticated,
    Limit::Handshakes,
    Limit::FailedLogins,
];

/// Metrics of all servers together.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServerMetrics {
    /// Connections that hold a permit of the main listener.
    pub(crate) connections: Gauge,
    /// The connection limit of the main listener.
    pub(crate) connections_max: Gauge,
    pub(super) accepted: Counter,
    pub(super) accept_errors: Counter,
    pub(super) stuck: Counter,
    pub(super) tls_handshakes: Counter,
    pub(super) tls_failed: Counter,
    rejected: LimitCounters,
}

impl ServerMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            rejected: LimitCounters::new(&LIMITS),
            ..Self::default()
        };
        registry.register(
            "http_connections",
            "Open connections, including WebSockets",
            metrics.connections.clone(),
        );
        registry.register(
            "http_connections_max",
            "The connection limit: open connections, including WebSockets",
            metrics.connections_max.clone(),
        );
        registry.register("http_accepted", "Connections accepted", metrics.accepted.clone());
        registry.register(
            "http_accept_errors",
            "Failed accept calls, such as for lack of file descriptors",
            metrics.accept_errors.clone(),
        );
        registry.register(
            "http_stuck",
            "Connections dropped because the client did not read its response",
            metrics.stuck.clone(),
        );
        registry.register(
            "tls_handshakes",
            "TLS handshakes that were done",
            metrics.tls_handshakes.clone(),
        );
        registry.register(
            "tls_handshakes_failed",
            "TLS handshakes that failed or took too long, clients without TLS included",
            metrics.tls_failed.clone(),
        );
        registry.register(
            "door_refused",
            "Connections, upgrades and logins rejected by admission control, by limit",
            metrics.rejected.family(),
        );
        metrics
    }

    pub(super) fn count_limit(&self, limit: Limit) {
        self.rejected.count(limit);
    }
}
