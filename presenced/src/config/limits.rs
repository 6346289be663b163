//! Every limit of the daemon, with its unit and its default. Each has a flag, and exceeding one has an error or close code.

use std::time::Duration;

use presence::Rate;

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
