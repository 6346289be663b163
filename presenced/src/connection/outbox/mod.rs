//! What one connection is still to be sent. Not a queue of messages: bytes that wait for the socket, snapshots that are
//! made as it drains, and the *set* of watched users that changed, whose newest record is read when it is sent.
//!
//! Pure bookkeeping behind the connection's lock; it knows no socket and encodes nothing. A thread that writes to the
//! socket holds the right to write ([`WriteState::Writing`]), not the lock.

mod backlog;
mod delivery_turn;
mod dirty_users;
#[cfg(test)]
mod test_access;
#[cfg(test)]
mod tests;

use presence::Mono;

use self::backlog::Backlog;
pub(crate) use self::delivery_turn::{DeliveryResult, DeliveryTurn, Rest, Snapshot};
use self::dirty_users::DirtyUsers;
use super::user_pin::{UserPin, UserRef};

/// Replies that may wait, in bytes, before nothing more is read from the connection: four of the longest frames.
pub(crate) const BACKLOG_MAX_BYTES: usize = 256 * 1024;
/// Snapshots that may wait before nothing more is read from the connection.
pub(crate) const SNAPSHOTS_WAITING_MAX: usize = 4;

/// How far a connection's life has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    /// The greeting has not been sent; nothing may precede it.
    #[default]
    Greeting,
    /// Frames are taken and changes are delivered.
    Open,
    /// The socket is broken: nothing more is sent. The session has not ended yet.
    Broken,
    /// The session has ended: no change is delivered any more, replies and the close frame still are.
    Ended,
    /// The session has ended, and the close frame was the last frame (or the socket is broken).
    Closed,
}

/// Who writes to the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum WriteState {
    /// No thread, and nothing is unsent but what is held for the first frame.
    #[default]
    Idle,
    /// A thread, outside the lock; others only append to the backlog.
    Writing {
        /// When the socket stopped taking bytes, if this continues what it did not take.
        blocked_since: Option<Mono>,
    },
    /// The socket is full; the connection's task continues when it has room.
    Blocked {
        /// Since when a write has made no progress.
        since: Mono,
    },
}

/// Whether the connection's task reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum ReadState {
    #[default]
    Running,
    /// Until the backlog is sent.
    Paused,
}

/// What to do with a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Accepted {
    /// Write it: the right to write is the caller's until it calls [`Outbox::written`] or [`Outbox::break_off`].
    WriteNow,
    /// Write this, which ends with it; the same right.
    WriteAll(Vec<u8>),
    /// It was appended to what waits.
    Waits,
    /// Nothing is sent any more.
    Dropped,
}

/// What follows a write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AfterWrite {
    /// This was appended meanwhile: write it.
    Write(Vec<u8>),
    /// The socket is full.
    Blocked,
    /// The socket is broken.
    Broken,
    /// Everything was sent.
    Done(Wakeups),
}

/// Who must be woken after the outbox changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Wakeups {
    /// The connection belongs into the ready queue, and counts as queued.
    pub(super) delivery: bool,
    /// The connection's task had stopped reading and may go on.
    pub(super) reader: bool,
}

/// Whether a user became dirty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marked {
    /// Yes, and the connection belongs into the ready queue, where it counts as queued.
    Queue,
    /// Yes; the connection is queued when the socket is free.
    Later,
    /// The user was dirty already: two changes leave as one.
    Conflated,
    /// The session has ended, or the socket is broken: nothing is delivered any more.
    Gone,
}

/// What one connection is still to be sent.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    phase: Phase,
    writer: WriteState,
    reading: ReadState,
    /// The connection is in the ready queue.
    is_queued: bool,
    /// Frames that wait for the socket, and snapshots in line.
    backlog: Backlog,
    /// Watches whose snapshots are not in line yet. No event overtakes them: its cursor would claim users that were
    /// never sent. Few: the messages of a connection are handled one after the other.
    preparing: u16,
    dirty: DirtyUsers,
    /// Whether the node may be out of date, and whether the client was told so.
    is_stale: bool,
    is_told_stale: bool,
    /// The last point of the node's changes up to which everything was sent; 0: none yet.
    complete_to: u64,
    /// Bytes that the socket took, in all.
    written_bytes: u64,
}

