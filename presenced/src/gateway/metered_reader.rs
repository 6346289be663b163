//! The codec's view of the socket: every read counts bytes and messages against the limits, and writes are discarded. What
//! tungstenite wants to send by itself (a pong, the echo of a close) is made by the session from what it reads, and goes
//! through the connection's outbox.
//!
//! The metered reader outlives the codec, which exists only while a message is being read.

use std::io::{self, Read, Write};
use std::sync::Arc;

use presence::{Mono, TokenBucket};

use super::frame_scanner::FrameScanner;
use crate::clock::Clock;
use crate::config::limits::Limits;
use crate::connection::Connection;
use crate::exceeded_limit::Limit;

/// Most bytes read in one turn: fragments without end make no message at which a turn could end.
const TURN_MAX_BYTES: usize = 64 * 1024;

/// The socket with its rate limits.
pub(super) struct MeteredReader {
    conn: Arc<Connection>,
    clock: Arc<Clock>,
    limits: Arc<Limits>,
    bytes: TokenBucket,
    messages: TokenBucket,
    scanner: FrameScanner,
    /// Bytes that came with the handshake and are not read yet.
    early: Vec<u8>,
    /// Bytes that may still be read in this turn.
    left_in_turn: usize,
    /// Since when a message is unfinished, if one is.
    opened: Option<Mono>,
    /// The limit that was exceeded; nothing is read after that.
    exceeded: Option<Limit>,
    /// Bytes arrived since the last [`Self::take_received`].
    has_received: bool,
}

impl MeteredReader {
    /// `early` are bytes that came with the handshake.
    pub(super) fn new(conn: Arc<Connection>, early: Vec<u8>, clock: Arc<Clock>, limits: Arc<Limits>) -> Self {
        Self {
            conn,
            clock,
            limits,
            bytes: TokenBucket::default(),
            messages: TokenBucket::default(),
            scanner: FrameScanner::default(),
            early,
            left_in_turn: TURN_MAX_BYTES,
            opened: None,
            exceeded: None,
            has_received: false,
        }
    }

    /// The limit that was exceeded, if one was.
    pub(super) const fn exceeded(&self) -> Option<Limit> {
        self.exceeded
    }

    /// Since when a message is unfinished, if bytes arrived since the last call.
    pub(super) fn take_received(&mut self) -> Option<Option<Mono>> {
        std::mem::take(&mut self.has_received).then_some(self.opened)
    }

    /// Allows [`TURN_MAX_BYTES`] more.
    pub(super) const fn begin_turn(&mut self) {
        self.left_in_turn = TURN_MAX_BYTES;
    }

    /// Whether reading stopped because the turn is over, and not for lack of bytes.
    pub(super) const fn is_turn_over(&self) -> bool {
        self.left_in_turn == 0
    }

    /// Reading was paused by backpressure, which is not the client's fault: the time limit of an unfinished message starts
    /// again.
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
        for (target, byte) in buffer.iter_mut().zip(self.early.drain(..count)) {
            *target = byte;
        }
        if self.early.is_empty() {
            self.early = Vec::new();
        }
        Ok(count)
    }

    /// Counts bytes that arrived against the limits.
    fn meter(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let now = self.clock.mono();
        self.has_received = true;
        let scanned = self.scanner.feed(bytes);
        self.opened = match (scanned.is_open, scanned.was_closed) {
            (false, _) => None,
            (true, true) => Some(now),
            (true, false) => self.opened.or(Some(now)),
        };
        if self.bytes.take(self.limits.bytes, now, bytes.len() as u64).is_err() {
            return self.exceed(Limit::Bytes);
        }
        if scanned.begun > 0 && self.messages.take(self.limits.messages, now, scanned.begun).is_err() {
            return self.exceed(Limit::Messages);
        }
        Ok(())
    }

    fn exceed(&mut self, limit: Limit) -> io::Result<()> {
        self.exceeded = Some(limit);
        Err(io::Error::other(limit.text()))
    }
}

impl Read for MeteredReader {
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

impl Write for MeteredReader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
