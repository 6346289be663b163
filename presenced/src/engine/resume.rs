//! A connection continues a session that its client has lost. Among other nodes the log decides, if several name the same one.

use std::sync::Arc;

use presence::replication::FreedPlace;
use presence::wire::record::{Record, Viewer};
use presence::{Activity, Predecessor, SessionId, SessionName, UserId};
use tokio::sync::oneshot;

use super::Engine;
use crate::connection::Connection;

/// What is known here of a session that a connection says it continues.
pub(crate) struct Resumption {
    /// Whether that one had a place in the grace period of the user, or will have one when it is found lost.
    pub(crate) is_resumed: bool,
    pub(crate) record: Record,
    /// Whether the log gives the place to this connection; none if there is no log.
    decision: Option<oneshot::Receiver<bool>>,
}

/// The place of a session that a connection names.
#[derive(Clone, Copy)]
enum Place {
    /// On this node, if it has one.
    Here(Predecessor),
    /// On another one, with the activity of what is in grace there.
    Elsewhere(Activity),
}

impl Engine {
    /// The connection continues a session that its client has lost; none if this one has ended.
    pub(crate) fn resume(&self, conn: &Arc<Connection>, of: Option<SessionName>) -> Option<Resumption> {
        let user = conn.user()?;
        let claimed = of.filter(|_| self.is_shared());
        let decision = claimed.map(|of| self.waiting.for_claim(user, of));
        let place = of.and_then(|of| self.claim_place(user, of, conn.id()));
        let mut is_resumed = false;
        let record = self.session_entry(conn).map(|mut entry| {
            let (now, timers) = (self.now_of(&entry), &self.options.timers);
            is_resumed = match place {
                Some(Place::Here(predecessor)) => entry.state.resume(now, conn.id(), predecessor, timers),
                Some(Place::Elsewhere(activity)) => {
                    if activity == Activity::Active {
                        entry.state.inherit(now, conn.id(), activity, timers);
                    }
                    true
                }
                None => false,
            };
            self.recompute(&mut entry, now);
            self.record_of(&entry, Viewer::Own)
        });
        if place.is_some() && !is_resumed {
            self.withdraw_claim(user, conn.id());
        }
        Some(Resumption {
            is_resumed,
            record: record?,
            decision,
        })
    }

    /// Waits until the log has what the connection told, a short while. Whether it continues the session, and the own record; none if
    /// this session has ended. What the log has not decided by then is as it was known here.
    pub(crate) async fn decide_resumption(
        &self,
        conn: &Arc<Connection>,
        mut resumption: Resumption,
    ) -> (bool, Option<Record>) {
        let record = self.own_record(conn).await;
        let decision = resumption.decision.as_mut();
        let is_lost = decision.is_some_and(|decision| decision.try_recv() == Ok(false));
        if is_lost && let Some(mut entry) = self.session_entry(conn) {
            let now = self.now_of(&entry);
            entry.state.disinherit(conn.id());
            self.recompute(&mut entry, now);
        }
        (resumption.is_resumed && !is_lost, record)
    }

    /// The place of the session, if no other session has it. Among other nodes it is claimed.
    fn claim_place(&self, user: &UserId, of: SessionName, by: SessionId) -> Option<Place> {
        let is_here = of.run == self.session_run();
        let here = match is_here {
            true => Predecessor::Here(of.session),
            false => Predecessor::Earlier {
                run: of.run,
                session: of.session,
            },
        };
        let Some(shared) = self.cluster.shared() else {
            return Some(Place::Here(here));
        };
        let partition = shared.partition_of(user);
        if !is_here {
            return partition.machine().claim_place(user, of, by).map(Place::Elsewhere);
        }
        // Before the machine is locked: see the order of locks.
        let entry = self.users.find(user);
        let until = entry.and_then(|entry| entry.state.place_until(of.session));
        let may_claim = partition.machine().claim_own_place(user, of, by, until);
        may_claim.then_some(Place::Here(here))
    }

    /// The connection of this session continues no other one after all. The place that is free again.
    fn withdraw_claim(&self, user: &UserId, by: SessionId) -> Option<FreedPlace> {
        let shared = self.cluster.shared()?;
        shared.partition_of(user).machine().withdraw_claim(user, by)
    }

    /// The connection of this session is refused: the place that it took is free again, because its client will come back.
    pub(super) fn give_place_back(&self, user: &UserId, by: SessionId) {
        // The machine is not held any more when the user is: see the order of locks.
        let freed = self.withdraw_claim(user, by);
        if let Some(place) = freed
            && let Some(mut entry) = self.users.find(user)
        {
            let now = self.now_of(&entry);
            entry.state.give_place_back(now, by, place, &self.options.timers);
            self.recompute(&mut entry, now);
        }
    }
}
