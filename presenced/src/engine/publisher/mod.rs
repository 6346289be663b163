//! The publisher: the node's order of changes, the observers, and the fan-out of a change to the outboxes of its audience.
//! Sending from the outboxes is the delivery's task ([`delivery`]).

pub(super) mod changes;
pub(super) mod delivery;
mod encode;
mod fan_out;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use presence::{Audience, Cursor, Now, Revision};

use self::changes::{Changes, Since};
use super::metrics::EngineMetrics;
use super::throughput::Throughput;
use super::users::{LockedEntry, SHARDS};
use crate::connection::Connection;
use crate::connection::ready::Ready;

/// The publisher's note about one user.
#[derive(Debug)]
pub(super) struct Publication {
    /// The number of the user's last change; or of the node's last change when the user was loaded.
    number: u64,
    /// The revision at which the user was removed, if nothing was published since.
    removed_at: Option<Revision>,
}

impl Publication {
    /// The number of the user's last change.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The revision at which the user was removed, if nothing was published since.
    pub(super) fn removed_at(&self) -> Option<Revision> {
        self.removed_at
    }
}

/// Orders changes and hands them to the outboxes.
pub(super) struct Publisher {
    changes: Changes,
    /// A lower bound of the number of the change that each shard is publishing; `u64::MAX` while none.
    publishing: Box<[AtomicU64]>,
    /// The connections that watch everyone.
    observers: RwLock<Vec<Arc<Connection>>>,
    ready: Arc<Ready>,
    throughput: Arc<Throughput>,
    metrics: Arc<EngineMetrics>,
}

impl Publisher {
    pub(super) fn new(
        incarnation: u64,
        ready: Arc<Ready>,
        throughput: Arc<Throughput>,
        metrics: Arc<EngineMetrics>,
    ) -> Self {
        Self {
            changes: Changes::new(incarnation),
            publishing: (0..SHARDS).map(|_| AtomicU64::new(u64::MAX)).collect(),
            observers: RwLock::default(),
            ready,
            throughput,
            metrics,
        }
    }

    /// The note for a user that is loaded now.
    pub(super) fn loaded(&self) -> Publication {
        Publication {
            number: self.changes.last(),
            removed_at: None,
        }
    }

    /// Gives a change of the user the next number, and marks the user dirty in the outbox of everyone in the audience.
    pub(super) fn publish(&self, entry: &mut LockedEntry<'_>, now: Now, audience: Audience) {
        entry.publication.removed_at = None;
        self.fan_out(entry, now, audience);
    }

    /// Publishes that the user was removed at this revision.
    pub(super) fn publish_removal(&self, entry: &mut LockedEntry<'_>, now: Now, revision: Revision) {
        entry.publication.removed_at = Some(revision);
        self.fan_out(entry, now, Audience::Everyone);
    }

    /// The cursor after `number` changes.
    pub(super) fn cursor(&self, number: u64) -> Cursor {
        self.changes.cursor(number)
    }

    /// The number of the change that a cursor stands for, if every change since is remembered.
    pub(super) fn resume(&self, cursor: Cursor) -> Option<u64> {
        self.changes.resume(cursor)
    }

    /// Each user that changed after `number`, once; none if that is no longer remembered.
    pub(super) fn changed_since(&self, number: u64) -> Option<Vec<Since>> {
        self.changes.since(number)
    }

    /// The highest number such that every change up to it has been marked in the outboxes of its audience.
    pub(super) fn complete_to(&self) -> u64 {
        // Read first: a change that takes its number after this has a higher one.
        let last = self.changes.last();
        let publishing = self.publishing.iter().map(|shard| shard.load(Ordering::SeqCst)).min();
        last.min(publishing.unwrap_or(u64::MAX).saturating_sub(1))
    }

    /// Whether the connection did not observe before.
    pub(super) fn add_observer(&self, conn: &Arc<Connection>) -> bool {
        let mut observers = self.observers.write();
        let is_new = !observers.iter().any(|one| one.id() == conn.id());
        if is_new {
            observers.push(Arc::clone(conn));
        }
        is_new
    }

    /// Whether the connection observed.
    pub(super) fn remove_observer(&self, conn: &Connection) -> bool {
        let mut observers = self.observers.write();
        let index = observers.iter().position(|one| one.id() == conn.id());
        index.map(|index| observers.swap_remove(index)).is_some()
    }
}
