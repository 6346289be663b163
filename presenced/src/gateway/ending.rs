//! How a connection ends: the session first, at the moment it is decided; then a goodbye, the close frame, and a bounded
//! wait for the client's own end, so that the close frame is not lost to a reset.

use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use presence::EndReason;
use presence::wire::close;
use presence::wire::server::ServerMessage;
use tungstenite::protocol::frame::CloseFrame;

use super::reader::Broken;
use super::replies;
use crate::connection::Connection;
use crate::connection::close_reason::{Abuse, CloseReason};

/// Close codes of RFC 6455, section 7.4.1.
const PROTOCOL_ERROR: u16 = 1002;
const INVALID_TEXT: u16 = 1007;
const TOO_LONG: u16 = 1009;

/// How long what is said last may take to leave.
const FLUSH: Duration = Duration::from_secs(1);
/// How often it is looked whether somebody else, who is writing, is done.
const FLUSH_LOOKS: Duration = Duration::from_millis(10);
/// How long a client may take to close its side, once it was told.
const LINGER: Duration = Duration::from_secs(1);
/// How much a client may still send meanwhile, in bytes.
const LINGER_MAX_BYTES: usize = 256 * 1024;
/// When a client that was too slow should come back.
const SLOW_RETURNS: Duration = Duration::from_secs(5);
/// When a client of a user with too many sessions should come back.
const CROWDED_RETURNS: Duration = Duration::from_secs(30);

/// Why a connection is over, and what the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The client closed, with this code.
    ByClient(Option<u16>),
    /// The client is gone without a word.
    Lost,
    /// The server ends it.
    ByServer(Farewell),
}

/// What the server says when it ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Farewell {
    code: u16,
    /// For metrics and `goodbye`.
    reason: &'static str,
    /// For people, in the close frame.
    text: &'static str,
    returns: Option<Duration>,
    /// The limit that was passed, if one was; for metrics.
    limit: Option<&'static str>,
}

#[cfg(feature = "autobahn")]
impl Farewell {
    /// The close code.
    pub(super) const fn code(self) -> u16 {
        self.code
    }
}

impl Ending {
    /// One of each kind, for metrics.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let by_client = [None, Some(1000), Some(1001), Some(1003)].map(Self::ByClient);
        let verdicts = [
            CloseReason::PingTimeout,
            CloseReason::TooSlow,
            CloseReason::Expired,
            CloseReason::Abusive(Abuse::Bytes),
            CloseReason::Kicked,
            CloseReason::Forgotten,
            CloseReason::Draining(Duration::ZERO),
        ];
        let broken = [Broken::TooLong, Broken::InvalidText, Broken::BadProtocol];
        by_client
            .into_iter()
            .chain(verdicts.map(Self::from))
            .chain(broken.map(Self::from))
            .chain([Self::too_many_sessions()])
    }

    /// As the rules see it.
    pub(super) const fn end(self) -> EndReason {
        match self {
            Self::ByClient(None | Some(1000)) => EndReason::Closed,
            Self::ByClient(Some(_)) => EndReason::Left,
            Self::Lost => EndReason::Lost,
            Self::ByServer(Farewell {
                code: close::KICKED | close::FORGOTTEN,
                ..
            }) => EndReason::Kicked,
            Self::ByServer(_) => EndReason::Dropped,
        }
    }

    /// For metrics: why, and the close code. Of the client's codes only those that mean something here are told apart.
    pub(super) const fn labels(self) -> (&'static str, &'static str) {
        match self {
            Self::ByClient(None) => ("closed", "none"),
            Self::ByClient(Some(1000)) => ("closed", "1000"),
            Self::ByClient(Some(1001)) => ("left", "1001"),
            Self::ByClient(Some(_)) => ("left", "other"),
            Self::Lost => ("lost", "none"),
            Self::ByServer(farewell) => (farewell.reason, code_label(farewell.code)),
        }
    }

    /// The limit that ended it, if one did.
    pub(super) const fn limit(self) -> Option<&'static str> {
        match self {
            Self::ByServer(farewell) => farewell.limit,
            Self::ByClient(_) | Self::Lost => None,
        }
    }

    /// Whether the client did not read.
    pub(super) const fn is_slow(self) -> bool {
        matches!(
            self,
            Self::ByServer(Farewell {
                code: close::TOO_SLOW,
                ..
            })
        )
    }

    /// The user has too many sessions already.
    pub(super) const fn too_many_sessions() -> Self {
        let words = ("too_many_sessions", "too many sessions of this user");
        Self::by_limit("sessions", close::TOO_MANY_SESSIONS, words, Some(CROWDED_RETURNS))
    }

    const fn by_server(code: u16, words: (&'static str, &'static str), returns: Option<Duration>) -> Self {
        Self::ByServer(Farewell {
            code,
            reason: words.0,
            text: words.1,
            returns,
            limit: None,
        })
    }

    const fn by_limit(
        limit: &'static str,
        code: u16,
        words: (&'static str, &'static str),
        returns: Option<Duration>,
    ) -> Self {
        Self::ByServer(Farewell {
            code,
            reason: words.0,
            text: words.1,
            returns,
            limit: Some(limit),
        })
    }
}

