//! The publisher: the node's order of changes, the observers, and the fan-out of a change to the outboxes of its audience.
//! Sending from the outboxes is the delivery's task ([`delivery`]).

pub(super) mod changes;
pub(super) mod delivery;
mod encode;
mod fan_out;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use presence::{Audience, Cursor, History, Mono, Now, Revision};

use self::changes::{Changes, Since};
use super::metrics::EngineMetrics;
use super::throughput::Throughput;
use super::users::{LockedEntry, SHARDS};
use crate::connection::Connection;
use crate::connection::ready::Ready;
use crate::store::PastChanges;

/// The publisher's note about one user.
#[derive(Debug)]
pub(super) struct Publication {
    /// The revision at which the user was removed; [`Revision::NEVER`] if not, or if something was published since.
    removed_at: Revision,
    /// Until when the limit holds back what changed; [`Self::NOT_HELD`] if nothing is held. A sentinel instead of an `Option`
    /// keeps an entry small.
    held_until: Mono,
}

impl Default for Publication {
    fn default() -> Self {
        Self {
            removed_at: Revision::NEVER,
            held_until: Self::NOT_HELD,
        }
    }
}

impl Publication {
    const NOT_HELD: Mono = Mono::from_millis(u64::MAX);

    /// Until when the limit holds back what changed.
    pub(super) fn held_until(&self) -> Option<Mono> {
        (self.held_until != Self::NOT_HELD).then_some(self.held_until)
    }

    /// What changed is held back until then; nothing is, if none.
    pub(super) fn hold(&mut self, until: Option<Mono>) {
        self.held_until = until.unwrap_or(Self::NOT_HELD);
    }

    /// The revision at which the user was removed, if nothing was published since.
    pub(super) fn removed_at(&self) -> Option<Revision> {
        (self.removed_at != Revision::NEVER).then_some(self.removed_at)
    }

    /// The disk tells that the user was removed, of which nothing was known.
    pub(super) fn note_removed(&mut self, at: Revision) {
        self.removed_at = at;
    }
}

/// A change takes its revision and is marked: until that is done, no cursor covers it.
pub(super) struct Publishing<'a> {
    slot: &'a AtomicU64,
    /// What the slot held: a change may contain another.
    outer: u64,
    /// The revision of the user's change before.
    before: Revision,
}

impl Publishing<'_> {
    /// The change is marked everywhere: cursors may cover it.
    fn end(&self) {
        self.slot.store(self.outer, Ordering::SeqCst);
    }
}

impl Drop for Publishing<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// A user is being removed from the disk: until that is published, no cursor covers the revision that the disk has.
pub(super) struct CursorHold<'a> {
    held: &'a Mutex<Vec<u64>>,
    from: u64,
}

impl Drop for CursorHold<'_> {
    fn drop(&mut self) {
        let mut held = self.held.lock();
        if let Some(index) = held.iter().position(|from| *from == self.from) {
            held.swap_remove(index);
        }
    }
}

/// Orders changes and hands them to the outboxes.
pub(super) struct Publisher {
    changes: Changes,
    /// A lower bound of the revision of the change that each shard is publishing; `u64::MAX` while none.
    publishing: Box<[AtomicU64]>,
    /// Lower bounds of the revisions of removals that are on their way to the disk.
    held: Mutex<Vec<u64>>,
    /// The connections that watch everyone.
    observers: RwLock<Vec<Arc<Connection>>>,
    ready: Arc<Ready>,
    throughput: Arc<Throughput>,
    metrics: Arc<EngineMetrics>,
}

impl Publisher {
    /// `floor` is what revisions of this run are above.
    pub(super) fn new(
        incarnation: u64,
        floor: Revision,
        ready: Arc<Ready>,
        throughput: Arc<Throughput>,
        metrics: Arc<EngineMetrics>,
    ) -> Self {
        Self {
            changes: Changes::new(incarnation, floor),
            publishing: (0..SHARDS).map(|_| AtomicU64::new(u64::MAX)).collect(),
            held: Mutex::default(),
            observers: RwLock::default(),
            ready,
            throughput,
            metrics,
        }
    }

