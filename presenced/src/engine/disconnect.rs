//! A connection ends: its session, which may leave a grace period, and all its watches.

use std::sync::Arc;

use presence::EndReason;

use super::Engine;
use crate::connection::Connection;

impl Engine {
    /// Ends the session of the connection, unless a kick has, and all its watches. Idempotent.
    pub(crate) fn disconnect(&self, conn: &Arc<Connection>, reason: EndReason) {
        if !conn.outbox().lock().end() {
            return;
        }
        match conn.user() {
            Some(_) => self.end_session(conn, reason),
            None => self.session_counts.observer_closed(),
        }
        self.stop_watching(conn);
        self.users.sweep();
    }

    fn end_session(&self, conn: &Arc<Connection>, reason: EndReason) {
        let Some(at) = conn.own_entry() else { return };
        self.session_counts.connection_closed();
        // After a kick another user may be in that place; ids of sessions are never used twice.
        let Some(mut entry) = self.users.get(at).filter(|entry| entry.has_connection(conn)) else {
            return;
        };
        entry.remove_connection(conn);
        let now = self.now_of(&entry);
        let timers = &self.options.timers;
        let grace = if self.is_draining() {
            timers.restart_grace
        } else {
            timers.grace
        };
        entry.state.disconnect(now, conn.id(), reason, grace);
        entry.state.take_times();
        self.persistence.write_behind.write_soon(&mut entry);
        self.recompute(&mut entry, now);
    }
}
