//! A connection begins: it is a session of its user, or an observer.

use std::sync::Arc;

use presence::UserId;
use presence::wire::record::{Record, Viewer};

use super::{Engine, EngineError};
use crate::connection::Connection;

impl Engine {
    /// Makes the connection a session of the user. Waits for the store for 150 ms at most. The own record, for `welcome`.
    pub(crate) async fn connect(
        self: &Arc<Self>,
        user: &UserId,
        conn: &Arc<Connection>,
    ) -> Result<Record, EngineError> {
        let pin = self.load_for_connect(user).await;
        let mut entry = self.users.lock(&pin);
        if entry.connections().len() >= self.options.sessions_per_user {
            return Err(EngineError::TooManySessions);
        }
        let now = self.now_of(&entry);
        entry.state.connect(now, conn.id());
        self.recompute(&mut entry, now);
        let first = entry.connections().first().unwrap_or(conn);
        conn.watch_list.share(first.watch_list.total());
        // After the publication: the welcome carries the record, so the connection need not be sent it again.
        entry.add_connection(conn);
        conn.set_own_entry(entry.at());
        self.persistence.defer_times(&mut entry, now, conn);
        let record = self.record_of(&entry, Viewer::Own);
        drop(entry);
        self.session_counts.connection_opened();
        self.throughput.connected();
        Ok(record)
    }

    /// The connection is an observer, which is no user's session.
    pub(crate) fn connect_observer(&self) {
        self.session_counts.observer_opened();
        self.throughput.connected();
    }
}
