//! The load: many connections of one thread, at the level of bytes, so that what it costs is little and the same for all
//! servers. What is sent when, and what counts as an answer, is each workload's.

pub(crate) mod request;

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use memchr::memmem;

use crate::clock::Stopwatch;
use crate::frame::{self, Frame};
use crate::pipe::Pipe;
use crate::poller::{Poller, Ready};

/// Longer than any message: a page of a thousand records has some 300 KiB.
const BUFFER_BYTES: usize = 1 << 20;
/// After so long without progress a workload fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// What a connection has received.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Input<'a> {
    /// A text message.
    Text(&'a [u8]),
    /// An answer over HTTP: head and body.
    Response { head: &'a [u8], body: &'a [u8] },
    /// The server closed the connection.
    Closed,
}

/// A workload's side of the connections.
pub(crate) trait Client {
    fn on_input(&mut self, generator: &mut Generator, connection: usize, input: Input<'_>) -> Result<()>;
}

/// Nobody, who has no connections or does not care what comes in.
impl Client for () {
    fn on_input(&mut self, _: &mut Generator, _: usize, _: Input<'_>) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The answer to the upgrade is awaited.
    Upgrading,
    WebSocket,
    Http,
}

struct Connection {
    pipe: Pipe,
    phase: Phase,
}

pub(crate) struct Generator {
    poller: Poller,
    ready: Vec<Ready>,
    buffer: Vec<u8>,
    /// By number; none once it is closed.
    connections: Vec<Option<Connection>>,
    received: u64,
}

/// A whole message at the beginning of a buffer: where it lies, and where it ends.
struct Message {
    content: Content,
    end: usize,
}

enum Content {
    Upgraded,
    Frame(Frame),
    Response { body: Range<usize> },
}

impl Generator {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            poller: Poller::new()?,
            ready: Vec::new(),
            buffer: vec![0; BUFFER_BYTES],
            connections: Vec::new(),
            received: 0,
        })
    }

    /// The bytes that all connections have received.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Opens a WebSocket with this request. The number of the connection, which counts up from 0.
    pub(crate) fn open(&mut self, address: SocketAddr, request: &[u8]) -> Result<usize> {
        let number = self.connect(address, Phase::Upgrading)?;
        self.write(number, request)?;
        Ok(number)
    }

    /// Connects for requests over HTTP.
    pub(crate) fn open_http(&mut self, address: SocketAddr) -> Result<usize> {
        self.connect(address, Phase::Http)
    }

    fn connect(&mut self, address: SocketAddr, phase: Phase) -> Result<usize> {
        let number = self.connections.len();
        // Over loopback this takes a few microseconds, unless the listener's queue is full.
        let stream = TcpStream::connect(address).context("can't connect")?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let pipe = Pipe::new(stream, &self.poller, number)?;
        self.connections.push(Some(Connection { pipe, phase }));
        Ok(number)
    }

    /// Sends a text message.
    pub(crate) fn send(&mut self, connection: usize, text: &str) -> Result<()> {
        let mut bytes = Vec::with_capacity(text.len() + 14);
        frame::encode_masked(frame::TEXT, text.as_bytes(), &mut bytes);
        self.write(connection, &bytes)
    }

    /// Signs out: closes with 1000, which ends the session at once.
    pub(crate) fn close(&mut self, connection: usize) -> Result<()> {
        let mut bytes = Vec::new();
        frame::encode_masked(frame::CLOSE, &1000_u16.to_be_bytes(), &mut bytes);
        self.write(connection, &bytes)
    }

    /// Sends bytes as they are.
    pub(crate) fn write(&mut self, connection: usize, bytes: &[u8]) -> Result<()> {
        if let Some(Some(open)) = self.connections.get_mut(connection) {
            open.pipe.write(bytes, &self.poller, connection)?;
        }
        Ok(())
    }

    /// Handles what comes in until the condition holds.
    ///
    /// # Errors
    /// It does not hold after [`DEADLINE`], or the client fails.
    pub(crate) fn run<C: Client>(&mut self, client: &mut C, mut is_done: impl FnMut(&mut C) -> bool) -> Result<()> {
        let started = Stopwatch::start();
        while !is_done(client) {
            let left = DEADLINE.checked_sub(started.elapsed());
            let left = left.context("the server has not answered in time")?;
            self.poll(client, left)?;
        }
        Ok(())
    }

    /// Handles what comes in for so long.
    pub(crate) fn run_for(&mut self, client: &mut impl Client, period: Duration) -> Result<()> {
        let started = Stopwatch::start();
        while let Some(left) = period.checked_sub(started.elapsed()) {
            self.poll(client, left)?;
        }
        Ok(())
    }

    /// Waits for so long at most, and handles what has come in.
    pub(crate) fn poll(&mut self, client: &mut impl Client, limit: Duration) -> Result<()> {
        let mut ready = std::mem::take(&mut self.ready);
        self.poller.wait(Some(limit), &mut ready)?;
        for ready in ready.drain(..) {
            if ready.is_writable
                && let Some(open) = &mut self.connections[ready.number]
            {
                open.pipe.flush(&self.poller, ready.number)?;
            }
            if ready.is_readable {
                let mut buffer = std::mem::take(&mut self.buffer);
                let handled = self.read(&mut buffer, ready.number, client);
                self.buffer = buffer;
                handled?;
            }
        }
        self.ready = ready;
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], number: usize, client: &mut impl Client) -> Result<()> {
        let Some(open) = &mut self.connections[number] else {
            return Ok(());
        };
        let held = open.pipe.held();
        let Some(filled) = open.pipe.read(buffer)? else {
            self.connections[number] = None;
            return client.on_input(self, number, Input::Closed);
        };
        self.received += (filled - held) as u64;
        let mut at = 0;
        while let Some(open) = &mut self.connections[number] {
            let text = &buffer[at..filled];
            let Some(message) = open.phase.message(text)? else {
                open.pipe.keep(text);
                return Ok(());
            };
            at += message.end;
            self.handle(&message.content, &text[..message.end], number, client)?;
        }
        Ok(())
    }

    fn handle(&mut self, content: &Content, text: &[u8], number: usize, client: &mut impl Client) -> Result<()> {
        match content {
            Content::Upgraded => Ok(()),
            Content::Response { body } => {
                let (head, body) = (&text[..body.start], &text[body.clone()]);
                client.on_input(self, number, Input::Response { head, body })
            }
            Content::Frame(frame) => match frame.opcode {
                frame::TEXT => client.on_input(self, number, Input::Text(&text[frame.payload.clone()])),
                frame::PING => {
                    let mut pong = Vec::new();
                    frame::encode_masked(frame::PONG, &text[frame.payload.clone()], &mut pong);
                    self.write(number, &pong)
                }
                // The end of the stream follows.
                _ => Ok(()),
            },
        }
    }
}