    /// The previous run ended cleanly: its cursors resume.
    pub(super) fn continue_from(&self, now: Mono, past: PastChanges) {
        self.changes.continue_from(now, past);
    }

    /// What a run that ends now leaves to the next one; `to` is above its revisions.
    pub(super) fn history(&self, to: Revision) -> History {
        self.changes.history(to)
    }

    /// To be called before a change of the user takes its revision.
    pub(super) fn begin(&self, entry: &LockedEntry<'_>) -> Publishing<'_> {
        let slot = &self.publishing[entry.at().shard()];
        let outer = slot.load(Ordering::SeqCst);
        slot.store(outer.min(self.changes.last() + 1), Ordering::SeqCst);
        Publishing {
            slot,
            outer,
            before: entry.changed_at(),
        }
    }

    /// To be called before the removal of a user takes the revision that goes to the disk.
    pub(super) fn hold_cursors(&self) -> CursorHold<'_> {
        let from = self.changes.last() + 1;
        self.held.lock().push(from);
        CursorHold { held: &self.held, from }
    }

    /// Remembers a change of the user, and marks the user dirty in the outbox of everyone in the audience.
    pub(super) fn publish(
        &self,
        publishing: &Publishing<'_>,
        entry: &mut LockedEntry<'_>,
        now: Now,
        audience: Audience,
    ) {
        entry.publication.removed_at = Revision::NEVER;
        self.fan_out(publishing, entry, now, audience);
    }

    /// Publishes that the user was removed at this revision.
    pub(super) fn publish_removal(
        &self,
        publishing: &Publishing<'_>,
        entry: &mut LockedEntry<'_>,
        now: Now,
        revision: Revision,
    ) {
        entry.publication.removed_at = revision;
        self.fan_out(publishing, entry, now, Audience::Everyone);
    }

    /// The revision is on disk, of something that nobody need be told: cursors may cover it.
    pub(super) fn pass(&self, revision: Revision) {
        self.changes.pass(revision);
    }

    /// The cursor after all changes up to this revision.
    pub(super) fn cursor(&self, watermark: u64) -> Cursor {
        self.changes.cursor(watermark)
    }

    /// The revision after which everything is known to a client that has this cursor. None if it does not resume.
    pub(super) fn resume(&self, cursor: Cursor) -> Option<Revision> {
        self.changes.resume(cursor)
    }

    /// Each user that changed after this revision, once; none if that is not known.
    pub(super) fn changed_since(&self, revision: Revision) -> Option<Vec<Since>> {
        self.changes.since(revision)
    }

    /// When an hour is over: up to which revision no cursor needs to be told of removals any more.
    pub(super) fn close_hour(&self, now: Mono) -> Option<Revision> {
        self.changes.close_hour(now, Revision::new(self.complete_to()))
    }

    /// How many remembered changes were looked at so far.
    #[cfg(test)]
    pub(super) fn visits(&self) -> u64 {
        self.changes.visits()
    }

    /// Cursors are those of a history that nodes share.
    pub(super) fn share(&self, history: u64) {
        self.changes.share(history);
    }

    /// Changes up to this revision were not seen by this node.
    pub(super) fn begin_after(&self, revision: Revision) {
        self.changes.begin_after(revision);
    }

    /// The highest revision such that every change up to it has been marked in the outboxes of its audience.
    pub(super) fn complete_to(&self) -> u64 {
        // Read first: a change that takes its revision after this has a higher one.
        let last = self.changes.last();
        let publishing = self.publishing.iter().map(|shard| shard.load(Ordering::SeqCst)).min();
        let held = self.held.lock().iter().copied().min();
        let begun = publishing.unwrap_or(u64::MAX).min(held.unwrap_or(u64::MAX));
        last.min(begun.saturating_sub(1))
    }

    /// The connections that watch everyone.
    pub(super) fn observers(&self) -> Vec<Arc<Connection>> {
        self.observers.read().clone()
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
