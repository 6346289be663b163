//! Watching: a snapshot and a subscription without a gap between them, and cursors that resume. Whoever watches is
//! registered first and told afterwards, so that a change in between is told twice rather than not at all.

use std::sync::Arc;

use hashbrown::HashSet;
use presence::wire::client::MessageId;
use presence::{Cursor, UserId};

use super::changes::Since;
use super::entry::Watcher;
use super::publishing::step;
use super::{Engine, EngineError};
use crate::connection::Connection;
use crate::connection::outbox::{Rest, Snapshot, UserRef};

/// Why a watch was refused; nothing was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WatchRefused {
    /// More users than one connection may watch.
    TooManyWatched,
    /// The store can't say who they are.
    StoreUnavailable,
}

impl From<EngineError> for WatchRefused {
    fn from(_: EngineError) -> Self {
        Self::StoreUnavailable
    }
}

impl Engine {
    /// Adds to what is watched and queues the snapshot as the answer to `id`.
    pub(crate) async fn watch(
        &self,
        conn: &Arc<Connection>,
        id: Option<MessageId>,
        mut users: Vec<UserId>,
        since: Option<Cursor>,
    ) -> Result<(), WatchRefused> {
        let mut named = HashSet::with_capacity(users.len());
        users.retain(|user| named.insert(user.clone()));
        let preparing = Preparing::begin(self, conn);
        let since = since.and_then(|cursor| self.changes.resume(cursor));
        let pinned = self.pin_loaded(&users).await?;
        {
            let watching = conn.watching.lock();
            let added = pinned.refs().iter().filter(|user| !watching.contains(*user)).count();
            if watching.len() + added > self.options.watched_per_connection {
                return Err(WatchRefused::TooManyWatched);
            }
        }
        let mut told = Vec::new();
        for user in pinned.leak().into_iter().rev() {
            let mut shard = self.shards.of_ref(user);
            let Some(entry) = shard.entry(user) else { continue };
            if entry.watchers.insert(Watcher(Arc::clone(conn))) {
                self.count_watch(conn, user);
            }
            if since.is_none_or(|number| entry.changed > number) {
                told.push(user);
            } else {
                self.unpin_in(&mut shard, user);
            }
        }
        preparing.finish(Snapshot {
            id,
            resumed: since.is_some(),
            rest: Rest::Named(told),
        });
        Ok(())
    }

    /// Watches everyone and queues the snapshot as the answer to `id`. Observers only: the caller checks.
    pub(crate) async fn watch_all(&self, conn: &Arc<Connection>, id: Option<MessageId>, since: Option<Cursor>) {
        let preparing = Preparing::begin(self, conn);
        {
            let mut observers = self.observers.write();
            if !observers.iter().any(|one| one.id() == conn.id()) {
                observers.push(Arc::clone(conn));
                step(&self.tallies.watchers, true);
            }
        }
        let resumed = self.changed_since(since).await;
        preparing.finish(Snapshot {
            id,
            resumed: resumed.is_some(),
            rest: resumed.unwrap_or(Rest::Everyone { shard: 0, after: None }),
        });
    }

    /// What an observer that resumes is to be told; `None` if it must be told everything.
    async fn changed_since(&self, since: Option<Cursor>) -> Option<Rest> {
        let changed = self.changes.since(self.changes.resume(since?)?)?;
        let mut users = Vec::new();
        let mut removed = Vec::new();
        for change in changed {
            match change {
                Since::Changed(user) => users.push(user),
                Since::Removed(user, revision) => removed.push((user, revision)),
            }
        }
        // Who is present is in memory, so everything can be told even if the store does not answer.
        let users = self.pin_loaded(&users).await.ok()?.leak();
        Some(Rest::Changed { users, removed })
    }

    /// Takes from what is watched; ids that are not watched are no error.
    pub(crate) fn unwatch(&self, conn: &Arc<Connection>, users: &[UserId]) {
        for user in users {
            let mut shard = self.shards.of_user(user);
            if let Some(at) = shard.find(user) {
                if conn.watching.lock().remove(&at) {
                    self.drop_watch(conn, at, &mut shard);
                }
                shard.evict_idle(at);
            }
        }
        if conn.watching.lock().is_empty() && !users.is_empty() {
            conn.watching.lock().shrink_to_fit();
        }
    }

    /// The connection watches nobody any more.
    pub(super) fn stop_watching(&self, conn: &Arc<Connection>) {
        if conn.user().is_none() {
            let mut observers = self.observers.write();
            if let Some(index) = observers.iter().position(|one| one.id() == conn.id()) {
                observers.swap_remove(index);
                step(&self.tallies.watchers, false);
            }
        }
        let watched = std::mem::take(&mut *conn.watching.lock());
        let is_watcher = !watched.is_empty();
        for user in watched {
            let mut shard = self.shards.of_ref(user);
            if let Some(entry) = shard.entry(user) {
                entry.watchers.remove(&conn.id());
                step(&self.tallies.watches, false);
            }
            shard.evict_idle(user);
        }
        if is_watcher {
            step(&self.tallies.watchers, false);
        }
    }

    fn count_watch(&self, conn: &Arc<Connection>, user: UserRef) {
        let mut watching = conn.watching.lock();
        if watching.is_empty() {
            step(&self.tallies.watchers, true);
        }
        watching.insert(user);
        step(&self.tallies.watches, true);
    }

    fn drop_watch(&self, conn: &Arc<Connection>, user: UserRef, shard: &mut super::shard::Shard) {
        if conn.watching.lock().is_empty() {
            step(&self.tallies.watchers, false);
        }
        step(&self.tallies.watches, false);
        let Some(entry) = shard.entry(user) else { return };
        entry.watchers.remove(&conn.id());
        if entry.watchers.capacity() > 8 && entry.watchers.len() < entry.watchers.capacity() / 4 {
            entry.watchers.shrink_to_fit();
        }
    }
}

/// Holds events back until the snapshot stands in line, or the watch was refused.
struct Preparing<'a> {
    engine: &'a Engine,
    conn: &'a Arc<Connection>,
}

impl<'a> Preparing<'a> {
    fn begin(engine: &'a Engine, conn: &'a Arc<Connection>) -> Self {
        conn.outbox().lock().preparing += 1;
        Self { engine, conn }
    }

    fn finish(self, snapshot: Snapshot) {
        let mut outbox = self.conn.outbox().lock();
        if !outbox.is_ended {
            outbox.snapshots.push_back(snapshot);
            return;
        }
        drop(outbox);
        if let Rest::Named(users) | Rest::Changed { users, .. } = snapshot.rest {
            users.into_iter().for_each(|user| self.engine.unpin(user));
        }
    }
}

impl Drop for Preparing<'_> {
    fn drop(&mut self) {
        let mut outbox = self.conn.outbox().lock();
        outbox.preparing -= 1;
        let is_due = outbox.enqueue();
        drop(outbox);
        if is_due {
            self.engine.ready.push(Arc::clone(self.conn));
        }
    }
}
