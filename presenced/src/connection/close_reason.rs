//! Why the server ends a connection.

use std::time::Duration;

/// Why the server ends a connection. The first close_reason stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// No answer to a ping: no close frame, no goodbye; the session is lost.
    PingTimeout,
    /// No progress of a write (4009).
    TooSlow,
    /// The token ran out (4001).
    Expired,
    /// Beyond a limit (4008).
    Abusive(Abuse),
    /// An operator ended it (4003). The engine has ended the session already.
    Kicked,
    /// An operator forgot the user (4010). The engine has ended the session already.
    Forgotten,
    /// The daemon goes down (1012); the client comes back after this long.
    Draining(Duration),
}

/// Which limit a client went beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Abuse {
    /// Bytes a second.
    Bytes,
    /// Messages a second.
    Messages,
    /// Malformed messages a minute.
    BadMessages,
    /// The time a message may stay unfinished.
    Unfinished,
}

impl Abuse {
    /// For metrics.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Messages => "messages",
            Self::BadMessages => "bad_messages",
            Self::Unfinished => "unfinished_message",
        }
    }

    /// For people, in the close frame.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Bytes => "too many bytes a second",
            Self::Messages => "too many messages a second",
            Self::BadMessages => "too many bad messages",
            Self::Unfinished => "a message was not finished in time",
        }
    }
}
