//! What the gateway measures.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::ending::Ending;

/// The limits that are counted here; those of client addresses are the admission's.
const LIMITS: [&str; 9] = [
    "sessions",
    "watched",
    "choices",
    "message_size",
    "messages",
    "bytes",
    "bad_messages",
    "unfinished_message",
    "write_timeout",
];

/// Messages from clients by type, and two kinds of those that are none.
const MESSAGES: [&str; 8] = [
    "setStatus",
    "activity",
    "watch",
    "watchAll",
    "unwatch",
    "ping",
    "refused",
    "binary",
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabel {
    reason: &'static str,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabel {
    limit: &'static str,
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
    limits: Family<LimitLabel, Counter>,
    /// Connections ended because their client did not read.
    slow_closes: Counter,
}

impl GatewayMetrics {
    /// Registers all of them.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            ends: Family::default(),
            messages: Family::default(),
            limits: Family::default(),
            slow_closes: Counter::default(),
        };
        registry.register(
            "connection_ends",
            "WebSockets that ended, by reason and close code",
            metrics.ends.clone(),
        );
        registry.register("messages", "Messages from clients, by type", metrics.messages.clone());
        registry.register(
            "refused_by_limit",
            "Messages refused and WebSockets ended because of a limit",
            metrics.limits.clone(),
        );
        registry.register(
            "slow_closes",
            "WebSockets ended because their client did not read",
            metrics.slow_closes.clone(),
        );
        // There from the start, so that an alert can tell none from no data.
        for limit in LIMITS {
            drop(metrics.limits.get_or_create(&LimitLabel { limit }));
        }
        for kind in MESSAGES {
            drop(metrics.messages.get_or_create(&MessageLabel { kind }));
        }
        for (reason, code) in Ending::all().map(Ending::labels) {
            drop(metrics.ends.get_or_create(&EndLabel { reason, code }));
        }
        metrics
    }

    /// A connection ended.
    pub(super) fn end(&self, ending: Ending) {
        let (reason, code) = ending.labels();
        self.ends.get_or_create(&EndLabel { reason, code }).inc();
        if let Some(limit) = ending.limit() {
            self.count_limit(limit);
        }
        if ending.is_slow() {
            self.slow_closes.inc();
        }
    }

    /// A limit was in the way.
    pub(super) fn count_limit(&self, limit: &'static str) {
        self.limits.get_or_create(&LimitLabel { limit }).inc();
    }

    /// A message was read.
    pub(super) fn message(&self, kind: &'static str) {
        self.messages.get_or_create(&MessageLabel { kind }).inc();
    }
}
