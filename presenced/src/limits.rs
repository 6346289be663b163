//! Every limit of the daemon, with its unit and its default. Each has a flag, and exceeding one has an error or close code.
//! [`CurrentLimits`] are those in effect, which a reload replaces: they hold for what begins from then on, and end nothing that
//! kept to those of before.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use presence::{Mono, Rate};

/// The limits on what clients may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Longest WebSocket message, whole or in fragments, in bytes: 1009 beyond.
    pub message_bytes: usize,
    /// Longest body of a REST call, in bytes: 413 beyond.
    pub body_bytes: usize,
    /// Longest body of `POST /api/presence/query`, in bytes.
    pub query_bytes: usize,
    /// How long a client may take to send a request head, from its first byte; that of the first, from the connection.
    pub handshake_timeout: Duration,
    /// How long an HTTP connection may be idle between two requests.
    pub http_idle_timeout: Duration,
    /// Connections of one user: 4029 beyond.
    pub sessions_per_user: usize,
    /// Reports of one user: 429 `too_many` beyond.
    pub reports_per_user: usize,
    /// Watched users of one connection: `too_many_watched` beyond.
    pub watched_per_connection: usize,
    /// Watched users of all connections of one user: `too_many_watched` beyond.
    pub watched_per_user: usize,
    /// Custom status changes of one user: 429 `rate_limited` beyond.
    pub custom_statuses: Rate,
    /// User ids that one user names to look at, in watches, queries and reads of a record: they wait for their turn, and are
    /// `rate_limited` if that is too far away. Internal callers are exempt.
    pub lookups: Rate,
    /// Messages of one connection, counted under the codec: 4008 beyond.
    pub messages: Rate,
    /// Bytes of one connection, counted under the codec: 4008 beyond.
    pub bytes: Rate,
    /// Malformed messages of one connection, answered with `error`: 4008 beyond.
    pub bad_messages: Rate,
    /// How long a message may stay unfinished: 4008 beyond.
    pub message_timeout: Duration,
    /// How long a client may acknowledge nothing of what it was sent: 4009 beyond.
    pub write_timeout: Duration,
    /// Handshakes of one client address: 429 beyond.
    pub handshakes: Rate,
    /// Failed logins of one client address: 429 beyond.
    pub failed_logins: Rate,
    /// Connections of all kinds: 503 beyond. None: 90 % of the process's file limit.
    pub max_connections: Option<usize>,
    /// Connections that only WebSockets may take: 503 beyond for others. None: an eighth.
    pub kept_for_websockets: Option<usize>,
    /// Connections of one client address: 503 beyond. None: a quarter.
    pub connections_per_address: Option<usize>,
    /// Connections on which nobody authenticated: beyond, the oldest is closed. None: a quarter.
    pub unauthenticated_connections: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        let per = |amount, period, burst| Rate {
            amount,
            period: Duration::from_secs(period),
            burst,
        };
        Self {
            message_bytes: 16 * 1024,
            body_bytes: 64 * 1024,
            // A thousand ids of 128 bytes, each escaped as `\uXXXX`, are 774,000.
            query_bytes: 1024 * 1024,
            handshake_timeout: Duration::from_secs(5),
            http_idle_timeout: Duration::from_secs(5),
            sessions_per_user: 32,
            reports_per_user: 32,
            watched_per_connection: 5_000,
            // Eight devices or tabs with full lists; 17 MB at most, if each is somebody whom nobody else needs in memory.
            watched_per_user: 40_000,
            custom_statuses: per(20, 10, 20),
            // An id costs some 15 µs, read and sent. A second's are a full watch list, and 8 % of a core; a burst is what four
            // devices watch that come back together.
            lookups: per(5_000, 1, 20_000),
            messages: per(30, 1, 100),
            bytes: per(64 * 1024, 1, 1024 * 1024),
            bad_messages: per(10, 60, 10),
            message_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            handshakes: per(50, 1, 200),
            failed_logins: per(10, 60, 10),
            max_connections: None,
            kept_for_websockets: None,
            connections_per_address: None,
            unauthenticated_connections: None,
        }
    }
}

/// The limits in effect. Everything that they hold for shares them, and reads them when it needs one.
#[derive(Debug)]
pub(crate) struct CurrentLimits(ArcSwap<LimitsInEffect>);

