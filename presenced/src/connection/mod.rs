//! One WebSocket connection, as shared between its task, the delivery and the timers: its user, what is still to be sent,
//! and the reason to close it, if there is one. No rule of presence lives here, and no record is encoded here: the engine's delivery does.

pub(crate) mod close_reason;
pub(crate) mod drain;
pub(crate) mod frame;
pub(crate) mod keepalive;
pub(crate) mod outbox;
pub(crate) mod ready;
mod send;
pub(crate) mod send_progress;
pub(crate) mod socket;
pub(crate) mod user_pin;
mod wakeup;
pub(crate) mod watch_list;

use std::future::poll_fn;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use parking_lot::Mutex;
use presence::wire::record::Viewer;
use presence::{Mono, Reading, SessionId, SessionName, SystemWall, UserId};

use self::close_reason::CloseReason;
use self::drain::Drain;
use self::keepalive::{Keepalive, KeepaliveOptions, PingOptions};
use self::outbox::Outbox;
use self::ready::Ready;
use self::send_progress::Outgoing;
use self::socket::Socket;
use self::user_pin::UserRef;
use self::wakeup::Wakeup;
use self::watch_list::WatchList;
use crate::clock::Clock;
use crate::limits::{ClientTimeouts, CurrentLimits};
use crate::revocation::Revocation;

/// Arms the timing wheel for a connection.
pub(crate) type ArmConnection = dyn Fn(&Arc<Connection>, Mono) + Send + Sync;

/// What all connections share.
pub(crate) struct ConnectionContext {
    pub(crate) clock: Arc<Clock>,
    /// Connections that wait for a turn of the delivery.
    pub(crate) ready: Arc<Ready>,
    pub(crate) arm: Box<ArmConnection>,
    pub(crate) pings: PingOptions,
    pub(crate) limits: Arc<CurrentLimits>,
    /// Tells every connection's task at once that the daemon is stopping.
    pub(crate) drain: Drain,
}

/// How many connections are fetched at once: of more cache lines than a core waits for at a time, and far fewer than it has.
pub(crate) const FETCHED_AT_ONCE: usize = 16;

/// In this order in memory: what a delivery needs comes first, in three cache lines with the counts of the `Arc`. No cache holds
/// thousands of connections with what the kernel has of their sockets.
#[repr(C)]
pub(crate) struct Connection {
    outbox: Mutex<Outbox>,
    socket: Socket,
    user: Option<UserId>,
    /// Where the entry of its user is, once connected.
    own_entry: OnceLock<UserRef>,
    context: Arc<ConnectionContext>,
    /// Wakes the connection's task: the socket is full, the backlog is gone, or there is a reason to close.
    wake: Wakeup,
    /// The first reason to close the connection.
    close_reason: OnceLock<CloseReason>,
    /// Its public session id: the run of the node, and the number in it.
    run: u32,
    session: SessionId,
    pub(crate) watch_list: WatchList,
    /// The deadline that the wheel is armed for, in milliseconds; the wheel's entries for other moments are stale.
    armed: AtomicU64,
    pub(super) timing: Mutex<Timing>,
}

/// What may end a connection at one of its deadlines.
#[derive(Debug)]
pub(super) struct Timing {
    pub(super) keepalive: Keepalive,
    /// When its token expires, if it has one: compared with nothing but the system's clock.
    token_expires: Option<SystemWall>,
    /// The mark of the credential that authenticated it, if one did.
    revocation: Option<Revocation>,
}

impl Connection {
    /// Takes the socket over. `user` is none for an observer.
    pub(crate) fn new(
        socket: impl Into<Socket>,
        name: SessionName,
        user: Option<UserId>,
        context: Arc<ConnectionContext>,
    ) -> Arc<Self> {
        let now = context.clock.mono();
        Arc::new(Self {
            outbox: Mutex::default(),
            socket: socket.into(),
            user,
            own_entry: OnceLock::new(),
            context,
            wake: Wakeup::default(),
            close_reason: OnceLock::new(),
            run: name.run,
            session: name.session,
            watch_list: WatchList::default(),
            armed: AtomicU64::new(u64::MAX),
            timing: Mutex::new(Timing {
                keepalive: Keepalive::new(now, None),
                token_expires: None,
                revocation: None,
            }),
        })
    }

