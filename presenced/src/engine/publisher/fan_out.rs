//! Fan-out: a change is marked in the outbox of everyone in its audience. A mark is an insertion into a set, not a message.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use presence::{Audience, Now};

use super::Publisher;
use crate::connection::Connection;
use crate::engine::users::LockedEntry;

impl Publisher {
    /// Gives the change the next number, and marks the user dirty for the audience.
    pub(super) fn fan_out(&self, entry: &mut LockedEntry<'_>, now: Now, audience: Audience) {
        let publishing = &self.publishing[entry.at().shard()];
        publishing.store(self.changes.last() + 1, Ordering::SeqCst);
        entry.publication.number = self.changes.push(now.mono, entry.user(), entry.publication.removed_at);
        let conflated = self.mark_dirty(entry, audience);
        publishing.store(u64::MAX, Ordering::SeqCst);
        self.throughput.changed();
        self.metrics.conflated.inc_by(conflated);
    }

    /// How many marks met an earlier one.
    fn mark_dirty(&self, entry: &LockedEntry<'_>, audience: Audience) -> u64 {
        let (at, number) = (entry.at(), entry.publication.number);
        let mut ready = Vec::new();
        let mut conflated = 0;
        let mut mark = |conn: &Arc<Connection>| {
            conflated += u64::from(conn.mark_dirty(|| entry.pin(), at, number, &mut ready));
        };
        entry.connections().iter().for_each(&mut mark);
        let is_public = audience == Audience::Everyone;
        let watchers = entry.watchers().filter(|watcher| is_public || watcher.user().is_none());
        watchers.for_each(&mut mark);
        self.observers.read().iter().for_each(&mut mark);
        self.ready.extend(&mut ready);
        conflated
    }
}