/// Close codes as labels: there are few.
const fn code_label(code: u16) -> &'static str {
    match code {
        PROTOCOL_ERROR => "1002",
        INVALID_TEXT => "1007",
        TOO_LONG => "1009",
        close::RESTART => "1012",
        close::EXPIRED => "4001",
        close::KICKED => "4003",
        close::ABUSIVE => "4008",
        close::TOO_SLOW => "4009",
        close::FORGOTTEN => "4010",
        close::TOO_MANY_SESSIONS => "4029",
        _ => "other",
    }
}

impl From<CloseReason> for Ending {
    fn from(close_reason: CloseReason) -> Self {
        match close_reason {
            CloseReason::PingTimeout => Self::Lost,
            CloseReason::TooSlow => {
                let words = ("too_slow", "reading too slowly");
                Self::by_limit("write_timeout", close::TOO_SLOW, words, Some(SLOW_RETURNS))
            }
            CloseReason::Expired => {
                Self::by_server(close::EXPIRED, ("expired", "credentials expired"), Some(Duration::ZERO))
            }
            CloseReason::Abusive(limit) => {
                Self::by_limit(limit.label(), close::ABUSIVE, ("abusive", limit.text()), None)
            }
            CloseReason::Kicked => Self::by_server(close::KICKED, ("kicked", "ended by an operator"), None),
            CloseReason::Forgotten => {
                Self::by_server(close::FORGOTTEN, ("forgotten", "forgotten by an operator"), None)
            }
            CloseReason::Draining(returns) => {
                Self::by_server(close::RESTART, ("restart", "the daemon goes down"), Some(returns))
            }
        }
    }
}

impl From<Broken> for Ending {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Lost => Self::Lost,
            Broken::OverLimit(limit) => CloseReason::Abusive(limit).into(),
            Broken::TooLong => Self::by_limit(
                "message_size",
                TOO_LONG,
                ("message_too_long", "the message is too long"),
                None,
            ),
            Broken::InvalidText => Self::by_server(INVALID_TEXT, ("invalid_text", "text that is not UTF-8"), None),
            Broken::BadProtocol => {
                Self::by_server(PROTOCOL_ERROR, ("protocol_error", "not the WebSocket protocol"), None)
            }
        }
    }
}

impl From<Option<CloseFrame>> for Ending {
    fn from(close: Option<CloseFrame>) -> Self {
        Self::ByClient(close.map(|close| close.code.into()))
    }
}

/// Says farewell and closes the socket. The session has ended before: how long this takes changes nothing for others.
pub(super) async fn part(conn: &Arc<Connection>, ending: Ending) {
    match ending {
        Ending::Lost => return shut(conn, Shutdown::Both),
        Ending::ByClient(code) => conn.push_close(code, ""),
        Ending::ByServer(farewell) => {
            let returns = farewell
                .returns
                .map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
            replies::push(
                conn,
                &ServerMessage::Goodbye {
                    reason: farewell.reason.into(),
                    reconnect_after_ms: returns,
                },
            );
            conn.push_close(Some(farewell.code), farewell.text);
        }
    }
    let _ = tokio::time::timeout(FLUSH, flush(conn)).await;
    // Half a close: whoever still sends gets no reset, which would take the close frame out of the client's hands.
    shut(conn, Shutdown::Write);
    let _ = tokio::time::timeout(LINGER, drain(conn)).await;
    shut(conn, Shutdown::Both);
}

/// Waits until all is sent.
async fn flush(conn: &Arc<Connection>) {
    while !conn.is_flushed() {
        // The delivery thread may be writing just now, and tells nobody when it is done.
        let _ = tokio::time::timeout(FLUSH_LOOKS, conn.attend()).await;
    }
}

/// Reads to the client's end, within bounds.
async fn drain(conn: &Arc<Connection>) {
    let mut left = LINGER_MAX_BYTES;
    while conn.socket().readable().await.is_ok() {
        let mut scratch = [0; 4096];
        match conn.socket().try_read(&mut scratch) {
            Ok(0) => return,
            Ok(count) if count >= left => return,
            Ok(count) => left -= count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

fn shut(conn: &Connection, how: Shutdown) {
    // A socket the client has closed already can't be shut down, and need not be.
    let _ = socket2::SockRef::from(conn.socket()).shutdown(how);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clean_close_ends_the_session_at_once() {
        let ends = [
            (Ending::ByClient(None), EndReason::Closed),
            (Ending::ByClient(Some(1000)), EndReason::Closed),
            (Ending::ByClient(Some(1001)), EndReason::Left),
            (Ending::ByClient(Some(4000)), EndReason::Left),
            (Ending::Lost, EndReason::Lost),
            (CloseReason::PingTimeout.into(), EndReason::Lost),
            (CloseReason::TooSlow.into(), EndReason::Dropped),
            (CloseReason::Expired.into(), EndReason::Dropped),
            (CloseReason::Abusive(Abuse::Bytes).into(), EndReason::Dropped),
            (CloseReason::Draining(Duration::ZERO).into(), EndReason::Dropped),
            (Broken::BadProtocol.into(), EndReason::Dropped),
            (Broken::TooLong.into(), EndReason::Dropped),
            (CloseReason::Kicked.into(), EndReason::Kicked),
            (CloseReason::Forgotten.into(), EndReason::Kicked),
        ];
        for (ending, end) in ends {
            assert_eq!(ending.end(), end, "{ending:?}");
        }
    }
}