impl Phase {
    /// The message that a text begins with; none while it is not whole.
    fn message(&mut self, text: &[u8]) -> Result<Option<Message>> {
        if *self == Self::WebSocket {
            return Ok(Frame::parse(text).map(|frame| Message {
                end: frame.payload.end,
                content: Content::Frame(frame),
            }));
        }
        let Some(head) = memmem::find(text, b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = head + 4;
        let length = content_length(&text[..head])?;
        let body = head..head + length;
        if body.end > text.len() {
            return Ok(None);
        }
        let mut message = Message {
            end: body.end,
            content: Content::Response { body },
        };
        if *self == Self::Upgrading {
            if !text.starts_with(b"HTTP/1.1 101 ") {
                bail!(
                    "a handshake was rejected: {}",
                    String::from_utf8_lossy(&text[..message.end])
                );
            }
            *self = Self::WebSocket;
            message.content = Content::Upgraded;
        }
        Ok(Some(message))
    }
}

/// The length of the body that a head declares; 0 if it declares none.
fn content_length(head: &[u8]) -> io::Result<usize> {
    const NAME: &[u8] = b"\r\ncontent-length: ";
    let Some(at) = memmem::find(head, NAME) else {
        return Ok(0);
    };
    let digits = head[at + NAME.len()..]
        .iter()
        .take_while(|digit| digit.is_ascii_digit());
    Ok(digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(phase: &mut Phase, text: &[u8]) -> Option<Message> {
        phase.message(text).unwrap()
    }

    #[test]
    fn an_upgrade_makes_a_websocket_and_a_rejection_is_an_error() {
        let upgraded = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n\x81\x02hi";
        let mut phase = Phase::Upgrading;
        assert!(message(&mut phase, &upgraded[..20]).is_none());
        let head = message(&mut phase, upgraded).unwrap().end;
        assert_eq!((phase, head), (Phase::WebSocket, upgraded.len() - 4));
        assert!(message(&mut phase, &upgraded[head..head + 3]).is_none());
        assert_eq!(message(&mut phase, &upgraded[head..]).unwrap().end, 4);
        let rejected = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\n{}";
        assert!(Phase::Upgrading.message(rejected).is_err());
    }

    #[test]
    fn an_answer_is_whole_with_as_many_bytes_as_it_declares() {
        let text = b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\ndate: now\r\n\r\n{\"a\":\"bcde\"}HTTP/1.1 200 OK";
        let end = text.len() - 15;
        assert!(message(&mut Phase::Http, &text[..end - 1]).is_none());
        let answer = message(&mut Phase::Http, text).unwrap();
        assert_eq!(answer.end, end);
        assert!(matches!(answer.content, Content::Response { body } if text[body.clone()] == *b"{\"a\":\"bcde\"}"));
        let empty = b"HTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(message(&mut Phase::Http, empty).unwrap().end, empty.len());
    }
}
