//! Fan-out: a change is marked in the outbox of everyone in its audience. A mark is an insertion into a set, not a message.

use std::sync::Arc;

use presence::{Audience, Now};

use super::changes::NewChange;
use super::{Publisher, Publishing};
use crate::connection::{Connection, FETCHED_AT_ONCE};
use crate::engine::users::LockedEntry;

impl Publisher {
    /// Remembers the change, and marks the user dirty for the audience.
    pub(super) fn fan_out(&self, publishing: &Publishing<'_>, entry: &LockedEntry<'_>, now: Now, audience: Audience) {
        let change = NewChange {
            user: entry.user(),
            before: publishing.before,
            revision: entry.changed_at(),
            is_removal: entry.publication.removed_at().is_some(),
        };
        self.changes.push(now.mono, &change);
        let (mut ready, conflated) = self.mark_dirty(entry, audience);
        // Before anyone is told: the cursor that goes with the change covers it.
        publishing.end();
        self.ready.extend(&mut ready);
        self.throughput.changed();
        self.metrics.conflated.inc_by(conflated);
    }

    /// The connections that have something to send now, and how many marks met an earlier one.
    fn mark_dirty(&self, entry: &LockedEntry<'_>, audience: Audience) -> (Vec<Arc<Connection>>, u64) {
        let (at, number) = (entry.at(), entry.changed_at().get());
        let mut ready = Vec::new();
        let mut conflated = 0;
        let mut mark = |conn: &Arc<Connection>| {
            conflated += u64::from(conn.mark_dirty(|| entry.pin(), at, number, &mut ready));
        };
        if audience > Audience::Observers {
            entry.connections().iter().for_each(&mut mark);
            let is_public = audience == Audience::Everyone;
            for group in entry.watchers().chunks(FETCHED_AT_ONCE) {
                Connection::fetch(group);
                let watchers = group.iter().filter(|watcher| is_public || watcher.user().is_none());
                watchers.for_each(&mut mark);
            }
        }
        self.observers.read().iter().for_each(&mut mark);
        (ready, conflated)
    }
}