/// The limits of a moment.
#[derive(Debug)]
pub(crate) struct LimitsInEffect {
    limits: Limits,
    /// Changes with every replacement: what is counted against the limits of a connection is counted anew then.
    pub(crate) version: u16,
    /// What was allowed to take longer before.
    longer: Option<Longer>,
}

/// How long a client may take, once connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientTimeouts {
    /// For the rest of a message.
    pub(crate) message: Duration,
    /// To acknowledge something of what it was sent.
    pub(crate) write: Duration,
}

/// Timeouts that hold beside those in effect, the longer of two, until nothing is left that began under them.
#[derive(Debug, Clone, Copy)]
struct Longer {
    timeouts: ClientTimeouts,
    until: Mono,
}

impl ClientTimeouts {
    const fn of(limits: &Limits) -> Self {
        Self {
            message: limits.message_timeout,
            write: limits.write_timeout,
        }
    }

    fn longest(self, other: Self) -> Self {
        Self {
            message: self.message.max(other.message),
            write: self.write.max(other.write),
        }
    }
}

impl CurrentLimits {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(LimitsInEffect {
            limits,
            version: 0,
            longer: None,
        })))
    }

    /// The limits of this moment. Not to be held while something is waited for.
    pub(crate) fn load(&self) -> Guard<Arc<LimitsInEffect>> {
        self.0.load()
    }

    /// The limits of this moment, to be held for as long as needed.
    pub(crate) fn load_full(&self) -> Arc<LimitsInEffect> {
        self.0.load_full()
    }

    /// Has these limits take effect, if they differ. By one caller at a time.
    pub(crate) fn replace(&self, limits: Limits, now: Mono) {
        let before = self.0.load();
        if before.limits == limits {
            return;
        }
        let timeouts = before.timeouts(now);
        let longer = Longer {
            timeouts,
            until: now.after(timeouts.message.max(timeouts.write)),
        };
        self.0.store(Arc::new(LimitsInEffect {
            limits,
            version: before.version.wrapping_add(1),
            longer: Some(longer),
        }));
    }
}

impl LimitsInEffect {
    /// How long clients may take. What began under the limits of before has the time that it had.
    pub(crate) fn timeouts(&self, now: Mono) -> ClientTimeouts {
        let own = ClientTimeouts::of(&self.limits);
        match &self.longer {
            Some(longer) if now < longer.until => own.longest(longer.timeouts),
            _ => own,
        }
    }
}

impl Deref for LimitsInEffect {
    type Target = Limits;

    fn deref(&self) -> &Limits {
        &self.limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(message: u64, write: u64) -> Limits {
        Limits {
            message_timeout: Duration::from_secs(message),
            write_timeout: Duration::from_secs(write),
            ..Limits::default()
        }
    }

    fn at(seconds: u64) -> Mono {
        Mono::from_millis(seconds * 1000)
    }

    fn timeouts_of(current: &CurrentLimits, now: Mono) -> (u64, u64) {
        let timeouts = current.load().timeouts(now);
        (timeouts.message.as_secs(), timeouts.write.as_secs())
    }

    #[test]
    fn limits_that_are_the_same_replace_nothing() {
        let current = CurrentLimits::new(limits(10, 30));
        current.replace(limits(10, 30), at(5));
        assert_eq!(current.load().version, 0);
        current.replace(limits(10, 31), at(5));
        assert_eq!(current.load().version, 1);
    }

    #[test]
    fn a_shorter_timeout_waits_until_the_longer_one_of_before_is_over() {
        let current = CurrentLimits::new(limits(10, 30));
        current.replace(limits(2, 3), at(100));
        assert_eq!(timeouts_of(&current, at(129)), (10, 30));
        assert_eq!(timeouts_of(&current, at(130)), (2, 3));
    }

    #[test]
    fn a_longer_timeout_holds_at_once() {
        let current = CurrentLimits::new(limits(10, 30));
        current.replace(limits(20, 60), at(100));
        assert_eq!(timeouts_of(&current, at(100)), (20, 60));
    }

    #[test]
    fn a_timeout_outlasts_several_replacements() {
        let current = CurrentLimits::new(limits(10, 30));
        current.replace(limits(2, 3), at(100));
        current.replace(limits(1, 1), at(110));
        assert_eq!(timeouts_of(&current, at(129)), (10, 30));
        current.replace(limits(1, 2), at(150));
        assert_eq!(timeouts_of(&current, at(150)), (1, 2), "what was 30 s long is over");
    }
}
