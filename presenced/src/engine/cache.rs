//! Users come into memory when somebody asks for them, and stay while something needs them. A [`Pinned`] keeps them for
//! as long as a call relies on their entries.

use std::time::Duration;

use presence::{DurablePart, Now, Profile, Report, Status, UserId};

use super::shard::Shard;
use super::{Engine, EngineError};
use crate::connection::outbox::UserRef;
use crate::store::{DurableRow, ReportRow, Row, StoreError};

/// For how long a connect waits for the store.
const CONNECT_WAITS: Duration = Duration::from_millis(150);
/// How often the load of a profile that could not be loaded is tried again.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// What a write was to do that was late: it may be done or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnknownOutcome {
    /// A custom status or a report.
    Change,
    /// To forget the user.
    Forget,
}

/// Users that stay in memory while it lives, in the order asked for.
pub(super) struct Pinned<'a> {
    engine: &'a Engine,
    refs: Vec<UserRef>,
}

impl Pinned<'_> {
    /// Where they are.
    pub(super) fn refs(&self) -> &[UserRef] {
        &self.refs
    }

    /// Keeps the pins and gives them to somebody else.
    pub(super) fn leak(mut self) -> Vec<UserRef> {
        std::mem::take(&mut self.refs)
    }
}

impl Drop for Pinned<'_> {
    fn drop(&mut self) {
        for user in &self.refs {
            self.engine.unpin(*user);
        }
    }
}

