//! One WebSocket connection as everyone but its own task sees it: who it is, what is still to be sent, and the close_reason
//! if it must go. The only place that writes to a client's socket.
//!
//! Whoever has something to send writes it straight to the socket if that is free; what the socket does not take is
//! kept, and the connection's task writes it when there is room. Nobody waits, and no task is woken for a delivery.

pub(crate) mod close_reason;
pub(crate) mod drain;
pub(crate) mod frame;
pub(crate) mod keepalive;
pub(crate) mod outbox;
pub(crate) mod ready;

use std::io;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashSet;
use parking_lot::Mutex;
use presence::wire::record::Viewer;
use presence::{Mono, SessionId, UserId};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use self::close_reason::CloseReason;
use self::drain::Drain;
use self::frame::Opcode;
use self::keepalive::{Keepalive, KeepaliveOptions};
use self::outbox::{Outbox, UserRef};
use self::ready::Ready;
use crate::clock::Clock;

/// Arms the timing wheel for a connection.
pub(crate) type Arm = dyn Fn(&Arc<Connection>, Mono) + Send + Sync;

/// What all connections share.
pub(crate) struct Shared {
    /// Tells since when a socket is stuck.
    pub(crate) clock: Arc<Clock>,
    /// Where a connection goes that is still to be sent something.
    pub(crate) ready: Arc<Ready>,
    /// Arms the timing wheel for a connection, at the latest for then.
    pub(crate) arm: Box<Arm>,
    /// When connections are pinged and given up.
    pub(crate) keepalive_options: KeepaliveOptions,
    /// Tells every connection's task at once that the daemon goes down.
    pub(crate) drain: Drain,
}

/// One connection.
pub(crate) struct Connection {
    id: SessionId,
    name: Box<str>,
    user: Option<UserId>,
    socket: TcpStream,
    outbox: Mutex<Outbox>,
    /// Whom it watches. Changed by its own task alone.
    pub(crate) watching: Mutex<HashSet<UserRef>>,
    /// The entry of its user.
    pub(crate) entry: OnceLock<UserRef>,
    /// For which deadline the wheel is armed, in milliseconds; an entry of the wheel for another one is stale.
    pub(crate) armed: AtomicU64,
    /// Pings and deadlines.
    pub(super) keepalive: Mutex<Keepalive>,
    close_reason: OnceLock<CloseReason>,
    /// Wakes the connection's task: the socket is full, the backlog is gone, or a close_reason was passed.
    wake: Notify,
    shared: Arc<Shared>,
}

impl Connection {
    /// Takes the socket over. `name` is the public session id.
    pub(crate) fn new(
        socket: TcpStream,
        (id, name): (SessionId, Box<str>),
        user: Option<UserId>,
        shared: Arc<Shared>,
    ) -> Arc<Self> {
        let now = shared.clock.mono();
        Arc::new(Self {
            id,
            name,
            user,
            socket,
            outbox: Mutex::default(),
            watching: Mutex::default(),
            entry: OnceLock::new(),
            armed: AtomicU64::new(u64::MAX),
            keepalive: Mutex::new(Keepalive::new(now, None)),
            close_reason: OnceLock::new(),
            wake: Notify::new(),
            shared,
        })
    }

    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    /// The public session id.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whose connection it is; none for an observer.
    pub(crate) fn user(&self) -> Option<&UserId> {
        self.user.as_ref()
    }

    /// How much it may see of a user.
    pub(crate) fn viewer_of(&self, user: &UserId) -> Viewer {
        match &self.user {
            None => Viewer::Internal,
            Some(own) if own == user => Viewer::Own,
            Some(_) => Viewer::Public,
        }
    }

    /// The socket, for reading, peeking and `readable()`. Never write to it.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// What it is still to be sent. Taken after a shard's lock, never before one.
    pub(crate) fn outbox(&self) -> &Mutex<Outbox> {
        &self.outbox
    }

