//! Custom statuses: on disk first, then shown. What was acknowledged is never lost and never overwritten by an older one.

use std::sync::Arc;

use presence::wire::record::{Record, Viewer};
use presence::{Actor, CustomStatus, Now, Reading, Revision, Setter, UserId, Version};

use super::cache::durable_part;
use super::persistence::UnknownOutcome;
use super::users::{LockedEntry, UserLock};
use super::{Engine, EngineError};
use crate::connection::Connection;
use crate::connection::user_pin::UserPin;
use crate::store::{DurableRow, NewPreference, StoreError};

/// A custom status that is asked for.
#[derive(Clone, Copy)]
struct NewCustomStatus {
    custom: CustomStatus,
    setter: Setter,
    /// When it was asked for, which may be long before the disk has it: that is when the user did something.
    taken: Reading,
}

/// A custom status that is on disk.
struct SavedCustomStatus {
    row: DurableRow,
    setter: Setter,
    /// When it was asked for, in the time of the user.
    taken: Now,
    /// What the row has as its revision.
    revision: Revision,
}

impl Engine {
    /// Sets a user's custom status. The record as `viewer` may see it.
    pub(crate) async fn set_custom_status(
        self: &Arc<Self>,
        user: &UserId,
        custom: CustomStatus,
        actor: Actor,
        viewer: Viewer,
    ) -> Result<Record, EngineError> {
        let taken = self.clock.read();
        self.limits.take_custom_status(user, taken.mono)?;
        let setter = match actor {
            Actor::User => Setter::Request,
            Actor::Operator => Setter::Operator,
        };
        let new = NewCustomStatus { custom, setter, taken };
        self.run_durable(user, move |engine, lock| async move {
            engine.save_custom_status(&lock, new, viewer).await
        })
        .await
    }

    /// Sets the custom status of a connection's user. The own record; none for an observer.
    pub(crate) async fn set_own_custom_status(
        self: &Arc<Self>,
        conn: &Arc<Connection>,
        custom: CustomStatus,
    ) -> Result<Option<Record>, EngineError> {
        let Some(user) = conn.user() else { return Ok(None) };
        let taken = self.clock.read();
        self.limits.take_custom_status(user, taken.mono)?;
        let setter = Setter::Connection(conn.id());
        let new = NewCustomStatus { custom, setter, taken };
        let conn = Arc::clone(conn);
        self.run_durable(user, move |engine, lock| async move {
            if engine.session_entry(&conn).is_none() {
                // The session ended while this request waited, perhaps because the user was forgotten, and must not create
                // the user again. Its close reason can't tell: the first one stays, whatever follows.
                return Err(StoreError::Forgotten.into());
            }
            let saved = engine.save_custom_status(&lock, new, Viewer::Own);
            saved.await.map(Some)
        })
        .await
    }

    async fn save_custom_status(
        self: &Arc<Self>,
        lock: &UserLock,
        new: NewCustomStatus,
        viewer: Viewer,
    ) -> Result<Record, EngineError> {
        let NewCustomStatus { custom, setter, taken } = new;
        let pin = self.load_known(lock).await?;
        let taken = {
            let entry = self.users.lock(&pin);
            entry.state.asked_at(taken, self.now_of(&entry))
        };
        let preference = NewPreference {
            custom,
            set_at: taken.wall,
            set_by: setter.actor(),
        };
        let (proposed, revision) = self.proposal(&self.users.lock(&pin), custom);
        let store = &self.persistence.store;
        let saved = store.save_preference(lock.user(), preference, proposed, revision).await;
        let saved = saved.inspect_err(|error| self.note_failed_write(error, &pin, UnknownOutcome::Change))?;
        let saved = SavedCustomStatus {
            row: saved,
            setter,
            taken,
            revision,
        };
        self.apply_custom_status(&pin, saved);
        Ok(self.record_after_write(&pin, viewer).await)
    }

    /// The custom status is on disk: it takes effect.
    fn apply_custom_status(&self, pin: &UserPin, saved: SavedCustomStatus) {
        let SavedCustomStatus {
            row,
            setter,
            taken,
            revision,
        } = saved;
        let mut entry = self.users.lock(pin);
        let now = self.now_of(&entry);
        self.expire(&mut entry, now);
        let part = durable_part(row, now);
        entry.state.set_preference(now, part);
        entry.state.note_preference(taken, setter, &self.options.timers);
        if setter.actor() == Actor::User && entry.state.is_present() {
            self.persistence.write_behind.write_soon(&mut entry);
        }
        // The row has this revision now, whether anything is published or not.
        self.publisher.pass(revision);
        self.recompute(&mut entry, now);
    }

    /// The version to propose to the store, and the revision to store the custom status with.
    fn proposal(&self, entry: &LockedEntry<'_>, custom: CustomStatus) -> (Version, Revision) {
        let profile = entry.state.profile();
        let current = profile.revision();
        let revision = if profile.preference().custom == custom && current != Revision::NEVER {
            // No revision of its own: a status that waits to be written must not look older than this.
            current
        } else {
            // Above the tombstone, if there is one: the store drops writes below it.
            self.cluster.next_revision(current, self.clock.record_time(None))
        };
        (profile.version(), revision)
    }
}
