//! Watching: a snapshot and a subscription without a gap between them, and cursors that resume. A watcher is registered
//! first and sent its snapshot afterwards, so that a change in between is sent twice rather than not at all.

use std::sync::Arc;

use hashbrown::HashSet;
use presence::wire::client_message::MessageId;
use presence::{Cursor, Revision, UserId};

use super::publisher::changes::Since;
use super::{Engine, EngineError};
use crate::connection::Connection;
use crate::connection::outbox::{Rest, Snapshot};
use crate::connection::user_pin::UserPin;
use crate::connection::watch_list::Removal;
use crate::store::StoreError;

impl Engine {
    /// Adds to what is watched and queues the snapshot as the answer to `id`. After an error nothing was added.
    pub(crate) async fn watch(
        self: &Arc<Self>,
        conn: &Arc<Connection>,
        id: Option<MessageId>,
        mut users: Vec<UserId>,
        since: Option<Cursor>,
    ) -> Result<(), EngineError> {
        let mut named = HashSet::with_capacity(users.len());
        users.retain(|user| named.insert(user.clone()));
        // Before anything is held back: an event need not wait for this.
        if let Some(user) = conn.user() {
            self.pace_lookups(user, users.len()).await?;
        }
        let preparing = Preparing::begin(self, conn);
        let since = since.and_then(|cursor| self.publisher.resume(cursor));
        let pins = self.load(&users).await?;
        // What the disk can't tell is no reason to refuse: then everyone is listed.
        let since = match since {
            Some(since) if self.note_removals(&pins).await.is_ok() => Some(since),
            _ => None,
        };
        let watched = pins.iter().map(|pin| pin.user());
        let room = conn.watch_list.make_room(watched, &self.options.limits.load());
        room.map_err(|limit| EngineError::TooManyWatched { limit })?;
        let mut listed = Vec::new();
        for pin in pins.into_iter().rev() {
            let mut entry = self.users.lock(&pin);
            if entry.add_watcher(conn) {
                self.session_counts.watch_added();
                if conn.watch_list.add(entry.at()) {
                    self.session_counts.watcher_added();
                }
            }
            let is_listed = since.is_none_or(|since| entry.changed_at() > since);
            if is_listed {
                listed.push(entry.at());
            }
        }
        preparing.finish(Snapshot {
            id,
            resumed: since.is_some(),
            rest: Rest::Named(listed),
        });
        Ok(())
    }

    /// Watches everyone and queues the snapshot as the answer to `id`. Observers only: the caller checks.
    pub(crate) async fn watch_all(
        self: &Arc<Self>,
        conn: &Arc<Connection>,
        id: Option<MessageId>,
        since: Option<Cursor>,
    ) {
        let preparing = Preparing::begin(self, conn);
        if self.publisher.add_observer(conn) {
            self.session_counts.watcher_added();
        }
        let resumed = self.changed_since(since).await;
        preparing.finish(Snapshot {
            id,
            resumed: resumed.is_some(),
            rest: resumed.unwrap_or(Rest::Everyone { shard: 0, after: None }),
        });
    }

    /// Of whom nothing is stored may have been forgotten while nobody kept it in memory.
    async fn note_removals(&self, pins: &[UserPin]) -> Result<(), StoreError> {
        let is_absent = |pin: &&UserPin| self.users.lock(pin).changed_at() == Revision::NEVER;
        let absent: Vec<&UserPin> = pins.iter().filter(is_absent).collect();
        if absent.is_empty() {
            return Ok(());
        }
        let users: Vec<UserId> = absent.iter().map(|pin| self.users.lock(pin).user().clone()).collect();
        let removals = self.persistence.store.removed_at(&users).await?;
        for (pin, removed_at) in absent.into_iter().zip(removals) {
            let mut entry = self.users.lock(pin);
            if let Some(removed_at) = removed_at.filter(|_| entry.changed_at() == Revision::NEVER) {
                entry.publication.note_removed(removed_at);
            }
        }
        Ok(())
    }

    /// What an observer that resumes must be sent; none if that is everything.
    async fn changed_since(self: &Arc<Self>, since: Option<Cursor>) -> Option<Rest> {
        let changed = self.publisher.changed_since(self.publisher.resume(since?)?)?;
        let mut users = Vec::new();
        let mut removed = Vec::new();
        for change in changed {
            match change {
                Since::Changed(user) => users.push(user),
                Since::Removed(user, revision) => removed.push((user, revision)),
            }
        }
        // Users that are present are in memory, so everything can be sent even if the store does not answer.
        let users = self.load(&users).await.ok()?;
        Some(Rest::Changed { users, removed })
    }

    /// Takes from what is watched; ids that are not watched are no error.
    pub(crate) fn unwatch(&self, conn: &Arc<Connection>, users: &[UserId]) {
        for user in users {
            let Some(mut entry) = self.users.find(user) else {
                continue;
            };
            let removal = conn.watch_list.remove(entry.at());
            if removal == Removal::NotWatched {
                continue;
            }
            self.session_counts.watch_removed();
            entry.remove_watcher(conn);
            if !entry.is_delivered_to(conn) {
                conn.outbox().lock().unmark(entry.at());
            }
            if removal == Removal::RemovedLast {
                self.session_counts.watcher_removed();
            }
        }
    }

    /// Ends all watches of the connection.
    pub(super) fn stop_watching(&self, conn: &Arc<Connection>) {
        if conn.user().is_none() && self.publisher.remove_observer(conn) {
            self.session_counts.watcher_removed();
        }
        let watched = conn.watch_list.take();
        if !watched.is_empty() {
            self.session_counts.watcher_removed();
        }
        for at in watched {
            self.users.lock_at(at).remove_watcher(conn);
            self.session_counts.watch_removed();
        }
    }
}

/// Holds events back until the snapshot is in line, or the watch was refused.
struct Preparing<'a> {
    engine: &'a Engine,
    conn: &'a Arc<Connection>,
    snapshot: Option<Snapshot>,
}

impl<'a> Preparing<'a> {
    fn begin(engine: &'a Engine, conn: &'a Arc<Connection>) -> Self {
        conn.outbox().lock().begin_preparing();
        Self {
            engine,
            conn,
            snapshot: None,
        }
    }

    fn finish(mut self, snapshot: Snapshot) {
        self.engine.tell_staleness(self.conn);
        self.snapshot = Some(snapshot);
    }
}

impl Drop for Preparing<'_> {
    fn drop(&mut self) {
        let is_due = self.conn.outbox().lock().finish_preparing(self.snapshot.take());
        if is_due {
            self.engine.ready.push(Arc::clone(self.conn));
        }
    }
}
