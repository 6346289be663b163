//! A connection begins: it is a session of its user, or an observer.

use std::sync::Arc;
use std::time::Duration;

use presence::UserId;
use presence::wire::record::{Record, Viewer};

use super::{Engine, EngineError};
use crate::connection::Connection;
use crate::connection::close_reason::CloseReason;
use crate::connection::user_pin::UserPin;
use crate::limits::CurrentLimits;
use crate::revocation::NotedRevocations;

/// When a client should try again whose user has too many sessions that are all alive, as far as anyone can tell: longer than
/// the ping interval, so that those which die meanwhile are asked by then.
const ALIVE_RETRY: Duration = Duration::from_secs(30);
/// How much longer than an answer is waited for it takes until the place of a session that did not answer is free: its
/// socket is read once more (200 ms), and what it acknowledges is looked at once a second.
const FOUND_DEAD_WITHIN: Duration = Duration::from_secs(1);

impl Engine {
    /// Makes the connection a session of the user. Waits for the store for 150 ms at most. The own record, for `welcome`.
    /// If the user has too many sessions, they must show that they are alive. `noted`: what was revoked before its credential was checked.
    pub(crate) async fn connect(
        self: &Arc<Self>,
        user: &UserId,
        conn: &Arc<Connection>,
        noted: NotedRevocations,
    ) -> Result<Record, EngineError> {
        let pin = match self.cluster.shared() {
            Some(_) => self.load_from_store(user).await,
            None => self.load_for_connect(user).await,
        };
        let record = self.add_session(&pin, conn, noted)?;
        self.session_counts.connection_opened();
        self.throughput.connected();
        let Some(shared) = self.cluster.shared() else {
            return Ok(record);
        };
        let record = self.record_by_log(shared, &pin, Viewer::Own).await;
        // The welcome carries the record, unless a change came since.
        let entry = self.users.lock(&pin);
        if entry.state.profile().revision() <= record.revision {
            conn.outbox().lock().unmark(entry.at());
        }
        Ok(record)
    }

    /// What clients may use.
    pub(crate) const fn current_limits(&self) -> &Arc<CurrentLimits> {
        &self.options.limits
    }

    /// The limits were replaced: sessions on all nodes are counted against them, too.
    pub(crate) fn follow_limits(&self) {
        if let Some(shared) = self.cluster.shared() {
            shared.set_sessions_max(self.options.limits.load().sessions_per_user);
        }
    }

    fn add_session(
        &self,
        pin: &UserPin,
        conn: &Arc<Connection>,
        noted: NotedRevocations,
    ) -> Result<Record, EngineError> {
        let mut entry = self.users.lock(pin);
        // Under the lock: who revokes looks for sessions here afterwards.
        if self.revocations.tokens.has_revoked_since(entry.user(), noted) {
            return Err(EngineError::TokensRevoked);
        }
        let elsewhere = entry.state.connections_elsewhere(entry.user(), &self.cluster);
        if entry.connections().len().saturating_add(elsewhere) >= self.options.limits.load().sessions_per_user {
            let sessions = entry.connections().to_vec();
            let user = entry.user().clone();
            drop(entry);
            return Err(self.too_many(&user, &sessions, elsewhere));
        }
        let now = self.now_of(&entry);
        self.expire(&mut entry, now);
        let elsewhere = entry.state.grace_elsewhere(entry.user(), &self.cluster);
        entry.state.connect(now, conn.id(), elsewhere, &self.options.timers);
        self.recompute(&mut entry, now);
        let first = entry.connections().first().unwrap_or(conn);
        conn.watch_list.share(first.watch_list.total());
        // After the publication: the welcome carries the record, so the connection need not be sent it again.
        entry.add_connection(conn);
        self.tell_staleness(conn);
        conn.set_own_entry(entry.at());
        self.persistence.defer_times(&mut entry, now, conn);
        Ok(self.record_of(&entry, Viewer::Own))
    }

    /// All places are taken by these sessions and so many on other nodes: those of which nothing was heard lately must answer a
    /// ping soon.
    fn too_many(&self, user: &UserId, sessions: &[Arc<Connection>], elsewhere: usize) -> EngineError {
        let told_by = match self.cluster.shared() {
            Some(shared) if elsewhere > 0 => {
                let of = user.clone();
                shared
                    .partition_of(user)
                    .tell(move |machine, _| machine.handle_full(of));
                shared.tick_every()
            }
            _ => Duration::ZERO,
        };
        let ending = self.demand_answers(sessions);
        let retry_after = match ending + elsewhere {
            0 => ALIVE_RETRY,
            _ => told_by + self.options.pings.prompt_timeout() + FOUND_DEAD_WITHIN,
        };
        EngineError::TooManySessions { retry_after }
    }

    /// Those of the sessions of which nothing was heard lately must answer a ping soon. How many.
    fn demand_answers(&self, sessions: &[Arc<Connection>]) -> usize {
        let now = self.clock.mono();
        // Each is asked, whatever the others said.
        sessions.iter().filter(|session| session.demand_answer(now)).count()
    }

    /// A client of the user was refused on another node: there are too many sessions on all nodes together.
    pub(super) fn demand_answers_of(&self, user: &UserId) {
        let sessions = self.users.find(user).map(|entry| entry.connections().to_vec());
        self.demand_answers(&sessions.unwrap_or_default());
    }

    /// The user has too many sessions on all nodes together: the newest one here ends.
    pub(super) fn refuse_newest(&self, user: &UserId) {
        let newest = self
            .users
            .find(user)
            .and_then(|entry| entry.connections().last().cloned());
        if let Some(conn) = newest {
            self.give_place_back(user, conn.id());
            conn.close_with(CloseReason::TooManySessions {
                retry_after: ALIVE_RETRY.into(),
            });
        }
    }

    /// The connection is an observer, which is no user's session.
    pub(crate) fn connect_observer(&self) {
        self.session_counts.observer_opened();
        self.throughput.connected();
    }
}
