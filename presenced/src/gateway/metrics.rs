//! What the gateway measures.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::ending::Ending;

/// The limits that are counted here; those of client addresses are the door's.
const LIMITS: [&str; 8] = [
    "sessions",
    "watched",
    "choices",
    "message_size",
    "messages",
    "bytes",
    "bad_messages",
    "unfinished_message",
];

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
    refused: Family<LimitLabel, Counter>,
    slow_closes: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabel {
    limit: &'static str,
}

impl GatewayMetrics {
    /// Registers all of them.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            ends: Family::default(),
            messages: Family::default(),
            refused: Family::default(),
            slow_closes: Counter::default(),
        };
        registry.register(
            "connection_ends",
            "WebSockets that ended, by reason",
            metrics.ends.clone(),
        );
        registry.register("messages", "Messages from clients, by type", metrics.messages.clone());
        registry.register(
            "refused",
            "Messages refused and connections ended by a limit, by limit",
            metrics.refused.clone(),
        );
        registry.register(
            "slow_closes",
            "Connections closed because their client read too slowly",
            metrics.slow_closes.clone(),
        );
        // There from the start, so that an alert can tell none from no data.
        for limit in LIMITS {
            metrics.refused.get_or_create(&LimitLabel { limit });
        }
        metrics
    }

    /// A connection ended.
    pub(super) fn end(&self, ending: Ending) {
        let reason = ending.reason();
        self.ends.get_or_create(&EndLabel { reason }).inc();
        match reason {
            "too_slow" => {
                self.slow_closes.inc();
            }
            "too_many_sessions" => self.refuse("sessions"),
            "message_too_long" => self.refuse("message_size"),
            "bytes" | "messages" | "bad_messages" | "unfinished_message" => self.refuse(reason),
            _ => {}
        }
    }

    /// A limit refused.
    pub(super) fn refuse(&self, limit: &'static str) {
        self.refused.get_or_create(&LimitLabel { limit }).inc();
    }

    /// A message was read.
    pub(super) fn message(&self, kind: &'static str) {
        self.messages.get_or_create(&MessageLabel { kind }).inc();
    }
}
