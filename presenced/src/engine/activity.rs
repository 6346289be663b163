//! Activity of connections: frames received, and reports that the user is active or away.

use std::sync::Arc;
use std::time::Duration;

use presence::wire::record::{Record, Viewer};

use super::Engine;
use super::users::LockedEntry;
use crate::connection::Connection;

impl Engine {
    /// A frame of any kind arrived (call at most once a read).
    pub(crate) fn heard(&self, conn: &Arc<Connection>) {
        if let Some(mut entry) = self.session_entry(conn) {
            let now = self.now_of(&entry);
            let was_in_doubt = entry.state.heard(now, conn.id());
            let is_due = self.persistence.note_times(&mut entry, now, conn);
            // Where there are other nodes the record has what they are told, once a minute: it is the same on all.
            if is_due || !self.is_among_others(&entry) {
                entry.state.take_times();
            }
            if is_due {
                self.tell_times(&entry);
            }
            if was_in_doubt {
                self.recompute(&mut entry, now);
            }
        }
    }

    /// Whether another node shows this user too.
    fn is_among_others(&self, entry: &LockedEntry<'_>) -> bool {
        let shared = self.cluster.shared();
        shared.is_some_and(|shared| shared.partition_of(entry.user()).has_others_than(shared.incarnation()))
    }

    /// A message arrived, other than a ping.
    pub(crate) fn message(&self, conn: &Arc<Connection>) {
        if let Some(mut entry) = self.session_entry(conn) {
            let now = self.now_of(&entry);
            entry.state.message(now, conn.id());
        }
    }

    /// The user did something, so long ago. The own record; none if the session has ended.
    pub(crate) fn activity(&self, conn: &Arc<Connection>, ago: Duration) -> Option<Record> {
        let mut entry = self.session_entry(conn)?;
        let now = self.now_of(&entry);
        entry.state.activity(now, conn.id(), ago, &self.options.timers);
        entry.state.take_times();
        self.tell_times(&entry);
        self.recompute(&mut entry, now);
        Some(self.record_of(&entry, Viewer::Own))
    }

    /// The user went away, having done something for the last time so long ago, if that is known. The own record; none if the
    /// session has ended.
    pub(crate) fn away(&self, conn: &Arc<Connection>, ago: Option<Duration>) -> Option<Record> {
        let mut entry = self.session_entry(conn)?;
        let now = self.now_of(&entry);
        entry.state.away(now, conn.id(), ago);
        if ago.is_some() {
            entry.state.take_times();
            self.tell_times(&entry);
        }
        self.recompute(&mut entry, now);
        Some(self.record_of(&entry, Viewer::Own))
    }

    /// The entry of the connection's user, while the connection is one of its sessions.
    pub(super) fn session_entry(&self, conn: &Arc<Connection>) -> Option<LockedEntry<'_>> {
        // After a kick another user may be in that place; ids of sessions are never used twice.
        let entry = self.users.get(conn.own_entry()?)?;
        entry.has_connection(conn).then_some(entry)
    }
}
