//! The codec's view of the socket: every read counts bytes and messages against the limits, and writes are discarded. What
//! tungstenite wants to send by itself (a pong, the echo of a close) is made by the session from what it reads, and goes
//! through the connection's outbox.
//!
//! The meter outlives the codec, which exists only while a message is being read.

use std::io::{self, Read, Write};

use presence::{Mono, TokenBucket};

use super::frame_scanner::FrameScanner;
use crate::clock::Clock;
use crate::connection::Connection;
use crate::exceeded_limit::Limit;
use crate::limits::Limits;

/// Most bytes read in one turn: fragments without end make no message at which a turn could end.
const TURN_MAX_BYTES: u32 = 64 * 1024;

/// Where a connection's bytes come from, and what limits them.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) conn: &'a Connection,
    pub(super) clock: &'a Clock,
    pub(super) limits: &'a Limits,
}

/// What a connection's input has used of its limits, and where it is in a frame. All that is kept of it between messages, so
/// it is small.
pub(super) struct Meter {
    bytes: TokenBucket,
    messages: TokenBucket,
    scanner: FrameScanner,
    /// Bytes that came with the handshake and are not read yet: hardly ever any.
    early: Option<Box<EarlyBytes>>,
    /// Since when a message is unfinished, if one is.
    opened: Option<Mono>,
    /// Bytes that may still be read in this turn.
    left_in_turn: u32,
    /// The limit that was exceeded; nothing is read after that.
    exceeded: Option<Limit>,
    /// Bytes arrived since the last [`Self::take_received`].
    has_received: bool,
}

struct EarlyBytes {
    bytes: Vec<u8>,
    read: usize,
}

/// The socket with its rate limits, as the codec sees it.
pub(super) struct MeteredReader<'a> {
    pub(super) meter: &'a mut Meter,
    pub(super) source: Source<'a>,
}

impl Meter {
    /// `early` are bytes that came with the handshake.
    pub(super) fn new(early: Vec<u8>) -> Self {
        Self {
            bytes: TokenBucket::default(),
            messages: TokenBucket::default(),
            scanner: FrameScanner::default(),
            early: (!early.is_empty()).then(|| Box::new(EarlyBytes { bytes: early, read: 0 })),
            opened: None,
            left_in_turn: TURN_MAX_BYTES,
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

    /// What was counted so far does not count any more.
    pub(super) fn count_anew(&mut self) {
        (self.bytes, self.messages) = Default::default();
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
    pub(super) fn resume(&mut self, now: Mono) {
        self.opened = self.opened.map(|_| now);
    }

    /// Whether a message has begun and is not finished.
    pub(super) const fn is_open(&self) -> bool {
        self.opened.is_some()
    }

    fn fill(&mut self, buffer: &mut [u8], source: Source<'_>) -> io::Result<usize> {
        let Some(early) = &mut self.early else {
            return source.conn.socket().try_read(buffer);
        };
        let mut left = early.bytes.get(early.read..).unwrap_or_default();
        let count = left.read(buffer)?;
        let is_all = left.is_empty();
        early.read += count;
        if is_all {
            self.early = None;
        }
        Ok(count)
    }

    /// Counts bytes that arrived against the limits.
    fn meter(&mut self, bytes: &[u8], source: Source<'_>) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let (limits, now) = (source.limits, source.clock.mono());
        self.has_received = true;
        let scanned = self.scanner.feed(bytes);
        self.opened = match (scanned.is_open, scanned.was_closed) {
            (false, _) => None,
            (true, true) => Some(now),
            (true, false) => self.opened.or(Some(now)),
        };
        if self.bytes.take(limits.bytes, now, bytes.len() as u64).is_err() {
            return self.exceed(Limit::Bytes);
        }
        if scanned.begun > 0 && self.messages.take(limits.messages, now, scanned.begun).is_err() {
            return self.exceed(Limit::Messages);
        }
        Ok(())
    }

    fn exceed(&mut self, limit: Limit) -> io::Result<()> {
        self.exceeded = Some(limit);
        Err(io::Error::other(limit.text()))
    }
}

impl Read for MeteredReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.meter.left_in_turn).unwrap_or(usize::MAX);
        if left == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let room = buffer.len().min(left);
        let count = self
            .meter
            .fill(buffer.get_mut(..room).unwrap_or_default(), self.source)?;
        self.meter.left_in_turn = u32::try_from(left - count).unwrap_or_default();
        self.meter.meter(buffer.get(..count).unwrap_or_default(), self.source)?;
        Ok(count)
    }
}

impl Write for MeteredReader<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
