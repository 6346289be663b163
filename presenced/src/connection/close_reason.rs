//! Why a connection ends, and all that follows from it: close code, goodbye, retry delay, how the session ends, metric
//! labels. Nothing here closes a connection; `gateway::close` does.

use std::borrow::Cow;
use std::time::Duration;

use presence::EndReason;
use presence::replication::CommandKind;
use presence::wire::close_code;

use crate::exceeded_limit::Limit;

/// When a client that read too slowly should reconnect.
const TOO_SLOW_RETRY: Duration = Duration::from_secs(5);
/// When a client should reconnect after a bug or a store failure that kept it from being connected.
const INTERNAL_RETRY: Duration = Duration::from_secs(5);
/// When a client whose tokens were revoked should come with a new one: most issuers round `iat` down to the second, and one of the
/// second of the revocation is refused.
const REVOKED_RETRY: Duration = Duration::from_secs(1);

/// How long a client is to wait before it reconnects, in milliseconds: a third of the size of a `Duration`, of which each
/// connection has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RetryAfter(u32);

impl RetryAfter {
    pub(crate) const fn get(self) -> Duration {
        Duration::from_millis(self.0 as u64)
    }
}

impl From<Duration> for RetryAfter {
    /// Forty-nine days at most.
    fn from(wait: Duration) -> Self {
        Self(u32::try_from(wait.as_millis()).unwrap_or(u32::MAX))
    }
}

/// Why a connection ends. A connection keeps the first reason it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// The client sent a close frame, with this code if it had one.
    ByClient(Option<u16>),
    /// The stream ended or was reset without a close frame.
    Lost,
    /// No answer to a ping. No close frame and no goodbye is sent; the session counts as lost.
    PingTimeout,
    /// A write made no progress.
    TooSlow,
    TokenExpired,
    /// A reload removed the secret or the key that authenticated the connection.
    CredentialRevoked,
    /// An operator revoked the user's tokens.
    TokensRevoked,
    /// One of the limits of a connection's input: messages, bytes, malformed or unfinished messages.
    LimitExceeded(Limit),
    /// An operator ended the user's sessions. The engine has ended the session already.
    Kicked,
    /// An operator had the user forgotten. The engine has ended the session already.
    Forgotten,
    /// The daemon stops. Clients reconnect spread over time.
    Draining {
        retry_after: RetryAfter,
    },
    /// The client broke RFC 6455.
    ProtocolError,
    /// A text message that is not UTF-8.
    InvalidUtf8,
    MessageTooLong,
    /// The user has as many sessions as one may have.
    TooManySessions {
        retry_after: RetryAfter,
    },
    /// A bug, or a failure that is no fault of the client.
    Internal,
}

impl From<CommandKind> for CloseReason {
    /// The reason of connections whose sessions a command ended.
    fn from(kind: CommandKind) -> Self {
        match kind {
            CommandKind::Kick => Self::Kicked,
            CommandKind::Forget => Self::Forgotten,
        }
    }
}

/// A close by the server: what the client is told.
struct ServerClose {
    code: u16,
    goodbye: &'static str,
    text: &'static str,
    retry_after: Option<Duration>,
}

impl CloseReason {
    /// One reason for each pair of [`Self::reason_label`] and [`Self::code_label`].
    pub(crate) const ALL_LABELS: [Self; 19] = [
        Self::ByClient(None),
        Self::ByClient(Some(close_code::NORMAL)),
        Self::ByClient(Some(close_code::GOING_AWAY)),
        Self::ByClient(Some(close_code::PROTOCOL_ERROR)),
        Self::Lost,
        Self::PingTimeout,
        Self::TooSlow,
        Self::TokenExpired,
        Self::CredentialRevoked,
        Self::TokensRevoked,
        Self::LimitExceeded(Limit::Bytes),
        Self::Kicked,
        Self::Forgotten,
        Self::Draining {
            retry_after: RetryAfter(0),
        },
        Self::ProtocolError,
        Self::InvalidUtf8,
        Self::MessageTooLong,
        Self::TooManySessions {
            retry_after: RetryAfter(0),
        },
        Self::Internal,
    ];

