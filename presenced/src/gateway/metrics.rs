//! What the gateway measures.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabel {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MessageLabel {
    kind: &'static str,
}

/// Counters of the gateway.
#[derive(Clone)]
pub(crate) struct GatewayMetrics {
    ends: Family<EndLabel, Counter>,
    messages: Family<MessageLabel, Counter>,
}

impl GatewayMetrics {
    /// Registers all of them.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            ends: Family::default(),
            messages: Family::default(),
        };
        registry.register(
            "connection_ends",
            "WebSockets that ended, by reason",
            metrics.ends.clone(),
        );
        registry.register("messages", "Messages from clients, by type", metrics.messages.clone());
        metrics
    }

    /// A connection ended.
    pub(super) fn end(&self, reason: &'static str) {
        self.ends.get_or_create(&EndLabel { reason }).inc();
    }

    /// A message was read.
    pub(super) fn message(&self, kind: &'static str) {
        self.messages.get_or_create(&MessageLabel { kind }).inc();
    }
}
