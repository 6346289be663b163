//! Forget: an operator removes all that is known of a user, on disk first.

use std::sync::Arc;

use presence::replication::CommandKind;
use presence::{Profile, Reason, Revision, Status, UserId};

use super::persistence::UnknownOutcome;
use super::users::UserLock;
use super::{Engine, EngineError};
use crate::connection::user_pin::UserPin;

/// What forgetting a user in memory came to.
struct Forgotten {
    /// How many connections and reports there were.
    ended: u64,
    /// Whether a change was published since the user was forgotten on disk.
    is_overtaken: bool,
    /// The revision of the removal, above every change before it.
    removed_at: Revision,
}

impl Engine {
    /// Forgets the user (4010). How many connections and reports there were.
    pub(crate) async fn forget(self: &Arc<Self>, user: &UserId) -> Result<u64, EngineError> {
        self.run_durable(user, |engine, lock| async move { engine.forget_locked(&lock).await })
            .await
    }

    async fn forget_locked(self: &Arc<Self>, lock: &UserLock) -> Result<u64, EngineError> {
        let pin = self.load_one(lock.user()).await?;
        if let Some(shared) = self.cluster.shared() {
            // The log first: whoever dies in between leaves a tombstone, whose end deletes the row.
            let ended = self.command(shared, lock.user(), CommandKind::Forget).await?;
            self.forget_stored(shared, lock.user()).await?;
            return Ok(ended);
        }
        let _hold = self.publisher.hold_cursors();
        let revision = self.removal_revision(&pin);
        if let Err(error) = self
            .persistence
            .store
            .forget(lock.user(), revision, self.clock.record_time(None))
            .await
        {
            self.note_failed_write(&error, &pin, UnknownOutcome::Forget);
            return Err(error.into());
        }
        self.finish_forget(lock, &pin, revision).await
    }

    /// The outcome of a removal from the disk was unknown, and the write is over. If it was done, the user is forgotten in
    /// memory too.
    pub(super) async fn settle_forget(&self, pin: &UserPin) -> Result<(), EngineError> {
        let user = self.users.lock(pin).user().clone();
        let lock = self.user_locks.lock(&user).await;
        let row = self.persistence.store.load(&user).await?;
        let known = self.users.lock(pin).state.profile().version();
        // A version is on disk before it is in memory. If the disk has a lower one, the removal was done, and at most the
        // status was written since.
        let is_done = row.is_none_or(|row| row.durable.version < known);
        if is_done {
            let _hold = self.publisher.hold_cursors();
            let revision = self.removal_revision(pin);
            self.persistence
                .store
                .forget(&user, revision, self.clock.record_time(None))
                .await?;
            self.finish_forget(&lock, pin, revision).await?;
            return Ok(());
        }
        // It was not done, or a custom status was set since. Then the status is below the tombstone, and the store
        // drops it unless it is published again.
        let mut entry = self.users.lock(pin);
        entry.state.force_publish();
        let now = self.now_of(&entry);
        self.recompute(&mut entry, now);
        Ok(())
    }

    /// Lets go of the tombstones that are over an hour old, by the clock of this run: a wall clock that was ahead for a moment
    /// must not. No cursor from before them resumes any more. Called more often than once an hour, it does nothing.
    pub(super) async fn sweep_tombstones(&self) {
        if let Some(removed_to) = self.publisher.close_hour(self.clock.mono()) {
            // What fails shows in the store's health; the next hour takes the rest along.
            let _ = self.persistence.store.prune_tombstones(removed_to).await;
        }
    }

    /// The revision at which a user would be removed now.
    fn removal_revision(&self, pin: &UserPin) -> Revision {
        let before = self.users.lock(pin).state.profile().revision();
        self.cluster.next_revision(before, self.clock.record_time(None))
    }

    /// Forgets in memory what was forgotten on disk with this revision. How many connections and reports there were.
    async fn finish_forget(&self, lock: &UserLock, pin: &UserPin, revision: Revision) -> Result<u64, EngineError> {
        let forgotten = self.forget_in_memory(pin, revision);
        if forgotten.is_overtaken {
            self.forget_again(lock, pin, forgotten.removed_at).await?;
        }
        Ok(forgotten.ended)
    }

    fn forget_in_memory(&self, pin: &UserPin, revision: Revision) -> Forgotten {
        let mut entry = self.users.lock(pin);
        let now = self.now_of(&entry);
        let profile = entry.state.profile();
        let is_overtaken = profile.revision() > revision;
        let publishing = self.publisher.begin(&entry);
        let removed_at = self.cluster.next_revision(revision.max(profile.revision()), now.wall);
        let was_known = *profile != Profile::default() || !entry.connections().is_empty();
        let was_present = entry.listing.status();
        let ended = entry.state.forget() as u64;
        entry.close_connections(CommandKind::Forget);
        self.recompute(&mut entry, now);
        if let Some(status) = was_present {
            self.metrics.transition(status, Status::Offline, Reason::NoSession);
        }
        // The tombstone is told even of who was not known in memory.
        self.cluster.note_removal(removed_at);
        if was_known {
            self.publisher.publish_removal(&publishing, &mut entry, now, removed_at);
        } else {
            self.publisher.pass(removed_at);
        }
        Forgotten {
            ended,
            is_overtaken,
            removed_at,
        }
    }

    /// What changed while the store was forgetting may have been written after that.
    async fn forget_again(&self, lock: &UserLock, pin: &UserPin, removed_at: Revision) -> Result<(), EngineError> {
        let forgotten = self
            .persistence
            .store
            .forget(lock.user(), removed_at, self.clock.record_time(None))
            .await;
        let mut entry = self.users.lock(pin);
        if entry.state.profile().revision() > removed_at {
            // The user is back already, and may have been written in between.
            self.persistence.write_behind.write_soon(&mut entry);
        }
        Ok(forgotten?)
    }
}
