//! What an operator ends: all sessions of a user, or all memory of one.

use std::sync::Arc;

use presence::{Audience, Profile, Revision, Sessions, UserId, Version};

use super::cache::{UnknownOutcome, durable_part};
use super::{Engine, EngineError};
use crate::connection::Connection;
use crate::connection::close_reason::CloseReason;
use crate::connection::outbox::UserRef;

impl Engine {
    /// Ends connections (4003), reports and grace. How many connections and reports there were.
    pub(crate) async fn kick(self: &Arc<Self>, user: &UserId) -> Result<u64, EngineError> {
        let engine = Arc::clone(self);
        let user = user.clone();
        let done = tokio::spawn(async move { engine.kick_now(&user).await });
        done.await.unwrap_or(Err(EngineError::StoreUnavailable))
    }

    /// Forgets the user (4010). How many connections and reports there were.
    pub(crate) async fn forget(self: &Arc<Self>, user: &UserId) -> Result<u64, EngineError> {
        let engine = Arc::clone(self);
        let user = user.clone();
        let done = tokio::spawn(async move { engine.forget_now(&user).await });
        done.await.unwrap_or(Err(EngineError::StoreUnavailable))
    }

    async fn kick_now(&self, user: &UserId) -> Result<u64, EngineError> {
        let _lock = self.user_lock(user).lock().await;
        // Whoever is present is in memory, so the store need not be asked who this is.
        let (at, may_have_reports, proposed) = {
            let mut shard = self.shards.of_user(user);
            let Some(at) = shard.find(user) else { return Ok(0) };
            let Some(entry) = shard.entry(at) else { return Ok(0) };
            entry.pins += 1;
            let may_have_reports = entry.late > 0 || !entry.profile.reports().is_empty();
            (at, may_have_reports, entry.profile.version())
        };
        // Reports outlive a restart, so they must be off the disk before anybody is told that they ended.
        let ended_on_disk = match may_have_reports {
            true => self.store.end_reports(user, proposed).await.map(Some),
            false => Ok(None),
        };
        let ended_on_disk = match ended_on_disk {
            Ok(ended_on_disk) => ended_on_disk,
            Err(error) => {
                self.refresh_after(&error, at, UnknownOutcome::Change);
                self.unpin(at);
                return Err(EngineError::StoreUnavailable);
            }
        };
        let mut shard = self.shards.of_ref(at);
        let now = self.clock.now();
        let mut ended = 0;
        if let Some(entry) = shard.entry(at) {
            let reports = entry.profile.handle_kick();
            self.count_reports(reports, 0);
            if let Some(durable) = ended_on_disk {
                entry.profile.handle_durable(durable_part(durable, now), now.wall);
            }
            ended = entry.sessions.handle_kick() + reports;
            close_with(&mut entry.conns, CloseReason::Kicked);
        }
        self.recompute(&mut shard, at, now);
        self.unpin_in(&mut shard, at);
        Ok(ended as u64)
    }

    async fn forget_now(&self, user: &UserId) -> Result<u64, EngineError> {
        let _lock = self.user_lock(user).lock().await;
        let pinned = self.pin_loaded(std::slice::from_ref(user)).await?;
        let at = pinned.refs().first().copied().ok_or(EngineError::StoreUnavailable)?;
        let revision = self.removal_revision(at);
        if let Err(error) = self.store.forget(user, revision, self.clock.wall()).await {
            self.refresh_after(&error, at, UnknownOutcome::Forget);
            return Err(EngineError::StoreUnavailable);
        }
        self.forget_here(user, at, revision).await
    }

    /// A user's removal from the disk was late and is over. If it was done, the user is forgotten here too.
    pub(super) async fn finish_forgetting(&self, at: UserRef) -> Result<(), EngineError> {
        let id = self.shards.of_ref(at).peek(at).map(|entry| entry.user.clone());
        let Some(user) = id else { return Ok(()) };
        let _lock = self.user_lock(&user).lock().await;
        let row = self
            .store
            .load(&user)
            .await
            .map_err(|_| EngineError::StoreUnavailable)?;
        let known = self
            .shards
            .of_ref(at)
            .peek(at)
            .map_or(Version::NONE, |entry| entry.profile.version());
        // Versions are on disk before they are here. If the disk has a lower one, only the status was written since, perhaps.
        let is_done = row.is_none_or(|row| row.durable.version < known);
        if is_done {
            let revision = self.removal_revision(at);
            let forgotten = self.store.forget(&user, revision, self.clock.wall()).await;
            forgotten.map_err(|_| EngineError::StoreUnavailable)?;
            self.forget_here(&user, at, revision).await?;
            return Ok(());
        }
        // It was not done, or the user chose since. Then the status is below the removal, and the disk drops it as late.
        let mut shard = self.shards.of_ref(at);
        if let Some(entry) = shard.entry(at) {
            entry.profile.force_publish();
        }
        self.recompute(&mut shard, at, self.clock.now());
        Ok(())
    }

    /// The revision at which a user would be removed now.
    fn removal_revision(&self, at: UserRef) -> Revision {
        let before = self.shards.of_ref(at).peek(at).map(|entry| entry.profile.revision());
        self.cluster
            .next_revision(before.unwrap_or_default(), self.clock.wall())
    }

    /// What was forgotten on disk with this revision is forgotten in memory. How many connections and reports there were.
    async fn forget_here(&self, user: &UserId, at: UserRef, revision: Revision) -> Result<u64, EngineError> {
        let (ended, is_overtaken, removed_at) = self.drop_all(at, revision).ok_or(EngineError::StoreUnavailable)?;
        if is_overtaken {
            self.forget_again(user, at, removed_at).await?;
        }
        Ok(ended)
    }

    /// Forgets in memory who was forgotten on disk with this revision: how many connections and reports there were, whether
    /// a change was published meanwhile, and the revision of the removal, which is above that.
    fn drop_all(&self, at: UserRef, revision: Revision) -> Option<(u64, bool, Revision)> {
        let mut shard = self.shards.of_ref(at);
        let now = self.clock.now();
        let entry = shard.entry(at)?;
        let is_overtaken = entry.profile.revision() > revision;
        let removed_at = self
            .cluster
            .next_revision(revision.max(entry.profile.revision()), now.wall);
        let was_known = entry.profile != Profile::default() || !entry.conns.is_empty();
        let reports = entry.profile.reports().len();
        self.count_reports(reports, 0);
        let ended = entry.sessions.handle_kick() + reports;
        entry.sessions = Sessions::default();
        entry.profile = Profile::default();
        close_with(&mut entry.conns, CloseReason::Forgotten);
        self.recompute(&mut shard, at, now);
        if was_known && let Some(entry) = shard.entry(at) {
            entry.forgotten = Some(removed_at);
            self.publish(&mut shard, at, now, Audience::Everyone);
        }
        Some((ended as u64, is_overtaken, removed_at))
    }

    /// What changed while the store was forgetting may have been written after that.
    async fn forget_again(&self, user: &UserId, at: UserRef, removed_at: Revision) -> Result<(), EngineError> {
        let forgotten = self.store.forget(user, removed_at, self.clock.wall()).await;
        // Who is back already was written in between, perhaps.
        if let Some(entry) = self.shards.of_ref(at).entry(at)
            && entry.profile.revision() > removed_at
        {
            self.write_soon(entry, at);
        }
        forgotten.map_err(|_| EngineError::StoreUnavailable)
    }
}

fn close_with(conns: &mut Vec<Arc<Connection>>, close_reason: CloseReason) {
    for conn in conns.drain(..) {
        conn.close_with(close_reason);
    }
}
