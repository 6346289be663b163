//! Every limit whose excess is counted: its metric label and its text for clients. The values of the limits are in
//! [`crate::limits`].

use std::fmt;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// A limit that a client can exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Limit {
    /// Open connections of the whole daemon.
    Connections,
    /// Open connections of one client address.
    ConnectionsPerAddress,
    /// Open connections on which nobody authenticated.
    Unauthenticated,
    /// Handshakes of one client address.
    Handshakes,
    /// Failed logins of one client address.
    FailedLogins,
    /// Connections of one user.
    Sessions,
    /// Users that one connection watches.
    Watched,
    /// Users that all connections of one user watch.
    WatchedByUser,
    /// Custom statuses that one user sets.
    CustomStatuses,
    /// User ids that one user looks at.
    Lookups,
    /// Reports of one user.
    Reports,
    /// Long answers of one user, or to internal callers, under way.
    Answers,
    /// The length of one WebSocket message.
    MessageSize,
    /// Messages a second of one connection.
    Messages,
    /// Bytes a second of one connection.
    Bytes,
    /// Malformed messages a minute of one connection.
    BadMessages,
    /// The time that a message may stay unfinished.
    UnfinishedMessage,
    /// The time that a write may make no progress.
    WriteTimeout,
}

impl Limit {
    /// The value of the metric label `limit`.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsPerAddress => "connections_per_address",
            Self::Unauthenticated => "unauthenticated",
            Self::Handshakes => "handshakes",
            Self::FailedLogins => "failed_logins",
            Self::Sessions => "sessions",
            Self::Watched => "watched",
            Self::WatchedByUser => "watched_by_user",
            Self::CustomStatuses => "choices",
            Self::Lookups => "lookups",
            Self::Reports => "reports",
            Self::Answers => "answers",
            Self::MessageSize => "message_size",
            Self::Messages => "messages",
            Self::Bytes => "bytes",
            Self::BadMessages => "bad_messages",
            Self::UnfinishedMessage => "unfinished_message",
            Self::WriteTimeout => "write_timeout",
        }
    }

    /// What a client is told that exceeded it.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Connections => "connection limit reached; try again later",
            Self::ConnectionsPerAddress => "connection limit of this address reached; try again later",
            Self::Unauthenticated => "closed for another connection: nobody authenticated on this one",
            Self::Handshakes => "rate limit exceeded: connections from this address",
            Self::FailedLogins => "rate limit exceeded: failed logins from this address",
            Self::Sessions => "session limit of this user reached",
            Self::Watched => "watch limit of this connection reached",
            Self::WatchedByUser => "watch limit of this user's connections reached",
            Self::CustomStatuses => "rate limit exceeded: custom status changes of this user",
            Self::Lookups => "rate limit exceeded: user ids that this user looks at",
            Self::Reports => "too many reports of this user",
            Self::Answers => "too many answers of this caller are under way; read them first",
            Self::MessageSize => "message too long",
            Self::Messages => "rate limit exceeded: messages per second",
            Self::Bytes => "rate limit exceeded: bytes per second",
            Self::BadMessages => "rate limit exceeded: malformed messages per minute",
            Self::UnfinishedMessage => "message not finished in time",
            Self::WriteTimeout => "reading too slowly",
        }
    }
}

impl EncodeLabelValue for Limit {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.label().encode(encoder)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct LimitLabel {
    limit: Limit,
}

/// The limits of what clients do, over WebSocket and over REST. [`crate::server::ServerMetrics`] counts those of client
/// addresses.
const OF_CLIENTS: [Limit; 13] = [
    Limit::Sessions,
    Limit::Watched,
    Limit::WatchedByUser,
    Limit::CustomStatuses,
    Limit::Lookups,
    Limit::Reports,
    Limit::Answers,
    Limit::MessageSize,
    Limit::Messages,
    Limit::Bytes,
    Limit::BadMessages,
    Limit::UnfinishedMessage,
    Limit::WriteTimeout,
];

/// Counts by limit.
#[derive(Debug, Clone, Default)]
pub(crate) struct LimitCounters(Family<LimitLabel, Counter>);

impl LimitCounters {
    /// Counters of these limits at 0: they exist from the start, so that an alert can tell none from no data.
    pub(crate) fn new(limits: &[Limit]) -> Self {
        let counters = Self::default();
        for limit in limits {
            drop(counters.0.get_or_create(&LimitLabel { limit: *limit }));
        }
        counters
    }

    /// The counters of what clients do, which the gateway and the API share.
    pub(crate) fn of_clients(registry: &mut Registry) -> Self {
        let counters = Self::new(&OF_CLIENTS);
        registry.register(
            "refused_by_limit",
            "Messages and requests rejected and WebSocket connections closed because a limit was exceeded, by limit",
            counters.family(),
        );
        counters
    }

    pub(crate) fn count(&self, limit: Limit) {
        self.0.get_or_create(&LimitLabel { limit }).inc();
    }

    /// The metric to register.
    pub(crate) fn family(&self) -> Family<LimitLabel, Counter> {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_exists_before_its_limit_is_exceeded() {
        let counters = LimitCounters::new(&[Limit::CustomStatuses, Limit::Bytes]);
        counters.count(Limit::Bytes);
        let mut registry = Registry::default();
        registry.register("exceeded", "By limit", counters.family());
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains("exceeded_total{limit=\"choices\"} 0\n"), "{text}");
        assert!(text.contains("exceeded_total{limit=\"bytes\"} 1\n"), "{text}");
    }
}