impl Outbox {
    /// A user that the connection watches changed; `number` is the change's.
    pub(crate) fn mark_dirty(&mut self, pin: impl FnOnce() -> UserPin, user: UserRef, number: u64) -> Marked {
        if !matches!(self.phase, Phase::Greeting | Phase::Open) {
            return Marked::Gone;
        }
        if self.dirty.mark(pin, user, number) {
            return Marked::Conflated;
        }
        if self.enqueue() { Marked::Queue } else { Marked::Later }
    }

    /// The connection watches the user no more: its change need not be sent.
    pub(crate) fn unmark(&mut self, user: UserRef) {
        self.dirty.remove(user);
    }

    /// The node may be out of date, or is right again. Whether the connection belongs into the ready queue.
    pub(super) fn set_stale(&mut self, is_stale: bool) -> bool {
        self.is_stale = is_stale;
        self.enqueue()
    }

    /// A watch begins: its snapshot will be put in line.
    pub(crate) fn begin_preparing(&mut self) {
        self.preparing += 1;
    }

    /// The watch is over. Whether the connection belongs into the ready queue.
    pub(crate) fn finish_preparing(&mut self, snapshot: Option<Snapshot>) -> bool {
        self.preparing -= 1;
        if let Some(snapshot) = snapshot
            && matches!(self.phase, Phase::Greeting | Phase::Open)
        {
            self.backlog.push_snapshot(snapshot);
        }
        self.enqueue()
    }

    /// The delivery's turn, unless nothing can be sent now.
    pub(crate) fn begin_turn(&mut self) -> Option<DeliveryTurn> {
        self.is_queued = false;
        if self.phase != Phase::Open || self.writer != WriteState::Idle || !self.has_something_to_deliver() {
            return None;
        }
        self.writer = WriteState::Writing { blocked_since: None };
        if self.is_told_stale != self.is_stale {
            self.is_told_stale = self.is_stale;
            return Some(DeliveryTurn::of_staleness(self.is_stale, self.complete_to));
        }
        let snapshot = self.backlog.pop_snapshot();
        Some(DeliveryTurn {
            stale: None,
            snapshot,
            dirty: std::mem::take(&mut self.dirty),
            complete_to: self.complete_to,
            has_more_snapshots: self.backlog.snapshots() > 0 || self.preparing > 0,
        })
    }

    /// Puts back what the turn did not send. `told` are the users that its frame tells, each with the number of the change
    /// up to which it does. How many changes came while the turn went on and were told by it already. The right to write
    /// stays with the caller.
    pub(crate) fn finish_turn(&mut self, result: DeliveryResult, told: &[(UserRef, u64)]) -> u64 {
        if self.phase != Phase::Open {
            return 0;
        }
        self.complete_to = result.complete_to;
        if let Some(snapshot) = result.snapshot {
            self.backlog.put_back_snapshot(snapshot);
        }
        let conflated = self.dirty.drop_told(told);
        self.dirty.put_back_all(result.left);
        // An idle connection holds no memory for changes.
        self.dirty.give_back();
        conflated
    }

    /// Takes bytes that are sent with the first frame, and before it. Nothing has been sent yet.
    pub(super) fn hold(&mut self, bytes: Vec<u8>) {
        self.backlog.begin_with(bytes);
    }

    /// Takes a frame to be sent after everything that waits.
    pub(super) fn accept(&mut self, frame: &[u8]) -> Accepted {
        if matches!(self.phase, Phase::Broken | Phase::Closed) {
            return Accepted::Dropped;
        }
        if self.writer == WriteState::Idle {
            self.writer = WriteState::Writing { blocked_since: None };
            if self.backlog.unsent_bytes() == 0 {
                return Accepted::WriteNow;
            }
            self.backlog.append(frame);
            return Accepted::WriteAll(self.backlog.take_unsent());
        }
        self.backlog.append(frame);
        Accepted::Waits
    }

    /// Takes the greeting, in one step with opening the outbox: a change that came in between would precede it.
    pub(super) fn accept_greeting(&mut self, frame: &[u8]) -> Accepted {
        if self.phase == Phase::Greeting {
            self.phase = Phase::Open;
        }
        self.accept(frame)
    }

    /// Takes the close frame, the last frame ever.
    pub(super) fn accept_close(&mut self, frame: &[u8]) -> Accepted {
        let accepted = self.accept(frame);
        self.refuse_frames();
        accepted
    }

