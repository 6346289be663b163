//! Messages out of a socket: tungstenite over the tap, sized so that an idle connection costs little, and its errors as
//! what they mean for the connection.

use std::io;

use presence::Mono;
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Bytes, Error, Message, Utf8Bytes, WebSocket};

use super::tap::Tap;
use crate::config::limits::Limits;

/// tungstenite allocates it at once, per connection, and zeroes it on every read.
const READ_BUFFER_BYTES: usize = 1024;

/// What a client sent.
#[derive(Debug)]
pub(super) enum Incoming {
    Text(Utf8Bytes),
    Binary(Bytes),
    Ping(Bytes),
    Pong,
    /// The last message.
    Close(Option<CloseFrame>),
}

/// Why nothing more can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// No close frame: the end of the stream, or a reset.
    Lost,
    /// The client broke the protocol or a limit: the close code and reason to answer.
    Refused(u16, &'static str),
}

/// The reading half of a connection.
pub(super) struct Reader {
    codec: WebSocket<Tap>,
}

impl Reader {
    /// `early` are bytes that came with the handshake.
    pub(super) fn new(mut tap: Tap, early: Vec<u8>, limits: &Limits) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(4096)
            .max_message_size(Some(limits.message_bytes))
            .max_frame_size(Some(limits.message_bytes))
            .accept_unmasked_frames(false);
        // An early excess shows with the first read.
        let _ = tap.meter(&early);
        Self {
            codec: WebSocket::from_partially_read(tap, early, Role::Server, Some(config)),
        }
    }

    /// The next message without waiting; none if it is not there yet.
    pub(super) fn next(&mut self) -> Result<Option<Incoming>, Broken> {
        if let Some(limit) = self.codec.get_ref().exceeded() {
            return Err(Broken::Refused(presence::wire::close::ABUSIVE, limit));
        }
        match self.codec.read() {
            Ok(Message::Text(text)) => Ok(Some(Incoming::Text(text))),
            Ok(Message::Binary(bytes)) => Ok(Some(Incoming::Binary(bytes))),
            Ok(Message::Ping(payload)) => Ok(Some(Incoming::Ping(payload))),
            Ok(Message::Pong(_) | Message::Frame(_)) => Ok(Some(Incoming::Pong)),
            Ok(Message::Close(close)) => Ok(Some(Incoming::Close(close))),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(self.broken_by(&error)),
        }
    }

    /// Since when a message is unfinished, if bytes arrived since the last call.
    pub(super) fn take_heard(&mut self) -> Option<Option<Mono>> {
        self.codec.get_mut().take_heard()
    }

    fn broken_by(&self, error: &Error) -> Broken {
        if let Some(limit) = self.codec.get_ref().exceeded() {
            return Broken::Refused(presence::wire::close::ABUSIVE, limit);
        }
        match error {
            Error::Capacity(_) => Broken::Refused(1009, "the message is too long"),
            Error::Utf8(_) => Broken::Refused(1007, "text that is not UTF-8"),
            Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => Broken::Lost,
            Error::Protocol(_) => Broken::Refused(1002, "not the WebSocket protocol"),
            _ => Broken::Lost,
        }
    }
}
