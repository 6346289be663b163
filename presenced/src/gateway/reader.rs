//! Reads messages from a socket: tungstenite over the metered reader, and its errors as the reason why the connection ends.
//! The codec and its buffers exist only while a message is being read: an idle connection has neither, and the memory of
//! one long message is freed after it.

use std::io;

use presence::Mono;
use tungstenite::error::ProtocolError;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Bytes, Error, Message, Utf8Bytes};

use super::metered_reader::{Meter, MeteredReader, Source};
use crate::connection::close_reason::CloseReason;

/// Most bytes of one read. tungstenite zeroes the buffer before every read.
const READ_BUFFER_BYTES: usize = 2 * 1024;
/// Buffer of tungstenite's own answers to pings and closes, which the metered reader discards: two of the longest control
/// frames.
const WRITE_BUFFER_MAX_BYTES: usize = 256;

/// What a client sent.
#[derive(Debug)]
pub(super) enum Incoming {
    Text(Utf8Bytes),
    Binary(Bytes),
    Ping(Bytes),
    Pong,
    /// The last message, with its close code if it has one.
    Close(Option<u16>),
}

/// The reading half of a connection: frames in, messages out.
pub(super) struct MessageReader {
    meter: Meter,
    /// Exists while a message is unfinished or a complete one waits to be taken.
    codec: Option<Box<WebSocketContext>>,
}

impl MessageReader {
    /// `early` are bytes that came with the handshake.
    pub(super) fn new(early: Vec<u8>) -> Self {
        Self {
            meter: Meter::new(early),
            codec: None,
        }
    }

    /// Begins a turn: its byte budget is full again.
    pub(super) const fn begin_turn(&mut self) {
        self.meter.begin_turn();
    }

    /// Reading goes on after a pause for the client's own backlog.
    pub(super) fn resume(&mut self, now: Mono) {
        self.meter.resume(now);
    }

    /// Whether reading stopped because the turn is over, and not for lack of bytes.
    pub(super) const fn is_turn_over(&self) -> bool {
        self.meter.is_turn_over()
    }

    /// What was counted so far does not count against the limits any more.
    pub(super) fn count_anew(&mut self) {
        self.meter.count_anew();
    }

    /// The next message, without waiting; none if it is incomplete or the turn is over. An error ends the connection.
    pub(super) fn next(&mut self, source: Source<'_>) -> Result<Option<Incoming>, CloseReason> {
        if let Some(limit) = self.meter.exceeded() {
            return Err(CloseReason::LimitExceeded(limit));
        }
        let message_max = source.limits.message_bytes;
        let codec = self.codec.get_or_insert_with(|| Box::new(codec(message_max)));
        let mut input = MeteredReader {
            meter: &mut self.meter,
            source,
        };
        match codec.read(&mut input) {
            Ok(Message::Text(text)) => Ok(Some(Incoming::Text(text))),
            Ok(Message::Binary(bytes)) => Ok(Some(Incoming::Binary(bytes))),
            Ok(Message::Ping(payload)) => Ok(Some(Incoming::Ping(payload))),
            Ok(Message::Pong(_) | Message::Frame(_)) => Ok(Some(Incoming::Pong)),
            Ok(Message::Close(close)) => Ok(Some(Incoming::Close(close.map(|close| close.code.into())))),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                // Between messages the codec buffers nothing: it has returned all that it was given.
                if !self.meter.is_open() {
                    self.codec = None;
                }
                Ok(None)
            }
            Err(error) => Err(self.close_reason(&error)),
        }
    }

    /// Since when a message is unfinished, if bytes arrived since the last call.
    pub(super) fn take_received(&mut self) -> Option<Option<Mono>> {
        self.meter.take_received()
    }

    /// Why a connection ends whose codec failed with this error.
    fn close_reason(&self, error: &Error) -> CloseReason {
        // A limit that was exceeded below the codec reaches it as an I/O error.
        if let Some(limit) = self.meter.exceeded() {
            return CloseReason::LimitExceeded(limit);
        }
        match error {
            Error::Capacity(_) => CloseReason::MessageTooLong,
            Error::Utf8(_) => CloseReason::InvalidUtf8,
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => CloseReason::Lost,
            Error::Protocol(_) => CloseReason::ProtocolError,
            _ => CloseReason::Lost,
        }
    }
}

fn codec(message_max: usize) -> WebSocketContext {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER_MAX_BYTES)
        .max_message_size(Some(message_max))
        .max_frame_size(Some(message_max))
        .accept_unmasked_frames(false);
    WebSocketContext::new(Role::Server, Some(config))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::clock::Clock;
    use crate::connection::Connection;
    use crate::gateway::tests::{GatewayFixture, text};
    use crate::limits::Limits;

    #[tokio::test]
    async fn an_idle_connection_has_no_codec() {
        let engine = GatewayFixture::new().await.engine;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("an address");
        let mut peer = TcpStream::connect(address).await.expect("a connection");
        let (socket, _) = listener.accept().await.expect("a connection");
        let conn = Connection::new(socket, engine.new_session(), None, engine.connection_context());
        let (clock, limits) = (Clock::new(), Limits::default());
        let source = Source {
            conn: &conn,
            clock: &clock,
            limits: &limits,
        };
        let mut reader = MessageReader::new(Vec::new());
        let message = text("hello");
        let (front, back) = message.split_at(5);
        for (bytes, has_codec) in [(front, true), (back, false)] {
            peer.write_all(bytes).await.expect("room");
            conn.socket().readable().await.expect("bytes");
            let read = reader.next(source).expect("no error");
            assert_eq!(read.is_some(), !has_codec);
            assert!(reader.next(source).expect("no error").is_none());
            assert_eq!(reader.codec.is_some(), has_codec);
        }
    }
}