    /// The right to write what the socket did not take, with these bytes, if they wait for the socket alone.
    pub(super) fn resume_writing(&mut self) -> Option<Vec<u8>> {
        let WriteState::Blocked { since } = self.writer else {
            return None;
        };
        self.writer = WriteState::Writing {
            blocked_since: Some(since),
        };
        Some(self.backlog.take_unsent())
    }

    /// The socket took `count` of these bytes.
    pub(super) fn written(&mut self, bytes: &[u8], count: usize, now: impl FnOnce() -> Mono) -> AfterWrite {
        self.written_bytes += count as u64;
        let rest = bytes.get(count..).unwrap_or_default();
        if !rest.is_empty() {
            let before = match self.writer {
                WriteState::Writing { blocked_since } if count == 0 => blocked_since,
                _ => None,
            };
            self.writer = WriteState::Blocked {
                since: before.unwrap_or_else(now),
            };
            self.backlog.put_back(rest);
            return AfterWrite::Blocked;
        }
        self.writer = WriteState::Writing { blocked_since: None };
        if self.backlog.unsent_bytes() > 0 {
            return AfterWrite::Write(self.backlog.take_unsent());
        }
        self.writer = WriteState::Idle;
        AfterWrite::Done(Wakeups {
            delivery: self.enqueue(),
            reader: self.resume_reading(),
        })
    }

    /// The socket is broken: nothing is sent any more.
    pub(super) fn break_off(&mut self) -> AfterWrite {
        self.refuse_frames();
        self.writer = WriteState::Idle;
        drop(self.backlog.take_unsent());
        AfterWrite::Broken
    }

    /// The session ended: what was still to be delivered is dropped. Whether it had not ended before.
    pub(crate) fn end(&mut self) -> bool {
        let (phase, is_first) = match self.phase {
            Phase::Greeting | Phase::Open => (Phase::Ended, true),
            Phase::Broken => (Phase::Closed, true),
            Phase::Ended | Phase::Closed => (self.phase, false),
        };
        self.phase = phase;
        self.backlog.drop_snapshots();
        self.dirty = DirtyUsers::default();
        is_first
    }

    /// Whether so much waits to be sent that nothing more should be read. If so, the task is woken when it is gone.
    pub(super) fn pause_reading(&mut self) -> bool {
        let is_backlogged = self.is_backlogged();
        self.reading = if is_backlogged {
            ReadState::Paused
        } else {
            ReadState::Running
        };
        is_backlogged
    }

    /// Whether everything was handed to the kernel.
    pub(crate) fn is_flushed(&self) -> bool {
        self.writer == WriteState::Idle && self.backlog.unsent_bytes() == 0
    }

    /// Bytes that the socket took, in all.
    pub(super) fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Since when a write has made no progress; none while nothing waits for the socket.
    pub(super) fn blocked_since(&self) -> Option<Mono> {
        match self.writer {
            WriteState::Idle => None,
            WriteState::Writing { blocked_since } => blocked_since,
            WriteState::Blocked { since } => Some(since),
        }
    }

    /// Whether there is something to deliver and the socket is free; if so it counts as queued from now on.
    fn enqueue(&mut self) -> bool {
        let is_free = !self.is_queued && self.writer == WriteState::Idle;
        let is_due = is_free && self.phase == Phase::Open && self.has_something_to_deliver();
        self.is_queued |= is_due;
        is_due
    }

    /// Whether a snapshot or an event could be sent now.
    fn has_something_to_deliver(&self) -> bool {
        self.is_told_stale != self.is_stale
            || self.backlog.snapshots() > 0
            || (self.preparing == 0 && !self.dirty.is_empty())
    }

    /// A connection whose socket is broken must be read to its end, by which the session's end is found.
    fn is_backlogged(&self) -> bool {
        !matches!(self.phase, Phase::Broken | Phase::Closed)
            && (self.backlog.unsent_bytes() > BACKLOG_MAX_BYTES || self.backlog.snapshots() >= SNAPSHOTS_WAITING_MAX)
    }

    /// Whether the connection's task must be woken, because it stopped reading and may go on.
    fn resume_reading(&mut self) -> bool {
        let is_resumed = self.reading == ReadState::Paused && !self.is_backlogged();
        if is_resumed {
            self.reading = ReadState::Running;
        }
        is_resumed
    }

    fn refuse_frames(&mut self) {
        self.phase = match self.phase {
            Phase::Greeting | Phase::Open | Phase::Broken => Phase::Broken,
            Phase::Ended | Phase::Closed => Phase::Closed,
        };
    }
}
