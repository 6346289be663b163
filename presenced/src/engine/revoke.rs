//! Revocation: an operator ends all sessions of a user and has older tokens refused, on all nodes. On disk first, then in the memory
//! that `auth` reads, then connections end: whoever is admitted meanwhile is either refused or ended.
//!
//! Another node learns of it when it is asked to look at the database, else by itself after [`LOOK_EVERY`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hashbrown::HashSet;
use presence::wire::record::Viewer;
use presence::{SystemWall, UserId};
use tokio::sync::Mutex;

use super::cache::durable_part;
use super::users::UserLock;
use super::{Engine, EngineError};
use crate::connection::close_reason::CloseReason;
use crate::revocation::{RevokedTokens, UserHash, UserRevocation, user_hash};
use crate::store::{StoreError, StoredRevocation};

/// How often a node among others looks for what others have revoked: one read by an index, mostly of nothing.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What is known of the revocations in the database.
pub(super) struct KnownRevocations {
    /// What `auth` reads.
    pub(super) tokens: Arc<RevokedTokens>,
    /// All up to this number were read. Locked while some are.
    read_to: Mutex<u64>,
    /// The database may have one that this node made and does not know of.
    is_uncertain: AtomicBool,
    /// The last look failed.
    is_failing: AtomicBool,
}

/// What a revocation came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RevokedSessions {
    /// Tokens that were issued before this are refused.
    pub(crate) issued_before: SystemWall,
    /// How many connections and reports there were, on all nodes.
    pub(crate) ended: u64,
}

impl KnownRevocations {
    pub(super) fn new(tokens: Arc<RevokedTokens>) -> Self {
        Self {
            tokens,
            read_to: Mutex::default(),
            is_uncertain: AtomicBool::default(),
            is_failing: AtomicBool::default(),
        }
    }

    /// Which of these users this node did not know as revoked.
    fn note(&self, revocations: &[StoredRevocation]) -> HashSet<UserHash> {
        let is_new = |revocation: &&StoredRevocation| {
            let known = UserRevocation {
                issued_before: revocation.issued_before,
                number: revocation.number,
            };
            self.tokens.note(revocation.user_hash, known)
        };
        let new = revocations.iter().filter(is_new);
        new.map(|revocation| revocation.user_hash).collect()
    }
}

impl Engine {
    /// Tokens of the user that were issued before this are refused; none if no operator has revoked any.
    pub(crate) fn revoked_before(&self, user: &UserId) -> Option<SystemWall> {
        self.revocations.tokens.issued_before(user)
    }

    /// Refuses tokens of the user that were issued before a time, or before the later one of an earlier call, and ends connections
    /// (4001, as when a token expires) and reports.
    pub(crate) async fn revoke_tokens(
        self: &Arc<Self>,
        user: &UserId,
        issued_before: SystemWall,
    ) -> Result<RevokedSessions, EngineError> {
        let change = move |engine: Arc<Self>, lock| async move { engine.revoke_locked(&lock, issued_before).await };
        self.run_durable(user, change).await
    }

    async fn revoke_locked(
        self: &Arc<Self>,
        lock: &UserLock,
        issued_before: SystemWall,
    ) -> Result<RevokedSessions, EngineError> {
        let store = &self.persistence.store;
        let saved = store.revoke_tokens(user_hash(lock.user()), issued_before).await;
        let saved = saved.inspect_err(|_| self.revocations.is_uncertain.store(true, Ordering::SeqCst))?;
        self.revocations.note(&[saved]);
        let here = self.end_revoked(lock.user());
        let elsewhere = self.end_reports_and_count_elsewhere(lock).await?;
        Ok(RevokedSessions {
            issued_before: saved.issued_before,
            ended: here + elsewhere,
        })
    }

    /// Closes the connections of the user on this node. How many. A session that begins after this looks itself.
    fn end_revoked(&self, user: &UserId) -> u64 {
        let Some(entry) = self.users.find(user) else { return 0 };
        for conn in entry.connections() {
            conn.close_with(CloseReason::TokensRevoked);
        }
        entry.connections().len() as u64
    }

    /// Ends the reports of the user. How many there were, and connections on other nodes.
    async fn end_reports_and_count_elsewhere(self: &Arc<Self>, lock: &UserLock) -> Result<u64, EngineError> {
        let Some(pin) = self.pin_if_present(lock.user()).await? else {
            return Ok(0);
        };
        let (elsewhere, reports) = {
            let entry = self.users.lock(&pin);
            let elsewhere = entry.state.connections_elsewhere(lock.user(), &self.cluster);
            (elsewhere, entry.state.profile().reports().len())
        };
        if let Some(row) = self.end_stored_reports(lock, &pin).await? {
            {
                let mut entry = self.users.lock(&pin);
                let now = self.now_of(&entry);
                entry.state.end_report(now, durable_part(row, now));
                self.recompute(&mut entry, now);
            }
            if self.cluster.shared().is_some() {
                self.record_after_write(&pin, Viewer::Internal).await;
            }
        }
        Ok((elsewhere + reports) as u64)
    }

    /// What was stored when this run began.
    pub(super) async fn restore_revocations(&self, revocations: &[StoredRevocation]) {
        self.revocations.note(revocations);
        let last = revocations.last().map_or(0, |last| last.number);
        *self.revocations.read_to.lock().await = last;
    }

    /// Looks for what other nodes have revoked, and ends those connections here. `of`: one of whom somebody has told that.
    pub(crate) async fn read_revocations(&self, of: Option<&UserId>) -> Result<(), StoreError> {
        let mut read_to = self.revocations.read_to.lock().await;
        let read = self.persistence.store.revocations_after(*read_to).await?;
        let Some(last) = read.last() else { return Ok(()) };
        *read_to = last.number;
        let mut new = self.revocations.note(&read);
        if let Some(user) = of
            && new.remove(&user_hash(user))
        {
            self.end_revoked(user);
        }
        if !new.is_empty() {
            // Their ids are not known: a look at everyone with a connection here.
            for user in self.users.connected_of(|user| new.contains(&user_hash(user))) {
                self.end_revoked(&user);
            }
        }
        Ok(())
    }

    /// Looks whether there is something that this node was not told. A node alone was told everything, unless one of its own writes
    /// has an unknown outcome. While the database does not answer, what is known holds.
    pub(super) async fn follow_revocations(&self) {
        let known = &self.revocations;
        let is_uncertain = known.is_uncertain.swap(false, Ordering::SeqCst);
        if !is_uncertain && self.cluster.shared().is_none() {
            return;
        }
        let followed = async {
            if is_uncertain {
                self.persistence.store.settle_unknown_outcomes().await?;
            }
            self.read_revocations(None).await
        };
        let followed = followed.await;
        if followed.is_err() && is_uncertain {
            known.is_uncertain.store(true, Ordering::SeqCst);
        }
        let was_failing = known.is_failing.swap(followed.is_err(), Ordering::SeqCst);
        match followed {
            Err(error) if !was_failing => tracing::error!(
                %error,
                "revocations can't be read: those that are known hold; what other nodes revoke meanwhile is not refused here"
            ),
            Ok(()) if was_failing => tracing::info!("revocations can be read again"),
            _ => {}
        }
    }
}