    /// Queues one text frame and writes as far as the socket takes it. The first one is the greeting: nothing else goes
    /// out before it.
    pub(crate) fn push_text(self: &Arc<Self>, payload: &str) {
        let frame = frame::encode(Opcode::Text, payload.as_bytes());
        let mut outbox = self.outbox.lock();
        // In one step with its place in line: a change that came in between would go out before it.
        outbox.is_greeted = true;
        self.send_in(outbox, &frame);
    }

    /// Queues a frame of another kind (a control frame's payload is at most 125 bytes).
    pub(crate) fn push_frame(self: &Arc<Self>, opcode: Opcode, payload: &[u8]) {
        self.send(&frame::encode(opcode, payload));
    }

    /// Queues the close frame, the last frame ever: everything pushed or pending later is dropped.
    pub(crate) fn push_close(self: &Arc<Self>, code: Option<u16>, reason: &str) {
        let bytes = frame::close(code, reason);
        let mut outbox = self.outbox.lock();
        if outbox.is_closing {
            return;
        }
        outbox.is_closing = true;
        outbox.unsent.extend_from_slice(&bytes);
        if !outbox.is_writing {
            self.write_unsent(outbox);
        }
    }

    /// Sends a finished frame, after what waits already.
    pub(crate) fn send(self: &Arc<Self>, frame: &[u8]) {
        self.send_in(self.outbox.lock(), frame);
    }

    fn send_in(self: &Arc<Self>, mut outbox: parking_lot::MutexGuard<'_, Outbox>, frame: &[u8]) {
        if outbox.is_closing {
            return;
        }
        if outbox.is_writing || !outbox.unsent.is_empty() {
            outbox.unsent.extend_from_slice(frame);
            return;
        }
        outbox.is_writing = true;
        drop(outbox);
        let written = self.write(frame);
        let mut outbox = self.outbox.lock();
        outbox.is_writing = false;
        match written {
            Ok(count) if count == frame.len() => {}
            Ok(count) => {
                let rest = frame.get(count..).unwrap_or_default();
                outbox.unsent.splice(0..0, rest.iter().copied());
            }
            Err(_) => return self.give_up(outbox),
        }
        self.write_unsent(outbox);
    }

    /// Whether so much waits to be sent that nothing more should be read. The task that asks is woken when it is gone.
    pub(crate) fn is_backlogged(&self) -> bool {
        let mut outbox = self.outbox.lock();
        outbox.is_held = outbox.is_backlogged();
        outbox.is_held
    }

    /// Some of what waited has been taken: the task goes on reading if it had stopped and may.
    pub(crate) fn release(&self) {
        if self.outbox.lock().release() {
            self.wake.notify_one();
        }
    }

    /// Whether everything queued has been handed to the kernel.
    pub(crate) fn is_flushed(&self) -> bool {
        let outbox = self.outbox.lock();
        outbox.unsent.is_empty() && !outbox.is_writing
    }

    /// Since when unsent data lies without any progress of a write; none while nothing lies unsent.
    pub(crate) fn stuck_since(&self) -> Option<Mono> {
        self.outbox.lock().stuck_since
    }

    /// The connection's task calls this in its select loop, always: it waits until the socket that was full takes data
    /// again, and writes what waits; it also returns when a close_reason was passed or the backlog is gone. Cancel safe.
    pub(crate) async fn attend(self: &Arc<Self>) {
        // Made before the look at the flag, so that a drain which begins in between is not missed.
        let drain = self.shared.drain.begins();
        if self.shared.drain.has_begun() && self.close_reason().is_none() {
            return self.close_with(CloseReason::Draining {
                retry_after: self.shared.drain.delay_of(self.id),
            });
        }
        let is_stuck = self.stuck_since().is_some();
        tokio::select! {
            _ = self.socket.writable(), if is_stuck => self.flush(),
            () = self.wake.notified() => {}
            () = drain => {}
        }
    }

