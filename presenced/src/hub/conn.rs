//! One WebSocket connection as everyone but its own task sees it: who it is, what is still to be sent, and the verdict
//! if it must go. STUB: signatures are agreed, bodies follow.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use presence::{SessionId, UserId};
use tokio::net::TcpStream;

/// Why the server ends a connection. The first verdict stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No answer to a ping: no close frame, no goodbye; the session is lost.
    PingTimeout,
    /// No progress of a write (4009).
    TooSlow,
    /// The token ran out (4001).
    Expired,
    /// Beyond a limit (4008); the text says which.
    Abusive(&'static str),
    /// An operator ended it (4003). The engine has ended the session already.
    Kicked,
    /// An operator forgot the user (4010). The engine has ended the session already.
    Forgotten,
    /// The daemon goes down (1012); the client comes back after this long.
    Draining(Duration),
}

/// A control frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    Ping,
    Pong,
}

/// One connection.
pub(crate) struct Conn {}

impl Conn {
    /// Takes the socket over. `name` is the public session id.
    pub(crate) fn new(_socket: TcpStream, _id: SessionId, _name: Box<str>, _user: Option<UserId>) -> Arc<Self> {
        unimplemented!()
    }

    pub(crate) fn id(&self) -> SessionId {
        unimplemented!()
    }

    /// The public session id.
    pub(crate) fn name(&self) -> &str {
        unimplemented!()
    }

    /// Whose connection it is; none for an observer.
    pub(crate) fn user(&self) -> Option<&UserId> {
        unimplemented!()
    }

    /// The socket, for reading, peeking and `readable()`. Never write to it: sending goes through the outbox.
    pub(crate) fn socket(&self) -> &TcpStream {
        unimplemented!()
    }

    /// Queues one text frame and writes as far as the socket takes it. Order among `push_*` is kept.
    pub(crate) fn push_text(&self, _payload: &str) {
        unimplemented!()
    }

    /// Queues a control frame (payload at most 125 bytes) and writes as far as the socket takes it.
    pub(crate) fn push_control(&self, _kind: Control, _payload: &[u8]) {
        unimplemented!()
    }

    /// Queues the close frame, the last frame ever: everything pushed or owed later is dropped.
    pub(crate) fn push_close(&self, _code: Option<u16>, _reason: &str) {
        unimplemented!()
    }

    /// Whether so many answers wait that nothing more should be read until they are gone.
    pub(crate) fn is_backlogged(&self) -> bool {
        unimplemented!()
    }

    /// Whether everything queued has been handed to the kernel.
    pub(crate) fn is_flushed(&self) -> bool {
        unimplemented!()
    }

    /// Since when unsent data lies without any progress of a write; none while nothing lies unsent.
    pub(crate) fn stuck_since(&self) -> Option<presence::Mono> {
        unimplemented!()
    }

    /// The connection's task calls this in its select loop, always: whenever the socket was full and takes data again it
    /// writes what waits; it also returns when a verdict was passed or the backlog is gone. Cancel safe.
    pub(crate) async fn attend(&self) {
        unimplemented!()
    }

    /// Passes a verdict, if there is none yet, and wakes the task. The task says goodbye and closes.
    pub(crate) fn condemn(&self, _verdict: Verdict) {
        unimplemented!()
    }

    pub(crate) fn verdict(&self) -> Option<Verdict> {
        unimplemented!()
    }
}

/// Shuts the socket down both ways.
pub(crate) fn shutdown(_conn: &Conn) -> io::Result<()> {
    unimplemented!()
}
