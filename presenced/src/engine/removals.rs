//! What an operator ends: all sessions of a user, or all memory of one.

use std::sync::Arc;

use presence::{Audience, Profile, Revision, Sessions, UserId};

use super::loading::Late;
use super::{Engine, EngineError};
use crate::hub::conn::Conn;
use crate::hub::outbox::UserRef;
use crate::hub::verdict::Verdict;

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
        let _gate = self.gate(user).lock().await;
        // Whoever is present is in memory, so the store need not be asked who this is.
        let (at, may_have_reports) = {
            let mut shard = self.shards.of_user(user);
            let Some(at) = shard.find(user) else { return Ok(0) };
            let Some(cell) = shard.cell(at) else { return Ok(0) };
            cell.pins += 1;
            (at, cell.late > 0 || !cell.profile.reports().is_empty())
        };
        // Reports outlive a restart, so they must be off the disk before anybody is told that they ended.
        if may_have_reports && let Err(error) = self.store.end_reports(user).await {
            self.refresh_after(&error, at, Late::Change);
            self.unpin(at);
            return Err(EngineError::StoreUnavailable);
        }
        let mut shard = self.shards.of_ref(at);
        let now = self.clock.now();
        let mut ended = 0;
        if let Some(cell) = shard.cell(at) {
            let reports = cell.profile.handle_kick();
            self.count_reports(reports, 0);
            ended = cell.sessions.handle_kick() + reports;
            condemn(&mut cell.conns, Verdict::Kicked);
        }
        self.recompute(&mut shard, at, now);
        self.unpin_in(&mut shard, at);
        Ok(ended as u64)
    }

    async fn forget_now(&self, user: &UserId) -> Result<u64, EngineError> {
        let _gate = self.gate(user).lock().await;
        let pinned = self.pin_loaded(std::slice::from_ref(user)).await?;
        let at = pinned.refs().first().copied().ok_or(EngineError::StoreUnavailable)?;
        let revision = self.removal_revision(at);
        if let Err(error) = self.store.forget(user, revision).await {
            self.refresh_after(&error, at, Late::Forget);
            return Err(EngineError::StoreUnavailable);
        }
        self.forget_here(user, at, revision).await
    }

    /// A user's removal from the disk was late and is over. If it was done, the user is forgotten here too.
    pub(super) async fn finish_forgetting(&self, at: UserRef) -> Result<(), EngineError> {
        let id = self.shards.of_ref(at).peek(at).map(|cell| cell.user.clone());
        let Some(user) = id else { return Ok(()) };
        let _gate = self.gate(&user).lock().await;
        let row = self
            .store
            .load(&user)
            .await
            .map_err(|_| EngineError::StoreUnavailable)?;
        let chosen = self
            .shards
            .of_ref(at)
            .peek(at)
            .and_then(|cell| cell.profile.preference().set_at);
        // A custom status is on disk before it is shown. If the disk knows no such custom status any more, only the status was written
        // since, perhaps.
        let is_done = row.is_none_or(|row| row.stored.preference.set_at < chosen);
        if is_done {
            let revision = self.removal_revision(at);
            let forgotten = self.store.forget(&user, revision).await;
            forgotten.map_err(|_| EngineError::StoreUnavailable)?;
            self.forget_here(&user, at, revision).await?;
            return Ok(());
        }
        // It was not done, or the user chose since. Then the status is below the removal, and the disk drops it as late.
        let mut shard = self.shards.of_ref(at);
        if let Some(cell) = shard.cell(at) {
            cell.profile.force_publish();
        }
        self.recompute(&mut shard, at, self.clock.now());
        Ok(())
    }

    /// The revision at which a user would be removed now.
    fn removal_revision(&self, at: UserRef) -> Revision {
        let before = self.shards.of_ref(at).peek(at).map(|cell| cell.profile.revision());
        self.directory
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
        let cell = shard.cell(at)?;
        let is_overtaken = cell.profile.revision() > revision;
        let removed_at = self
            .directory
            .next_revision(revision.max(cell.profile.revision()), now.wall);
        let was_known = cell.profile != Profile::default() || !cell.conns.is_empty();
        let reports = cell.profile.reports().len();
        self.count_reports(reports, 0);
        let ended = cell.sessions.handle_kick() + reports;
        cell.sessions = Sessions::default();
        cell.profile = Profile::default();
        condemn(&mut cell.conns, Verdict::Forgotten);
        self.recompute(&mut shard, at, now);
        if was_known && let Some(cell) = shard.cell(at) {
            cell.forgotten = Some(removed_at);
            self.publish(&mut shard, at, now, Audience::Everyone);
        }
        Some((ended as u64, is_overtaken, removed_at))
    }

    /// What changed while the store was forgetting may have been written after that.
    async fn forget_again(&self, user: &UserId, at: UserRef, removed_at: Revision) -> Result<(), EngineError> {
        let forgotten = self.store.forget(user, removed_at).await;
        // Who is back already was written in between, perhaps.
        if let Some(cell) = self.shards.of_ref(at).cell(at)
            && cell.profile.revision() > removed_at
        {
            self.write_soon(cell, at);
        }
        forgotten.map_err(|_| EngineError::StoreUnavailable)
    }
}

fn condemn(conns: &mut Vec<Arc<Conn>>, verdict: Verdict) {
    for conn in conns.drain(..) {
        conn.condemn(verdict);
    }
}
