//! Counts of connections and watches, updated as they begin and end.

use std::sync::atomic::{AtomicU64, Ordering};

use presence::wire::rest::SessionStats;

use super::presence_index::PresenceIndex;

/// Counts of connections and watches.
#[derive(Default)]
pub(super) struct SessionCounts {
    connections: AtomicU64,
    observers: AtomicU64,
    /// Connections that watch at least one user.
    watchers: AtomicU64,
    /// Pairs of a connection and a user that it watches by name.
    watches: AtomicU64,
}

impl SessionCounts {
    pub(super) fn connection_opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn connection_closed(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn observer_opened(&self) {
        self.observers.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn observer_closed(&self) {
        self.observers.fetch_sub(1, Ordering::Relaxed);
    }

    /// A connection watches its first user.
    pub(super) fn watcher_added(&self) {
        self.watchers.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection watches no user any more.
    pub(super) fn watcher_removed(&self) {
        self.watchers.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn watch_added(&self) {
        self.watches.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn watch_removed(&self) {
        self.watches.fetch_sub(1, Ordering::Relaxed);
    }

    /// With what the index counts.
    pub(super) fn stats(&self, index: &PresenceIndex) -> SessionStats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        SessionStats {
            connections: read(&self.connections),
            observers: read(&self.observers),
            reports: index.reports(),
            in_grace: index.in_grace(),
            watchers: read(&self.watchers),
            watches: read(&self.watches),
        }
    }
}