    /// Brings these connections into the cache, [`FETCHED_AT_ONCE`] at most. A core fetches many lines of memory at a time if nothing
    /// waits for one of them, and locks and system calls do.
    pub(crate) fn fetch(connections: &[Arc<Self>]) {
        for conn in connections {
            // One read in each of the lines that a delivery needs.
            black_box((Arc::strong_count(conn), conn.outbox.is_locked(), conn.user.is_some()));
        }
    }

    pub(crate) fn id(&self) -> SessionId {
        self.session
    }

    /// The public session id.
    pub(crate) fn name(&self) -> SessionName {
        SessionName {
            run: self.run,
            session: self.session,
        }
    }

    /// Whose connection it is; none for an observer.
    pub(crate) fn user(&self) -> Option<&UserId> {
        self.user.as_ref()
    }

    /// How much of a user's record the connection may see.
    pub(crate) fn viewer_of(&self, user: &UserId) -> Viewer {
        match &self.user {
            None => Viewer::Internal,
            Some(own) if own == user => Viewer::Own,
            Some(_) => Viewer::Public,
        }
    }

    /// How much of the record of a user whose entry is there the connection may see. Mostly that takes no look at the ids: the
    /// text of the connection's own lies elsewhere in memory, and a change may have thousands of watchers.
    pub(crate) fn viewer_of_entry(&self, at: UserRef, user: &UserId) -> Viewer {
        match self.own_entry() {
            Some(own) if own != at => Viewer::Public,
            _ => self.viewer_of(user),
        }
    }

    /// Where the entry of its user is while the connection is one of the user's sessions; none before it is connected.
    pub(crate) fn own_entry(&self) -> Option<UserRef> {
        self.own_entry.get().copied()
    }

    /// The connection becomes a session of the user whose entry is there. Only the first call counts.
    pub(crate) fn set_own_entry(&self, at: UserRef) {
        let _ = self.own_entry.set(at);
    }

    /// The socket, for reading. Writing is the outbox's alone.
    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// What is still to be sent. Locked after a user's entry, never before one.
    pub(crate) fn outbox(&self) -> &Mutex<Outbox> {
        &self.outbox
    }

    /// Whether so much waits to be sent that nothing more should be read. The calling task is woken when the backlog is sent.
    pub(crate) fn is_backlogged(&self) -> bool {
        self.outbox.lock().pause_reading()
    }

    /// Whether everything queued was handed to the kernel.
    pub(crate) fn is_flushed(&self) -> bool {
        self.outbox.lock().is_flushed()
    }

    /// Since when unsent data lies without any progress of a write; none while nothing lies unsent.
    pub(crate) fn blocked_since(&self) -> Option<Mono> {
        self.outbox.lock().blocked_since()
    }

    /// How far what was sent has come.
    fn outgoing(&self) -> Outgoing {
        let (blocked_since, written) = {
            let outbox = self.outbox.lock();
            (outbox.blocked_since(), outbox.written_bytes())
        };
        // After the count: what is written in between must not look as if it had been acknowledged.
        let sent = self.socket.sent(written);
        Outgoing {
            blocked_since,
            written: sent.written,
            unacknowledged: sent.unacknowledged,
        }
    }

    /// [`Self::poll_attend`], for who has nothing else to wait for. Cancel safe.
    pub(crate) async fn attend(self: &Arc<Self>) {
        poll_fn(|context| self.poll_attend(context)).await;
    }

