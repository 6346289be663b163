//! Kick: an operator ends all sessions of a user.

use std::sync::Arc;

use presence::UserId;
use presence::replication::CommandKind;

use super::cache::durable_part;
use super::persistence::UnknownOutcome;
use super::users::UserLock;
use super::{Engine, EngineError};
use crate::connection::user_pin::UserPin;
use crate::store::{DurableRow, StoreError};

impl Engine {
    /// Ends connections (4003), reports and grace periods. How many connections and reports there were.
    pub(crate) async fn kick(self: &Arc<Self>, user: &UserId) -> Result<u64, EngineError> {
        self.run_durable(user, |engine, lock| async move { engine.kick_locked(&lock).await })
            .await
    }

    async fn kick_locked(self: &Arc<Self>, lock: &UserLock) -> Result<u64, EngineError> {
        if self.persistence.write_behind.has_expired_report(lock.user()) {
            // A start with an early clock would show it again.
            self.persistence.write_expired_reports().await?;
        }
        let Some(pin) = self.pin_if_present(lock.user()).await? else {
            return Ok(0);
        };
        // Reports outlive a restart, so they must be off the disk before their end is published.
        let reports_ended = self.end_stored_reports(lock, &pin).await?;
        if let Some(shared) = self.cluster.shared() {
            let is_absent = {
                let entry = self.users.lock(&pin);
                !entry.state.is_connected() && entry.listing.status().is_none()
            };
            if is_absent && reports_ended.is_none() {
                return Ok(0);
            }
            return self.command(shared, lock.user(), CommandKind::Kick).await;
        }
        let mut entry = self.users.lock(&pin);
        let now = self.now_of(&entry);
        let ended = entry.state.kick(now, reports_ended.map(|row| durable_part(row, now)));
        entry.close_connections(CommandKind::Kick);
        self.limits.forgive_published_changes(lock.user());
        self.recompute(&mut entry, now);
        Ok(ended as u64)
    }

    /// Takes reports off the disk, if there may be any. What the store has then.
    pub(super) async fn end_stored_reports(
        &self,
        lock: &UserLock,
        pin: &UserPin,
    ) -> Result<Option<DurableRow>, StoreError> {
        let (has_reports, proposed) = {
            let entry = self.users.lock(pin);
            let profile = entry.state.profile();
            (!profile.reports().is_empty(), profile.version())
        };
        if !has_reports && !self.persistence.unknown_outcomes.concerns(pin.user()) {
            return Ok(None);
        }
        let ended = self.persistence.store.end_reports(lock.user(), proposed).await;
        ended
            .inspect_err(|error| self.note_failed_write(error, pin, UnknownOutcome::Change))
            .map(Some)
    }

    /// The user in memory, if it may be present. On a node that is alone everyone who is present is in memory, so the store
    /// need not be asked.
    pub(super) async fn pin_if_present(self: &Arc<Self>, user: &UserId) -> Result<Option<UserPin>, StoreError> {
        match self.users.pin(user) {
            Some(pin) => Ok(Some(pin)),
            None if self.cluster.may_be_present_elsewhere(user) => self.load_one(user).await.map(Some),
            None => Ok(None),
        }
    }
}