    /// The code of the close frame that is sent: the client's own comes back.
    pub(crate) fn close_code(self) -> Option<u16> {
        match self {
            Self::ByClient(code) => code,
            _ => self.server_close().map(|close| close.code),
        }
    }

    /// The `reason` of the `goodbye` before the close frame; none where no goodbye is sent.
    pub(crate) fn goodbye(self) -> Option<&'static str> {
        self.server_close().map(|close| close.goodbye)
    }

    /// The text of the close frame, for people.
    pub(crate) fn text(self) -> &'static str {
        self.server_close().map_or("", |close| close.text)
    }

    /// When the client should reconnect; none: not by itself.
    pub(crate) fn retry_after(self) -> Option<Duration> {
        self.server_close().and_then(|close| close.retry_after)
    }

    /// How the session ends.
    pub(crate) const fn end_reason(self) -> EndReason {
        match self {
            Self::ByClient(None | Some(close_code::NORMAL)) => EndReason::Closed,
            Self::ByClient(Some(close_code::GOING_AWAY)) => EndReason::Left,
            // Any other code is a program's, which may be about to reconnect.
            Self::ByClient(Some(_)) | Self::Lost | Self::PingTimeout => EndReason::Lost,
            Self::Kicked | Self::Forgotten => EndReason::Kicked,
            Self::TooSlow
            | Self::TokenExpired
            | Self::CredentialRevoked
            | Self::TokensRevoked
            | Self::LimitExceeded(_)
            | Self::Draining { .. }
            | Self::ProtocolError
            | Self::InvalidUtf8
            | Self::MessageTooLong
            | Self::TooManySessions { .. }
            | Self::Internal => EndReason::Dropped,
        }
    }

    /// The limit that was exceeded, if one was.
    pub(crate) const fn limit(self) -> Option<Limit> {
        match self {
            Self::LimitExceeded(limit) => Some(limit),
            Self::TooSlow => Some(Limit::WriteTimeout),
            Self::MessageTooLong => Some(Limit::MessageSize),
            Self::TooManySessions { .. } => Some(Limit::Sessions),
            Self::ByClient(_)
            | Self::Lost
            | Self::PingTimeout
            | Self::TokenExpired
            | Self::CredentialRevoked
            | Self::TokensRevoked
            | Self::Kicked
            | Self::Forgotten
            | Self::Draining { .. }
            | Self::ProtocolError
            | Self::InvalidUtf8
            | Self::Internal => None,
        }
    }

    /// The value of the metric label `reason`.
    pub(crate) fn reason_label(self) -> &'static str {
        match self {
            Self::ByClient(None | Some(close_code::NORMAL)) => "closed",
            Self::ByClient(Some(_)) => "left",
            _ => self.goodbye().unwrap_or("lost"),
        }
    }

    /// The value of the metric label `code`. Clients choose among thousands of codes, so only the usual two are told apart.
    pub(crate) fn code_label(self) -> Cow<'static, str> {
        match self {
            Self::ByClient(Some(code)) if code != close_code::NORMAL && code != close_code::GOING_AWAY => {
                "other".into()
            }
            _ => self.close_code().map_or("none".into(), |code| code.to_string().into()),
        }
    }

    fn server_close(self) -> Option<ServerClose> {
        let (code, goodbye, text, retry_after) = match self {
            Self::ByClient(_) | Self::Lost | Self::PingTimeout => return None,
            Self::TooSlow => {
                let text = Limit::WriteTimeout.text();
                (close_code::TOO_SLOW, "too_slow", text, Some(TOO_SLOW_RETRY))
            }
            Self::TokenExpired => (close_code::EXPIRED, "expired", "token expired", Some(Duration::ZERO)),
            Self::CredentialRevoked => {
                let text = "credential no longer valid";
                (close_code::EXPIRED, "expired", text, Some(Duration::ZERO))
            }
            Self::TokensRevoked => {
                let text = "tokens revoked by an operator";
                (close_code::EXPIRED, "expired", text, Some(REVOKED_RETRY))
            }
            Self::LimitExceeded(limit) => (close_code::ABUSIVE, "abusive", limit.text(), None),
            Self::Kicked => (close_code::KICKED, "kicked", "sessions ended by an operator", None),
            Self::Forgotten => (
                close_code::FORGOTTEN,
                "forgotten",
                "user forgotten by an operator",
                None,
            ),
            Self::Draining { retry_after } => (
                close_code::RESTART,
                "restart",
                "server restarting",
                Some(retry_after.get()),
            ),
            Self::ProtocolError => (
                close_code::PROTOCOL_ERROR,
                "protocol_error",
                "WebSocket protocol error",
                None,
            ),
            Self::InvalidUtf8 => (close_code::INVALID_TEXT, "invalid_text", "text is not UTF-8", None),
            Self::MessageTooLong => {
                let text = Limit::MessageSize.text();
                (close_code::MESSAGE_TOO_LONG, "message_too_long", text, None)
            }
            Self::TooManySessions { retry_after } => {
                let text = Limit::Sessions.text();
                (
                    close_code::TOO_MANY_SESSIONS,
                    "too_many_sessions",
                    text,
                    Some(retry_after.get()),
                )
            }
            Self::Internal => (close_code::INTERNAL, "internal", "internal error", Some(INTERNAL_RETRY)),
        };
        Some(ServerClose {
            code,
            goodbye,
            text,
            retry_after,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Reason, close code, goodbye, milliseconds to the retry, end of the session, metric labels, limit.
    type CloseRow = (
        CloseReason,
        Option<u16>,
        Option<&'static str>,
        Option<u64>,
        EndReason,
        (&'static str, &'static str),
        Option<&'static str>,
    );

    #[rustfmt::skip]
    fn table() -> Vec<CloseRow> {
        use CloseReason as R;
        use EndReason::{Closed, Dropped, Kicked, Left, Lost};
        let draining = R::Draining { retry_after: RetryAfter(2300) };
        let too_many = R::TooManySessions { retry_after: RetryAfter(4500) };
        let mut rows: Vec<CloseRow> = vec![
            (R::ByClient(None), None, None, None, Closed, ("closed", "none"), None),
            (R::ByClient(Some(1000)), Some(1000), None, None, Closed, ("closed", "1000"), None),
            (R::ByClient(Some(1001)), Some(1001), None, None, Left, ("left", "1001"), None),
            (R::ByClient(Some(1002)), Some(1002), None, None, Lost, ("left", "other"), None),
            (R::ByClient(Some(4000)), Some(4000), None, None, Lost, ("left", "other"), None),
            (R::ByClient(Some(3000)), Some(3000), None, None, Lost, ("left", "other"), None),
            (R::ByClient(Some(1012)), Some(1012), None, None, Lost, ("left", "other"), None),
            (R::ByClient(Some(4003)), Some(4003), None, None, Lost, ("left", "other"), None),
            (R::Lost, None, None, None, Lost, ("lost", "none"), None),
            (R::PingTimeout, None, None, None, Lost, ("lost", "none"), None),
            (R::TooSlow, Some(4009), Some("too_slow"), Some(5000), Dropped, ("too_slow", "4009"), Some("write_timeout")),
            (R::TokenExpired, Some(4001), Some("expired"), Some(0), Dropped, ("expired", "4001"), None),
            (R::CredentialRevoked, Some(4001), Some("expired"), Some(0), Dropped, ("expired", "4001"), None),
            (R::TokensRevoked, Some(4001), Some("expired"), Some(1000), Dropped, ("expired", "4001"), None),
            (R::Kicked, Some(4003), Some("kicked"), None, Kicked, ("kicked", "4003"), None),
            (R::Forgotten, Some(4010), Some("forgotten"), None, Kicked, ("forgotten", "4010"), None),
            (draining, Some(1012), Some("restart"), Some(2300), Dropped, ("restart", "1012"), None),
            (R::ProtocolError, Some(1002), Some("protocol_error"), None, Dropped, ("protocol_error", "1002"), None),
            (R::InvalidUtf8, Some(1007), Some("invalid_text"), None, Dropped, ("invalid_text", "1007"), None),
            (R::MessageTooLong, Some(1009), Some("message_too_long"), None, Dropped, ("message_too_long", "1009"), Some("message_size")),
            (too_many, Some(4029), Some("too_many_sessions"), Some(4500), Dropped, ("too_many_sessions", "4029"), Some("sessions")),
            (R::Internal, Some(1011), Some("internal"), Some(5000), Dropped, ("internal", "1011"), None),
        ];
        for (limit, label) in [
            (Limit::Bytes, "bytes"),
            (Limit::Messages, "messages"),
            (Limit::BadMessages, "bad_messages"),
            (Limit::UnfinishedMessage, "unfinished_message"),
        ] {
            rows.push((R::LimitExceeded(limit), Some(4008), Some("abusive"), None, Dropped, ("abusive", "4008"), Some(label)));
        }
        rows
    }

    #[test]
    fn each_reason_has_its_code_goodbye_retry_end_and_labels() {
        for (reason, code, goodbye, retry, end, (reason_label, code_label), limit) in table() {
            assert_eq!(reason.close_code(), code, "{reason:?}");
            assert_eq!(reason.goodbye(), goodbye, "{reason:?}");
            assert_eq!(reason.retry_after(), retry.map(Duration::from_millis), "{reason:?}");
            assert_eq!(reason.end_reason(), end, "{reason:?}");
            assert_eq!(reason.reason_label(), reason_label, "{reason:?}");
            assert_eq!(reason.code_label(), code_label, "{reason:?}");
            assert_eq!(reason.limit().map(Limit::label), limit, "{reason:?}");
            assert_eq!(reason.text().is_empty(), goodbye.is_none(), "{reason:?}");
        }
    }

    #[test]
    fn every_pair_of_labels_is_listed() {
        let labels = |reason: CloseReason| (reason.reason_label(), reason.code_label());
        let listed: BTreeSet<_> = CloseReason::ALL_LABELS.into_iter().map(labels).collect();
        let used: BTreeSet<_> = table().into_iter().map(|row| labels(row.0)).collect();
        assert_eq!(listed, used);
    }

    #[test]
    fn each_goodbye_has_a_text_of_its_own() {
        let too_many = CloseReason::TooManySessions {
            retry_after: RetryAfter(0),
        };
        for (reason, text) in [
            (CloseReason::TooSlow, "reading too slowly"),
            (CloseReason::TokenExpired, "token expired"),
            (CloseReason::CredentialRevoked, "credential no longer valid"),
            (CloseReason::TokensRevoked, "tokens revoked by an operator"),
            (CloseReason::Kicked, "sessions ended by an operator"),
            (CloseReason::Forgotten, "user forgotten by an operator"),
            (CloseReason::MessageTooLong, "message too long"),
            (too_many, "session limit of this user reached"),
            (CloseReason::Internal, "internal error"),
        ] {
            assert_eq!(reason.text(), text, "{reason:?}");
        }
        let texts: BTreeSet<_> = table().into_iter().map(|row| (row.2, row.6, row.0.text())).collect();
        let distinct: BTreeSet<_> = texts.iter().map(|row| row.2).collect();
        assert_eq!(texts.len(), distinct.len(), "{texts:?}");
    }
}