    /// The connection's task polls this whenever it waits, whatever for: it writes what waits once the socket has room, and is
    /// ready when there is a reason to close or the backlog is sent. Only that task may: one waker is kept.
    pub(crate) fn poll_attend(self: &Arc<Self>, context: &mut Context<'_>) -> Poll<()> {
        // First of all: what happens from here on wakes the task again.
        let is_woken = self.wake.poll(context).is_ready();
        if self.context.drain.is_ending() && self.close_reason().is_none() {
            self.close_with(self.context.drain.reason_of(self.id()));
            return Poll::Ready(());
        }
        if !is_woken && self.blocked_since().is_some() && self.socket.poll_writable(context).is_ready() {
            self.flush();
            return Poll::Ready(());
        }
        if is_woken { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Gives the connection's task a reason to close, if there is none yet. The task says goodbye and closes.
    pub(crate) fn close_with(&self, reason: CloseReason) {
        if self.close_reason.set(reason).is_ok() {
            self.wake.notify();
        }
    }

    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        self.close_reason.get().copied()
    }

    /// The connection ends when its token expires, and at its next deadline after its credential is revoked. Only the first of
    /// each counts.
    pub(crate) fn depend_on(&self, credential: Option<Revocation>, token_expires: Option<SystemWall>) {
        let mut timing = self.timing.lock();
        let Timing {
            token_expires: expires,
            revocation,
            ..
        } = &mut *timing;
        *revocation = revocation.take().or(credential);
        *expires = expires.or(token_expires);
    }

    /// Whether the credential was revoked that it depends on.
    pub(crate) fn is_revoked(&self) -> bool {
        let timing = self.timing.lock();
        timing.revocation.as_ref().is_some_and(Revocation::is_revoked)
    }

    /// Begins the keepalive: pings, and the end of the token.
    pub(crate) fn start_keepalive(self: &Arc<Self>, now: Mono) {
        let expires = self.token_deadline(self.context.clock.read());
        self.timing.lock().keepalive = Keepalive::new(now, expires);
        let next = self.context.pings.ping_at(now);
        self.arm(expires.map_or(next, |at| at.min(next)));
    }

    /// Bytes arrived; `opened` is since when a message is unfinished, if one is.
    pub(crate) fn note_received(self: &Arc<Self>, now: Mono, opened: Option<Mono>) {
        self.timing.lock().keepalive.on_received(now, opened);
        if let Some(since) = opened {
            self.arm(since.after(self.keepalive_options(now).message_timeout));
        }
    }

    /// The system's clock was set, or the deadlines were moved: when the token expires is estimated anew.
    pub(crate) fn recheck_token(self: &Arc<Self>, now: Reading) {
        let has_token = self.timing.lock().token_expires.is_some();
        if has_token && let Some(next) = self.on_deadline(now) {
            self.arm(next);
        }
    }

    /// When the token will have expired if neither clock is moved until then; at once if it has.
    pub(super) fn token_deadline(&self, now: Reading) -> Option<Mono> {
        let expires = self.timing.lock().token_expires?;
        Some(now.mono.after(expires.since(now.system)))
    }

    /// The wheel came to a deadline of this connection. Acts on it, unless the wheel was armed for another one since.
    pub(crate) fn on_wheel(self: &Arc<Self>, at: Mono, now: Reading) {
        let is_current = self
            .armed
            .compare_exchange(at.as_millis(), u64::MAX, Ordering::SeqCst, Ordering::SeqCst);
        if is_current.is_ok()
            && let Some(next) = self.on_deadline(now)
        {
            self.arm(next);
        }
    }

    pub(super) fn keepalive_options(&self, now: Mono) -> KeepaliveOptions {
        let ClientTimeouts { message, write } = self.context.limits.load().timeouts(now);
        KeepaliveOptions {
            pings: self.context.pings,
            write_timeout: write,
            message_timeout: message,
        }
    }

    /// Arms the timing wheel, unless it is armed for an earlier moment already.
    fn arm(self: &Arc<Self>, at: Mono) {
        if self.armed.fetch_min(at.as_millis(), Ordering::SeqCst) > at.as_millis() {
            (self.context.arm)(self, at);
            // Who ends all connections finds them in the wheel, where this one was not for a moment.
            self.learn_of_drain();
        }
    }

    /// Wakes the connection's task if all connections end.
    pub(crate) fn learn_of_drain(&self) {
        if self.context.drain.is_ending() {
            self.wake.notify();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    #[test]
    fn a_delivery_needs_three_cache_lines_of_a_connection() {
        let counts = 2 * size_of::<usize>();
        let end = offset_of!(Connection, own_entry) + size_of::<OnceLock<UserRef>>();
        assert!(counts + end <= 3 * 64, "{end}");
    }
}