    /// Passes a close_reason, if there is none yet, and wakes the task. The task says goodbye and closes.
    pub(crate) fn close_with(&self, close_reason: CloseReason) {
        if self.close_reason.set(close_reason).is_ok() {
            self.wake.notify_one();
        }
    }

    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        self.close_reason.get().copied()
    }

    /// Begins to watch over it: pings, and the end of its token.
    pub(crate) fn watch_over(self: &Arc<Self>, now: Mono, expires: Option<Mono>) {
        *self.keepalive.lock() = Keepalive::new(now, expires);
        let next = now.after(self.shared.keepalive_options.ping_interval);
        self.arm(expires.map_or(next, |at| at.min(next)));
    }

    /// Bytes arrived; a message is unfinished since `opened`, if one is.
    pub(crate) fn hear(self: &Arc<Self>, now: Mono, opened: Option<Mono>) {
        self.keepalive.lock().on_received(now, opened);
        if let Some(since) = opened {
            self.arm(since.after(self.shared.keepalive_options.message_timeout));
        }
    }

    /// When connections are pinged and given up.
    pub(super) fn keepalive_options(&self) -> &KeepaliveOptions {
        &self.shared.keepalive_options
    }

    /// Whether bytes lie in the socket that nobody has read.
    pub(super) fn has_unread(&self) -> bool {
        let mut byte = [std::mem::MaybeUninit::uninit()];
        // Zero bytes are the peer's end, which the reader will see as well.
        socket2::SockRef::from(&self.socket).peek(&mut byte).is_ok()
    }

    /// Arms the timing wheel, unless it is armed for an earlier moment already.
    pub(crate) fn arm(self: &Arc<Self>, at: Mono) {
        if self.armed.fetch_min(at.as_millis(), Ordering::SeqCst) > at.as_millis() {
            (self.shared.arm)(self, at);
        }
    }

    /// Writes what waits, as far as the socket takes it.
    fn flush(self: &Arc<Self>) {
        let outbox = self.outbox.lock();
        if !outbox.is_writing {
            self.write_unsent(outbox);
        }
    }

    /// Writes what waits until there is nothing more or the socket is full. Nobody else is writing.
    fn write_unsent(self: &Arc<Self>, mut outbox: parking_lot::MutexGuard<'_, Outbox>) {
        while !outbox.unsent.is_empty() {
            outbox.is_writing = true;
            let mut bytes = std::mem::take(&mut outbox.unsent);
            let written = parking_lot::MutexGuard::unlocked(&mut outbox, || self.write(&bytes));
            outbox.is_writing = false;
            let Ok(count) = written else {
                return self.give_up(outbox);
            };
            if count == bytes.len() {
                outbox.stuck_since = None;
                continue;
            }
            bytes.drain(..count);
            bytes.append(&mut outbox.unsent);
            outbox.unsent = bytes;
            return self.wait_for_room(outbox, count > 0);
        }
        outbox.stuck_since = None;
        let (is_due, is_released) = (outbox.enqueue(), outbox.release());
        drop(outbox);
        if is_due {
            self.shared.ready.push(Arc::clone(self));
        }
        if is_released {
            self.wake.notify_one();
        }
    }

    fn wait_for_room(self: &Arc<Self>, mut outbox: parking_lot::MutexGuard<'_, Outbox>, has_progress: bool) {
        let now = self.shared.clock.mono();
        if has_progress || outbox.stuck_since.is_none() {
            outbox.stuck_since = Some(now);
        }
        drop(outbox);
        self.arm(now.after(self.shared.keepalive_options.write_timeout));
        self.wake.notify_one();
    }

    /// The socket is broken: the reader will see it too and end the session.
    fn give_up(&self, mut outbox: parking_lot::MutexGuard<'_, Outbox>) {
        outbox.is_closing = true;
        outbox.unsent = Vec::new();
        outbox.stuck_since = None;
        drop(outbox);
        self.wake.notify_one();
    }

    /// Writes until all is gone or the socket is full. How many bytes it took.
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut count = 0;
        while let Some(rest) = bytes.get(count..).filter(|rest| !rest.is_empty()) {
            match self.socket.try_write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(more) => count += more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }
}
