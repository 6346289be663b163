//! Kick: an operator ends all sessions of a user.

use std::sync::Arc;

use presence::UserId;

use super::persistence::UnknownOutcome;
use super::users::UserLock;
use super::{Engine, EngineError};
use crate::connection::close_reason::CloseReason;
use crate::connection::user_pin::UserPin;
use crate::store::StoreError;

impl Engine {
    /// Ends connections (4003), reports and grace periods. How many connections and reports there were.
    pub(crate) async fn kick(self: &Arc<Self>, user: &UserId) -> Result<u64, EngineError> {
        self.run_durable(user, |engine, lock| async move { engine.kick_locked(&lock).await })
            .await
    }

    async fn kick_locked(&self, lock: &UserLock) -> Result<u64, EngineError> {
        let Some(pin) = self.pin_if_present(lock.user()).await? else {
            return Ok(0);
        };
        // Reports outlive a restart, so they must be off the disk before anybody is told that they ended.
        let has_reports = !self.users.lock(&pin).state.profile().reports().is_empty();
        if (has_reports || self.persistence.unknown_outcomes.concerns(&pin))
            && let Err(error) = self.persistence.store.end_reports(lock.user()).await
        {
            self.note_failed_write(&error, &pin, UnknownOutcome::Change);
            return Err(error.into());
        }
        let mut entry = self.users.lock(&pin);
        let ended = entry.state.kick();
        for conn in entry.take_connections() {
            conn.close_with(CloseReason::Kicked);
        }
        self.recompute(&mut entry, self.clock.now());
        Ok(ended as u64)
    }

    /// The user in memory, if it may be present. On a node that is alone everyone who is present is in memory, so the store
    /// need not be asked.
    async fn pin_if_present(&self, user: &UserId) -> Result<Option<UserPin>, StoreError> {
        match self.users.pin(user) {
            Ok(pin) => Ok(Some(pin)),
            Err(_) if self.cluster.may_be_present_elsewhere(user) => self.load_one(user).await.map(Some),
            Err(_) => Ok(None),
        }
    }
}
