//! Metrics of the gateway.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::connection::close_reason::CloseReason;
use crate::exceeded_limit::{Limit, LimitCounters};

/// Values of the label `kind`: the types of messages, malformed ones, and binary ones.
const MESSAGES: [&str; 9] = [
    "setStatus",
    "activity",
    "watch",
    "watchAll",
    "unwatch",
    "resume",
    "ping",
    "refused",
    "binary",
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabel {
    reason: &'static str,
    code: String,
}

impl EndLabel {
    fn new(reason: CloseReason) -> Self {
        Self {
            reason: reason.reason_label(),
            code: reason.code_label().into_owned(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MessageLabel {
    kind: &'static str,
}

#[derive(Clone)]
pub(crate) struct GatewayMetrics {
    ends: Family<EndLabel, Counter>,
    messages: Family<MessageLabel, Counter>,
    limits: LimitCounters,
    slow_closes: Counter,
}

impl GatewayMetrics {
    /// The counters of limits are shared with the API.
    pub(crate) fn register(registry: &mut Registry, limits: LimitCounters) -> Self {
        let metrics = Self {
            ends: Family::default(),
            messages: Family::default(),
            limits,
            slow_closes: Counter::default(),
        };
        registry.register(
            "connection_ends",
            "WebSocket connections closed, by reason and close code",
            metrics.ends.clone(),
        );
        registry.register(
            "messages",
            "Messages received from clients, by type",
            metrics.messages.clone(),
        );
        registry.register(
            "slow_closes",
            "WebSocket connections closed because the client read too slowly",
            metrics.slow_closes.clone(),
        );
        // There from the start, so that an alert can tell none from no data.
        for kind in MESSAGES {
            drop(metrics.messages.get_or_create(&MessageLabel { kind }));
        }
        for reason in CloseReason::ALL_LABELS {
            drop(metrics.ends.get_or_create(&EndLabel::new(reason)));
        }
        metrics
    }

    pub(super) fn count_end(&self, reason: CloseReason) {
        self.ends.get_or_create(&EndLabel::new(reason)).inc();
        if let Some(limit) = reason.limit() {
            self.count_limit(limit);
        }
        if reason == CloseReason::TooSlow {
            self.slow_closes.inc();
        }
    }

    pub(super) fn count_limit(&self, limit: Limit) {
        self.limits.count(limit);
    }

    pub(super) fn count_message(&self, kind: &'static str) {
        self.messages.get_or_create(&MessageLabel { kind }).inc();
    }
}
