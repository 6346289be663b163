//! The codec's view of the socket: it reads through the tap, which counts bytes and messages on the way, and it never
//! writes: what tungstenite wants to send by itself (a pong, the echo of a close) is made by the session from what it
//! reads, through the connection's outbox.
//!
//! The tap outlives the codec, which is there only while something is being read.

use std::io::{self, Read, Write};
use std::sync::Arc;

use presence::{Mono, TokenBucket};

use super::tracker::Tracker;
use crate::clock::Clock;
use crate::config::limits::Limits;
use crate::connection::Connection;
use crate::connection::close_reason::Abuse;

/// Most bytes of one turn: fragments without end make no message at which a turn could end.
const TURN_MAX_BYTES: usize = 64 * 1024;

/// The socket, metered.
pub(super) struct Tap {
    conn: Arc<Connection>,
    clock: Arc<Clock>,
    limits: Arc<Limits>,
    bytes: TokenBucket,
    messages: TokenBucket,
    tracker: Tracker,
    /// What came with the handshake and was not read yet.
    early: Vec<u8>,
    /// What may still be read in this turn, in bytes.
    left_in_turn: usize,
    /// Since when a message is unfinished.
    opened: Option<Mono>,
    /// Which limit was passed; nothing is read after that.
    exceeded: Option<Abuse>,
    /// Bytes arrived since the session last asked.
    has_heard: bool,
}

impl Tap {
    /// `early` are bytes that came with the handshake.
    pub(super) fn new(conn: Arc<Connection>, early: Vec<u8>, clock: Arc<Clock>, limits: Arc<Limits>) -> Self {
        Self {
            conn,
            clock,
            limits,
            bytes: TokenBucket::default(),
            messages: TokenBucket::default(),
            tracker: Tracker::default(),
            early,
            left_in_turn: TURN_MAX_BYTES,
            opened: None,
            exceeded: None,
            has_heard: false,
        }
    }

    /// Which limit was passed, if one was.
    pub(super) const fn exceeded(&self) -> Option<Abuse> {
        self.exceeded
    }

    /// Since when a message is unfinished, if bytes arrived since the last call.
    pub(super) fn take_heard(&mut self) -> Option<Option<Mono>> {
        std::mem::take(&mut self.has_heard).then_some(self.opened)
    }

    /// A new turn begins.
    pub(super) const fn begin_turn(&mut self) {
        self.left_in_turn = TURN_MAX_BYTES;
    }

    /// Whether reading stopped because the turn was over, not because nothing was there.
    pub(super) const fn is_turn_over(&self) -> bool {
        self.left_in_turn == 0
    }

    /// Nothing was read for a while, for reasons that are not the client's: the time of an unfinished message begins anew.
    pub(super) fn resume(&mut self) {
        let now = self.clock.mono();
        self.opened = self.opened.map(|_| now);
    }

    /// Whether a message has begun and is not finished.
    pub(super) const fn is_open(&self) -> bool {
        self.opened.is_some()
    }

    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.early.is_empty() {
            return self.conn.socket().try_read(buffer);
        }
        let count = self.early.len().min(buffer.len());
        for (place, byte) in buffer.iter_mut().zip(self.early.drain(..count)) {
            *place = byte;
        }
        if self.early.is_empty() {
            self.early = Vec::new();
        }
        Ok(count)
    }

    /// Counts bytes that arrived.
    fn meter(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let now = self.clock.mono();
        self.has_heard = true;
        let seen = self.tracker.feed(bytes);
        self.opened = match (seen.is_open, seen.was_closed) {
            (false, _) => None,
            (true, true) => Some(now),
            (true, false) => self.opened.or(Some(now)),
        };
        if self.bytes.take(self.limits.bytes, now, bytes.len() as u64).is_err() {
            return self.exceed(Abuse::Bytes);
        }
        if seen.begun > 0 && self.messages.take(self.limits.messages, now, seen.begun).is_err() {
            return self.exceed(Abuse::Messages);
        }
        Ok(())
    }

    fn exceed(&mut self, limit: Abuse) -> io::Result<()> {
        self.exceeded = Some(limit);
        Err(io::Error::other(limit.text()))
    }
}

impl Read for Tap {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left_in_turn == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let room = buffer.len().min(self.left_in_turn);
        let count = self.fill(buffer.get_mut(..room).unwrap_or_default())?;
        self.left_in_turn -= count;
        self.meter(buffer.get(..count).unwrap_or_default())?;
        Ok(count)
    }
}

impl Write for Tap {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
