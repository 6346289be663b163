//! Users are loaded into memory on demand and stay while something needs them. A load that failed is retried later.

use std::time::Duration;

use presence::profile::Stored;
use presence::{DurablePart, Now, Profile, Report, Status, UserId, Wall};

use super::persistence::UnknownOutcome;
use super::users::{LockedEntry, UserLock, UserState};
use super::{Engine, EngineError};
use crate::connection::user_pin::UserPin;
use crate::store::{DurableRow, ReportRow, Row, StoreError};

/// For how long a connect waits for the store.
const CONNECT_WAITS: Duration = Duration::from_millis(150);
/// How often what could not be loaded is tried again.
pub(super) const RETRY_EVERY: Duration = Duration::from_secs(1);

impl Engine {
    /// The users in memory, loaded if they are not, in the order asked for.
    pub(super) async fn load(&self, users: &[UserId]) -> Result<Vec<UserPin>, StoreError> {
        let mut found: Vec<Option<UserPin>> = vec![None; users.len()];
        loop {
            let mut missing = Vec::new();
            for (index, (user, found)) in users.iter().zip(&mut found).enumerate() {
                if found.is_none() {
                    match self.users.pin(user) {
                        Ok(pin) => *found = Some(pin),
                        Err(evictions) => missing.push((index, evictions)),
                    }
                }
            }
            if missing.is_empty() {
                return Ok(found.into_iter().flatten().collect());
            }
            let wanted: Vec<UserId> = missing.iter().map(|(index, _)| users[*index].clone()).collect();
            let rows = self.persistence.store.load_many(&wanted).await?;
            for (((index, evictions), user), row) in missing.into_iter().zip(&wanted).zip(rows) {
                let load = || (self.state_of(user, row), self.publisher.loaded());
                found[index] = self.users.pin_loaded(user, evictions, load);
            }
        }
    }

    /// One user in memory, loaded if it is not.
    pub(super) async fn load_one(&self, user: &UserId) -> Result<UserPin, StoreError> {
        loop {
            let evictions = match self.users.pin(user) {
                Ok(pin) => return Ok(pin),
                Err(evictions) => evictions,
            };
            let row = self.persistence.store.load(user).await?;
            let load = || (self.state_of(user, row), self.publisher.loaded());
            if let Some(pin) = self.users.pin_loaded(user, evictions, load) {
                return Ok(pin);
            }
        }
    }

    /// The user in memory with its durable part: a fallback profile does not have the version that a write must exceed.
    pub(super) async fn load_known(&self, lock: &UserLock) -> Result<UserPin, StoreError> {
        let pin = self.load_one(lock.user()).await?;
        let is_degraded = self.users.lock(&pin).state.is_degraded();
        if is_degraded {
            self.reload(&pin, lock).await?;
        }
        Ok(pin)
    }

    /// The user in memory for a connect: from the store if it answers in time, else as ONLINE and `degraded`.
    pub(super) async fn load_for_connect(&self, user: &UserId) -> UserPin {
        if let Ok(Ok(pin)) = tokio::time::timeout(CONNECT_WAITS, self.load_one(user)).await {
            return pin;
        }
        let mut is_new = false;
        let entry = self.users.insert(user, || {
            is_new = true;
            let state = UserState::new(Profile::fallback(), self.cluster.contributions_of(user));
            (state, self.publisher.loaded())
        });
        if is_new {
            self.metrics.fallbacks.inc();
            self.persistence.pending_loads.push(entry.pin());
        }
        entry.pin()
    }

    /// Retries the loads that failed; stops at the first failure.
    pub(super) async fn retry_loads(&self) {
        for _ in 0..self.persistence.pending_loads.len() {
            let Some(user) = self.persistence.pending_loads.first() else {
                return;
            };
            if self.refresh(&user).await.is_err() {
                return self.persistence.pending_loads.postpone();
            }
            self.persistence.pending_loads.finish();
        }
    }

