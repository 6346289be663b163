//! What is loaded of a user becomes its state in memory, and is loaded again if it could not be, or if it is not known what a
//! write came to.

use std::sync::Arc;
use std::time::Duration;

use presence::profile::Stored;
use presence::replication::CLOCKS_DIFFER_MAX;
use presence::{CustomStatus, DurablePart, Now, Profile, Report, Revision, Status, UserId, Wall};

use super::persistence::UnknownOutcome;
use super::publisher::Publication;
use super::users::{LockedEntry, UserLock, UserState};
use super::{Engine, EngineError};
use crate::connection::user_pin::UserPin;
use crate::store::{DurableRow, RECONNECT_MAX, ReportRow, Row, StoreError};

/// How often what could not be loaded is tried again.
pub(super) const RETRY_EVERY: Duration = Duration::from_secs(1);
/// Users that are loaded again together: some 5 ms of reading, which who connects meanwhile waits for.
const RELOADED_TOGETHER_MAX: usize = 512;

impl Engine {
    /// The user in memory with its durable part: a fallback profile does not have the version that a write must exceed.
    ///
    /// A store that was away a moment ago may refuse to read with the error of before: it is asked once more when that is over.
    pub(super) async fn load_known(self: &Arc<Self>, lock: &UserLock) -> Result<UserPin, StoreError> {
        match self.try_load_known(lock).await {
            Err(StoreError::Unavailable { .. }) => {
                tokio::time::sleep(RECONNECT_MAX).await;
                self.try_load_known(lock).await
            }
            known => known,
        }
    }

    async fn try_load_known(self: &Arc<Self>, lock: &UserLock) -> Result<UserPin, StoreError> {
        let pin = self.load_one(lock.user()).await?;
        let is_assumed = self.users.lock(&pin).state.is_assumed();
        if is_assumed {
            self.reload(&pin, lock).await?;
        }
        Ok(pin)
    }

    /// The user in memory for a connect: from the store if it answers in time, else as ONLINE and `degraded`.
    pub(super) async fn load_for_connect(self: &Arc<Self>, user: &UserId) -> UserPin {
        match tokio::time::timeout(self.options.connect_waits, self.load_one(user)).await {
            Ok(Ok(pin)) => pin,
            Ok(Err(_)) | Err(_) => self.insert_fallback(user, CustomStatus::Online),
        }
    }

    /// The user in memory without what is stored of it, if it is not there already: that is loaded once it can be read. Until
    /// then this custom status is assumed.
    pub(super) fn insert_fallback(&self, user: &UserId, assumed: CustomStatus) -> UserPin {
        let mut is_new = false;
        let entry = self.users.insert(user, || {
            is_new = true;
            let state = UserState::new(Profile::fallback(assumed), self.cluster.contributions_of(user));
            (state, Publication::default())
        });
        if is_new {
            self.metrics.fallbacks.inc();
            self.persistence.pending_loads.push(entry.pin());
        }
        entry.pin()
    }

    /// Loads all users again that are shown without what is stored of them.
    pub(super) async fn retry_loads(&self) {
        self.load_pending(&self.persistence.pending_loads.all()).await;
    }

    /// The same for those that are due: a row that can't be understood is read less and less often, as long as it is needed.
    pub(super) async fn retry_due_loads(&self) {
        let loads = &self.persistence.pending_loads;
        for pin in loads.postponed() {
            let entry = self.users.lock(&pin);
            if !entry.is_needed() || !entry.state.is_assumed() {
                loads.finish(&pin);
            }
        }
        self.load_pending(&loads.due(self.clock.mono())).await;
    }

    /// Together and before everyone else. Ends at the first part that fails as a whole.
    async fn load_pending(&self, pending: &[UserPin]) {
        for pins in pending.chunks(RELOADED_TOGETHER_MAX) {
            let users: Vec<UserId> = pins.iter().map(|pin| self.users.lock(pin).user().clone()).collect();
            let Ok(rows) = self.persistence.store.load_first(&users).await else {
                return;
            };
            let mut is_any_answered = false;
            for ((pin, user), row) in pins.iter().zip(&users).zip(rows) {
                let is_over = match row {
                    Ok(row) => {
                        self.end_fallback(pin, user, row);
                        true
                    }
                    // Whoever needs the user next reads the row again.
                    Err(StoreError::Refused { .. }) => {
                        self.persistence.pending_loads.postpone(pin, self.clock.mono());
                        !self.users.lock(pin).is_needed()
                    }
                    Err(_) => continue,
                };
                is_any_answered = true;
                if is_over {
                    self.persistence.pending_loads.finish(pin);
                }
            }
            if !is_any_answered {
                return;
            }
        }
    }

