//! Custom statuses: on disk first, then shown. What was acknowledged is never lost and never overwritten by an older one.

use std::sync::Arc;

use presence::wire::record::{Record, Viewer};
use presence::{Actor, CustomStatus, Revision, UserId};

use super::cache::{UnknownOutcome, durable_part};
use super::{Engine, EngineError};
use crate::connection::Connection;
use crate::connection::close_reason::CloseReason;
use crate::store::NewPreference;

/// How many users' limits are kept before those that are over are dropped.
const WINDOWS_KEPT: usize = 1024;

impl Engine {
    /// Chooses. The record as `viewer` sees it. A caller that goes away does not stop it halfway.
    pub(crate) async fn choose(
        self: &Arc<Self>,
        user: &UserId,
        custom: CustomStatus,
        by: Actor,
        viewer: Viewer,
    ) -> Result<Record, EngineError> {
        self.take_choice(user)?;
        let engine = Arc::clone(self);
        let user = user.clone();
        let done = tokio::spawn(async move {
            let _lock = engine.user_lock(&user).lock().await;
            engine.set_custom_status_locked(&user, custom, by, viewer).await
        });
        done.await.unwrap_or(Err(EngineError::StoreUnavailable))
    }

    /// The user of a connection chooses there. The own record; none for an observer, who has nothing to choose.
    pub(crate) async fn choose_on(
        self: &Arc<Self>,
        conn: &Arc<Connection>,
        custom: CustomStatus,
    ) -> Result<Option<Record>, EngineError> {
        let Some(user) = conn.user() else { return Ok(None) };
        self.take_choice(user)?;
        let (engine, conn, user) = (Arc::clone(self), Arc::clone(conn), user.clone());
        let done = tokio::spawn(async move {
            let _lock = engine.user_lock(&user).lock().await;
            if conn.close_reason() == Some(CloseReason::Forgotten) {
                // It came too late, and must not bring the user back. Nobody is there any more to be told.
                return Err(EngineError::StoreUnavailable);
            }
            let chosen = engine
                .set_custom_status_locked(&user, custom, Actor::User, Viewer::Own)
                .await;
            chosen.map(Some)
        });
        done.await.unwrap_or(Err(EngineError::StoreUnavailable))
    }

    /// The user lock is held.
    async fn set_custom_status_locked(
        &self,
        user: &UserId,
        custom: CustomStatus,
        by: Actor,
        viewer: Viewer,
    ) -> Result<Record, EngineError> {
        let (_pinned, at) = self.pin_known(user).await?;
        let (preference, proposed, revision) = {
            let shard = self.shards.of_ref(at);
            let entry = shard.peek(at).ok_or(EngineError::StoreUnavailable)?;
            let now = self.clock.wall();
            let current = entry.profile.revision();
            let revision = if entry.profile.preference().custom == custom && current != Revision::NEVER {
                // No revision of its own: a status that waits to be written must not look older than this.
                current
            } else {
                // Above a removal, if there was one: what lies below that is dropped as late.
                self.cluster.next_revision(current, now)
            };
            (
                NewPreference {
                    custom,
                    set_at: now,
                    set_by: by,
                },
                entry.profile.version(),
                revision,
            )
        };
        let saved = match self.store.save_preference(user, preference, proposed, revision).await {
            Ok(saved) => saved,
            Err(error) => {
                self.refresh_after(&error, at, UnknownOutcome::Change);
                return Err(EngineError::StoreUnavailable);
            }
        };
        let mut shard = self.shards.of_ref(at);
        let now = self.clock.now();
        let entry = shard.entry(at).ok_or(EngineError::StoreUnavailable)?;
        // Whose time is up is not there any more to be active.
        entry.sessions.on_deadline(now.mono);
        self.expire_reports(entry, now);
        let before = entry.profile.reports().len();
        entry.profile.handle_durable(durable_part(saved, now), now.wall);
        self.count_reports(before, entry.profile.reports().len());
        if by == Actor::User && entry.is_present() {
            entry.sessions.handle_preference(now, &self.options.timers);
            entry.profile.note_activity(now.wall);
            self.write_soon(entry, at);
        }
        self.recompute(&mut shard, at, now);
        let entry = shard.peek(at).ok_or(EngineError::StoreUnavailable)?;
        Ok(self.record_of(entry, viewer))
    }

    fn take_choice(&self, user: &UserId) -> Result<(), EngineError> {
        let (now, rate) = (self.clock.mono(), self.options.choices);
        let mut choices = self.choices.lock();
        if choices.len() >= WINDOWS_KEPT && choices.len() == choices.capacity() {
            choices.retain(|_, window| !window.is_over(rate, now));
        }
        let window = choices.entry(user.clone()).or_default();
        window
            .take(rate, now)
            .map_err(|retry_after| EngineError::RateLimited { retry_after })
    }
}