impl Engine {
    /// Loads what is not in memory, and pins all.
    pub(super) async fn pin_loaded(&self, users: &[UserId]) -> Result<Pinned<'_>, EngineError> {
        let mut found: Vec<Option<UserRef>> = vec![None; users.len()];
        let mut pinned = Pinned {
            engine: self,
            refs: Vec::with_capacity(users.len()),
        };
        loop {
            let mut missing = Vec::new();
            for (index, user) in users.iter().enumerate() {
                if found[index].is_some() {
                    continue;
                }
                let mut shard = self.shards.of_user(user);
                match shard.find(user) {
                    Some(at) => found[index] = pinned.pin(&mut shard, at),
                    None => missing.push((index, shard.evictions())),
                }
            }
            if missing.is_empty() {
                // In the order asked for, now that all are there.
                pinned.refs = found.into_iter().flatten().collect();
                return Ok(pinned);
            }
            let wanted: Vec<UserId> = missing.iter().map(|(index, _)| users[*index].clone()).collect();
            let rows = self
                .store
                .load_many(&wanted)
                .await
                .map_err(|_| EngineError::StoreUnavailable)?;
            for (((index, evictions), user), row) in missing.into_iter().zip(&wanted).zip(rows) {
                let mut shard = self.shards.of_user(user);
                if shard.find(user).is_none() && shard.may_have_evicted(user, evictions) {
                    continue;
                }
                let now = self.clock.now();
                let at = shard.insert(user, || self.profile_of(user, row, now), self.changes.last());
                found[index] = pinned.pin(&mut shard, at);
            }
        }
    }

    /// Loads and pins a user whose user lock is held, with what the store knows: without that, the order of custom statuses and reports
    /// is not known, and what is made now may look older.
    pub(super) async fn pin_known(&self, user: &UserId) -> Result<(Pinned<'_>, UserRef), EngineError> {
        let pinned = self.pin_loaded(std::slice::from_ref(user)).await?;
        let at = pinned.refs().first().copied().ok_or(EngineError::StoreUnavailable)?;
        let is_degraded = self
            .shards
            .of_ref(at)
            .peek(at)
            .is_some_and(|entry| entry.profile.is_degraded());
        if is_degraded {
            self.reload_locked(at, user).await?;
        }
        Ok((pinned, at))
    }

    /// Pins a user that connects: from memory, from the store if it answers in time, else as ONLINE and `degraded`.
    pub(super) async fn pin_for_connect(&self, user: &UserId) -> Pinned<'_> {
        let loaded = tokio::time::timeout(CONNECT_WAITS, self.pin_loaded(std::slice::from_ref(user))).await;
        if let Ok(Ok(pinned)) = loaded {
            return pinned;
        }
        let mut pinned = Pinned {
            engine: self,
            refs: Vec::new(),
        };
        let mut shard = self.shards.of_user(user);
        let is_new = shard.find(user).is_none();
        let at = shard.insert(user, Profile::fallback, self.changes.last());
        pinned.pin(&mut shard, at);
        if is_new {
            self.metrics.fallbacks.inc();
            if let Some(entry) = shard.entry(at) {
                entry.pins += 1;
            }
            self.degraded.lock().push(at);
        }
        drop(shard);
        pinned
    }

    /// Tries for ever to load the profiles that could not be loaded.
    pub(super) async fn retry_degraded(&self) {
        loop {
            tokio::time::sleep(RETRY_EVERY).await;
            let waiting = std::mem::take(&mut *self.degraded.lock());
            for (index, user) in waiting.iter().enumerate() {
                if self.reload(*user).await.is_err() {
                    // The one that failed goes last: if it fails alone, it keeps nobody else waiting.
                    let mut degraded = self.degraded.lock();
                    degraded.extend_from_slice(&waiting[index + 1..]);
                    degraded.push(*user);
                    break;
                }
                self.unpin(*user);
            }
        }
    }

    /// Reads again what the store knows of users whose write was late, once it is known to be done or to have failed.
    pub(super) async fn refresh_late(&self) {
        loop {
            tokio::time::sleep(RETRY_EVERY).await;
            let late = std::mem::take(&mut *self.late.lock());
            if late.is_empty() {
                continue;
            }
            if self.store.settle_unknown_outcomes().await.is_err() {
                self.late.lock().extend(late);
                continue;
            }
            let mut late = late.into_iter();
            while let Some((user, write)) = late.next() {
                let followed = match write {
                    UnknownOutcome::Change => self.reload(user).await,
                    UnknownOutcome::Forget => self.finish_forgetting(user).await,
                };
                if followed.is_err() {
                    // As above: the one that failed goes last.
                    let mut list = self.late.lock();
                    list.extend(late);
                    list.push((user, write));
                    break;
                }
                if let Some(entry) = self.shards.of_ref(user).entry(user) {
                    entry.late = entry.late.saturating_sub(1);
                }
                self.unpin(user);
            }
        }
    }

    /// A durable write failed. If it may still be done, what the store knows is read again later.
    pub(super) fn refresh_after(&self, error: &StoreError, user: UserRef, write: UnknownOutcome) {
        if matches!(error, StoreError::UnknownOutcome) {
            if let Some(entry) = self.shards.of_ref(user).entry(user) {
                entry.pins += 1;
                entry.late += 1;
            }
            self.late.lock().push((user, write));
        }
    }

    /// One call or outbox less relies on the entry.
    pub(super) fn unpin(&self, user: UserRef) {
        let mut shard = self.shards.of_ref(user);
        self.unpin_in(&mut shard, user);
    }

    /// The same, where the shard is locked already.
    pub(super) fn unpin_in(&self, shard: &mut Shard, user: UserRef) {
        if let Some(entry) = shard.entry(user) {
            entry.pins = entry.pins.saturating_sub(1);
        }
        shard.evict_idle(user);
    }

    /// A stored row as a profile nobody has sessions of.
    fn profile_of(&self, user: &UserId, row: Option<Row>, now: Now) -> Profile {
        let Some(row) = row else { return Profile::default() };
        let mut stored = self.stored_of(user, row, now);
        // Whoever is present, or has a report that holds, came into memory at the start.
        stored.status = Status::Offline;
        stored.durable.reports = Box::default();
        Profile::restore(stored, now.wall)
    }

    async fn reload(&self, user: UserRef) -> Result<(), EngineError> {
        let id = self.shards.of_ref(user).peek(user).map(|entry| entry.user.clone());
        match id {
            Some(id) => {
                let _lock = self.user_lock(&id).lock().await;
                self.reload_locked(user, &id).await
            }
            None => Ok(()),
        }
    }

    /// Reads again what the store knows of a user whose user lock is held.
    async fn reload_locked(&self, user: UserRef, id: &UserId) -> Result<(), EngineError> {
        let row = self.store.load(id).await.map_err(|_| EngineError::StoreUnavailable)?;
        let now = self.clock.now();
        let stored = row.map(|row| self.stored_of(id, row, now)).unwrap_or_default();
        let mut shard = self.shards.of_ref(user);
        if let Some(entry) = shard.entry(user) {
            let before = entry.profile.reports().len();
            entry.profile.handle_load(stored, now.wall);
            self.count_reports(before, entry.profile.reports().len());
        }
        self.recompute(&mut shard, user, now);
        Ok(())
    }

    /// What was stored, as this run may tell it. Reports whose time is up are due at once.
    pub(super) fn stored_of(&self, user: &UserId, row: Row, now: Now) -> presence::profile::Stored {
        let stored = presence::profile::Stored {
            durable: durable_part(row.durable, now),
            status: row.status,
            since: row.since,
            last_seen: row.last_seen,
            last_active: row.last_active,
            revision: self.cluster.restored(row.revision),
        };
        if stored.last_seen.max(stored.last_active).max(stored.since) > Some(now.wall) {
            tracing::warn!(user = ?user, "a stored time lies in the future; it is taken as now");
        }
        stored
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
    // However far the wall clock went back, no report holds for longer than one can.
    const TTL_MAX: Duration = Duration::from_secs(presence::report::REPORT_TTL_MAX_SECONDS);
    Report {
        source: row.source,
        status: row.status,
        since: row.since,
        heard: row.heard,
        version: row.version,
        last_active: row.last_active,
        expires: row.expires_at.map(|at| now.mono.after(at.since(now.wall).min(TTL_MAX))),
    }
}

impl Pinned<'_> {
    fn pin(&mut self, shard: &mut Shard, user: UserRef) -> Option<UserRef> {
        let entry = shard.entry(user)?;
        entry.pins += 1;
        self.refs.push(user);
        Some(user)
    }
}