    /// Reloads the users with a write of unknown outcome, once those writes are over; stops at the first failure.
    pub(super) async fn settle_unknown_outcomes(&self) {
        let count = self.persistence.unknown_outcomes.len();
        if count == 0 {
            return;
        }
        #[cfg(test)]
        self.persistence.unknown_outcomes.begin();
        if self.persistence.store.settle_unknown_outcomes().await.is_err() {
            return;
        }
        for _ in 0..count {
            let Some((user, write)) = self.persistence.unknown_outcomes.first() else {
                return;
            };
            let followed = match write {
                UnknownOutcome::Change => self.refresh(&user).await,
                UnknownOutcome::Forget => self.settle_forget(&user).await,
            };
            if followed.is_err() {
                return self.persistence.unknown_outcomes.postpone();
            }
            self.persistence.unknown_outcomes.finish();
        }
    }

    /// A durable write failed. If its outcome is unknown, the user is reloaded later.
    pub(super) fn note_failed_write(&self, error: &StoreError, user: &UserPin, write: UnknownOutcome) {
        if matches!(error, StoreError::UnknownOutcome) {
            self.persistence.unknown_outcomes.push(user.clone(), write);
        }
    }

    /// The stored profile, with this run's revision floor applied. Reports past their deadline are due at once.
    pub(super) fn stored_of(&self, user: &UserId, row: Row, now: Now) -> Stored {
        let stored = Stored {
            durable: durable_part(row.durable, now),
            status: row.status,
            since: row.since,
            last_seen: row.last_seen,
            last_active: row.last_active,
            revision: self.cluster.restored(row.revision),
        };
        if stored.last_seen.max(stored.last_active).max(stored.since) > Some(now.wall) {
            tracing::warn!(user = ?user, "a stored time is in the future; it is clamped to now");
        }
        stored
    }

    async fn refresh(&self, user: &UserPin) -> Result<(), EngineError> {
        let id = self.users.lock(user).user().clone();
        let lock = self.user_locks.lock(&id).await;
        Ok(self.reload(user, &lock).await?)
    }

    /// Loads a user again that is in memory.
    async fn reload(&self, user: &UserPin, lock: &UserLock) -> Result<(), StoreError> {
        let row = self.persistence.store.load(lock.user()).await?;
        let mut entry: LockedEntry<'_> = self.users.lock(user);
        let now = self.now_of(&entry);
        let stored = row.map(|row| self.stored_of(lock.user(), row, now)).unwrap_or_default();
        entry.state.load(stored, now.wall);
        self.recompute(&mut entry, now);
        Ok(())
    }

    /// A stored row as the state of a user without sessions on this node.
    fn state_of(&self, user: &UserId, row: Option<Row>) -> UserState {
        let now = self.clock.read().for_user(None);
        let profile = row.map_or_else(Profile::default, |row| {
            let mut stored = self.stored_of(user, row, now);
            // Users that are present, or have a report that holds, came into memory at the start.
            stored.status = Status::Offline;
            stored.durable.reports = Box::default();
            Profile::restore(stored, now.wall)
        });
        UserState::new(profile, self.cluster.contributions_of(user))
    }
}

/// What the store has of custom status and reports, with deadlines on the monotonic clock. After a write, `now` is the
/// moment from which the written deadline was computed: it then comes back as it was, however the wall clock jumped.
pub(super) fn durable_part(row: DurableRow, now: Now) -> DurablePart {
    DurablePart {
        version: row.version,
        preference: row.preference,
        reports: row.reports.into_iter().map(|report| restored(report, now)).collect(),
    }
}

fn restored(row: ReportRow, now: Now) -> Report {
    // Both were computed from one reading of the clock. However far it went back since, no report holds for longer than
    // it was to hold when it was heard.
    let ttl = |at: Wall| at.since(row.heard);
    Report {
        source: row.source,
        status: row.status,
        since: row.since,
        heard: row.heard,
        version: row.version,
        last_active: row.last_active,
        expires: row.expires_at.map(|at| now.mono.after(at.since(now.wall).min(ttl(at)))),
    }
}
