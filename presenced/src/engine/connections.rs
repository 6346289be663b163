//! What connections do to the users they belong to: come, are heard, speak of activity, go.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use presence::wire::record::{Record, Viewer};
use presence::{EndReason, Now, UserId};

use super::Engine;
use super::entry::Entry;
use super::publishing::step;
use super::shard::Shard;
use crate::connection::Connection;
use crate::connection::outbox::UserRef;

/// Last seen of a present user is written at most this often while nothing else is; the pings' beat comes on top of the
/// jitter, so that a crash loses less than a minute.
const TIMES_EVERY: Duration = Duration::from_secs(45);
/// How much later a mark may come, so that users who came together do not write together.
const TIMES_JITTER_MILLIS: u64 = 14_000;

/// The user has as many connections as one may have (4029).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManySessions;

impl Engine {
    /// The user is there with this connection. Waits for the store for 150 ms at most. Own view, for `welcome`.
    pub(crate) async fn connect(&self, user: &UserId, conn: &Arc<Connection>) -> Result<Record, TooManySessions> {
        let pinned = self.pin_for_connect(user).await;
        let at = pinned.refs().first().copied().ok_or(TooManySessions)?;
        let mut shard = self.shards.of_ref(at);
        let entry = shard.entry(at).ok_or(TooManySessions)?;
        if entry.conns.len() >= self.options.sessions_per_user {
            return Err(TooManySessions);
        }
        let now = self.clock.now();
        entry.sessions.handle_connect(now, conn.id());
        let _ = conn.entry.set(at);
        self.recompute(&mut shard, at, now);
        let entry = shard.entry(at).ok_or(TooManySessions)?;
        // Only now: the greeting carries what was just published, so the connection is not pending it again.
        entry.conns.push(Arc::clone(conn));
        entry.times_due = now.wall.after(times_delay(conn));
        let record = self.record_of(entry, Viewer::Own);
        drop(shard);
        step(&self.tallies.connections, true);
        self.rates.connects.fetch_add(1, Ordering::Relaxed);
        Ok(record)
    }

    /// An observer is there. It counts as nobody's session.
    pub(crate) fn connect_observer(&self) {
        step(&self.tallies.observers, true);
        self.rates.connects.fetch_add(1, Ordering::Relaxed);
    }

    /// A frame of any kind arrived (call at most once a read).
    pub(crate) fn heard(&self, conn: &Arc<Connection>) {
        self.with_own(conn, |engine, shard, at, now| {
            if let Some(entry) = shard.entry(at) {
                entry.sessions.handle_heard(now, conn.id());
                engine.note_times(entry, at, now, conn);
            }
        });
    }

    /// The user did something. The own record.
    pub(crate) fn activity(&self, conn: &Arc<Connection>) -> Option<Record> {
        self.with_own(conn, |engine, shard, at, now| {
            if let Some(entry) = shard.entry(at) {
                entry.sessions.handle_activity(now, conn.id(), &engine.options.timers);
                engine.note_times(entry, at, now, conn);
            }
            engine.recompute(shard, at, now);
            shard.peek(at).map(|entry| engine.record_of(entry, Viewer::Own))
        })
        .flatten()
    }

    /// The user went away. The own record.
    pub(crate) fn away(&self, conn: &Arc<Connection>) -> Option<Record> {
        self.with_own(conn, |engine, shard, at, now| {
            if let Some(entry) = shard.entry(at) {
                entry.sessions.handle_away(conn.id());
            }
            engine.recompute(shard, at, now);
            shard.peek(at).map(|entry| engine.record_of(entry, Viewer::Own))
        })
        .flatten()
    }

    /// The connection ended: its session (if it is a user's and was not ended by a kick) and all its watches.
    /// Idempotent.
    pub(crate) fn end(&self, conn: &Arc<Connection>, end: EndReason) {
        let was_ended = {
            let mut outbox = conn.outbox().lock();
            let was_ended = outbox.is_ended;
            let pending_publication = outbox.end();
            drop(outbox);
            pending_publication.into_iter().for_each(|user| self.unpin(user));
            was_ended
        };
        if was_ended {
            return;
        }
        match conn.user() {
            Some(_) => self.end_session(conn, end),
            None => step(&self.tallies.observers, false),
        }
        self.stop_watching(conn);
    }

    fn end_session(&self, conn: &Arc<Connection>, end: EndReason) {
        let Some(at) = conn.entry.get().copied() else { return };
        step(&self.tallies.connections, false);
        let mut shard = self.shards.of_ref(at);
        let now = self.clock.now();
        let grace = if self.is_draining() {
            self.options.timers.restart_grace
        } else {
            self.options.timers.grace
        };
        let Some(entry) = shard.entry(at) else { return };
        // A kick took it out already, and the slot may be somebody else's by now: session ids are never used twice.
        let Some(index) = entry.conns.iter().position(|one| one.id() == conn.id()) else {
            return;
        };
        entry.conns.swap_remove(index);
        entry.sessions.handle_end(now, conn.id(), end, grace);
        entry.profile.note_times(&entry.sessions.contribution());
        self.write_soon(entry, at);
        self.recompute(&mut shard, at, now);
        shard.evict_idle(at);
    }

    /// Runs `act` on the entry of the connection's user, while the connection is one of its sessions.
    fn with_own<T>(&self, conn: &Arc<Connection>, act: impl FnOnce(&Self, &mut Shard, UserRef, Now) -> T) -> Option<T> {
        let at = conn.entry.get().copied()?;
        let mut shard = self.shards.of_ref(at);
        let is_own = shard
            .peek(at)
            .is_some_and(|entry| entry.conns.iter().any(|one| one.id() == conn.id()));
        is_own.then(|| act(self, &mut shard, at, self.clock.now()))
    }

    fn note_times(&self, entry: &mut Entry, at: UserRef, now: Now, conn: &Arc<Connection>) {
        entry.profile.note_times(&entry.sessions.contribution());
        if entry.times_due <= now.wall {
            entry.times_due = now.wall.after(times_delay(conn));
            self.write_sometime(entry, at);
        }
    }
}

/// When last seen should be written next: spread by the session, so that no chance is needed.
fn times_delay(conn: &Connection) -> Duration {
    let spread = conn.id().0.wrapping_mul(0x9e37_79b9_7f4a_7c15) % TIMES_JITTER_MILLIS;
    TIMES_EVERY + Duration::from_millis(spread)
}