    /// What is stored of the user takes the place of its fallback profile. Every durable change of a user loads it first, so
    /// while it has the fallback no change was made since the row was read.
    fn end_fallback(&self, pin: &UserPin, user: &UserId, row: Option<Row>) {
        let mut entry = self.users.lock(pin);
        let now = entry.state.now(self.clock.read_for_loads());
        let now = self.now_of_row(row.as_ref(), now);
        if entry.state.is_assumed() {
            let stored = row.map(|row| self.stored_of(user, row, now)).unwrap_or_default();
            entry.state.load(stored, now.wall);
            self.recompute(&mut entry, now);
            self.write_back_clamped(&mut entry);
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

    /// The present of a user who is loaded.
    pub(super) fn now_of_row(&self, row: Option<&Row>, now: Now) -> Now {
        match row.filter(|_| self.is_shared()) {
            Some(row) => Now {
                wall: goes_on_from(row.times(), now.wall),
                ..now
            },
            None => now,
        }
    }

    /// The stored profile. Reports past their deadline are due at once.
    pub(super) fn stored_of(&self, user: &UserId, row: Row, now: Now) -> Stored {
        let stored = Stored {
            durable: durable_part(row.durable, now),
            status: row.status,
            since: row.since,
            last_seen: row.last_seen,
            last_active: row.last_active,
            revision: self.told_of_row(user, row.revision, now.wall),
        };
        if stored.latest_time() > Some(now.wall) {
            tracing::warn!(user = ?user, "a stored time is in the future; it is taken as now, and written back");
        }
        stored
    }

    /// The revision at which a row is told here.
    pub(super) fn told_of_row(&self, user: &UserId, row: Revision, now: Wall) -> Revision {
        let shared = self.cluster.shared();
        shared.map_or(row, |shared| shared.told_of_row(user, row, now))
    }

    async fn refresh(&self, user: &UserPin) -> Result<(), EngineError> {
        let id = self.users.lock(user).user().clone();
        let lock = self.user_locks.lock(&id).await;
        self.reload(user, &lock).await?;
        if let Some(shared) = self.cluster.shared() {
            // Also of a user who is in no state.
            self.tell_part_if_allowed(shared, &self.users.lock(user));
        }
        Ok(())
    }

    /// Loads a user again that is in memory.
    async fn reload(&self, user: &UserPin, lock: &UserLock) -> Result<(), StoreError> {
        let row = self.persistence.store.load(lock.user()).await?;
        let mut entry: LockedEntry<'_> = self.users.lock(user);
        let now = entry.state.now(self.clock.read_for_loads());
        let now = self.now_of_row(row.as_ref(), now);
        let stored = row.map(|row| self.stored_of(lock.user(), row, now)).unwrap_or_default();
        let is_ahead = stored.revision > entry.state.profile().revision();
        entry.state.load(stored, now.wall);
        self.recompute(&mut entry, now);
        if is_ahead {
            // A custom status was stored with a revision that was not known here, and the disk has dropped the status of a lower one.
            self.persistence.write_behind.write_soon(&mut entry);
        }
        self.write_back_clamped(&mut entry);
        Ok(())
    }

    /// Times that were taken back from the future are written, so that the next load does not take them back to another now.
    pub(super) fn write_back_clamped(&self, entry: &mut LockedEntry<'_>) {
        if entry.state.profile().is_clamped() {
            self.persistence.write_behind.write_soon(entry);
        }
    }

    /// A stored row as the state of a user without sessions on this node.
    pub(super) fn state_of(&self, user: &UserId, row: Option<Row>) -> UserState {
        let now = self.clock.read_for_loads().for_user(None);
        let now = self.now_of_row(row.as_ref(), now);
        let profile = row.map_or_else(Profile::default, |row| {
            let mut stored = self.stored_of(user, row, now);
            // Alone, who is present or has a report that holds came into memory at the start. Among others the log may be about to
            // tell a report that another node wrote.
            let may_hold = |report: &Report| self.is_shared() && report.expires.is_none_or(|at| at > now.mono);
            let reports = std::mem::take(&mut stored.durable.reports);
            stored.status = Status::Offline;
            stored.durable.reports = reports.into_iter().filter(may_hold).collect();
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

/// The present of a user of whom other nodes have written times: their clocks of records may have had them already. Those of
/// clocks that were wrong don't count.
fn goes_on_from(written: impl Iterator<Item = Wall>, now: Wall) -> Wall {
    let written = written.filter(|time| time.since(now) <= CLOCKS_DIFFER_MAX);
    written.fold(now, Wall::max)
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
        said: row.said,
        last_active: row.last_active,
        expires: row.expires_at.map(|at| now.mono.after(at.since(now.wall).min(ttl(at)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_the_clock_of_another_node_had_is_gone_on_from() {
        let now = Wall::from_millis(100_000);
        let written = [99_000, 100_300, 102_200, 102_201].map(Wall::from_millis);
        let presents = written.map(|written| goes_on_from(std::iter::once(written), now).as_millis());
        // The last one is of a clock that was wrong.
        assert_eq!(presents, [100_000, 100_300, 102_200, 100_000]);
        assert_eq!(goes_on_from(written.into_iter(), now).as_millis(), 102_200);
    }
}
