//! Lost sessions that are continued. A session begins anywhere and names the one it continues; the node where that one was gives
//! up its place, or, if it is gone, the place is taken in the state of the user. If sessions on several nodes name the same one,
//! the first entry of the log decides whose it is.

use crate::replication::effect::Effect;
use crate::replication::names::Incarnation;
use crate::replication::partition::Partition;
use crate::replication::replica::Held;
use crate::replication::state::State;
use crate::session_name::SessionName;
use crate::sessions::{Activity, SessionId};
use crate::time::Mono;
use crate::user_id::UserId;

/// A place of a lost session that a connection here has taken, until the log says whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    of: SessionName,
    /// The session of the connection.
    by: SessionId,
    /// When the place would have been over, of a lost session of this run.
    until: Option<Mono>,
    /// Whether it was offered, or what was to be offered said so already. Until then the log has nothing of it to tell.
    is_offered: bool,
}

/// A place of a session of this run that is free again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreedPlace {
    /// The session whose place it is.
    pub of: SessionId,
    /// When it is over; none if the session was not found lost when its place was taken.
    pub until: Option<Mono>,
}

impl Partition {
    /// A connection on this node continues a session of another run. If that one has a place which nobody has taken, it is taken
    /// now: call [`Self::handle_touch`] then, and wait for [`Effect::Claimed`]. The activity of what is in grace there; none if
    /// there is no such place.
    pub fn claim_place(&mut self, user: &UserId, of: SessionName, by: SessionId) -> Option<Activity> {
        let state = self.replica.get(user).map(Held::state)?;
        let share = state.contributions.iter().find(|share| share.has_place(of))?;
        if share.incarnation == self.own || state.continued.contains(&of) || self.is_claimed(user, of) {
            return None;
        }
        let activity = match self.leases.is_registered(share.incarnation) {
            true => share.contribution.grace.unwrap_or_default(),
            false => share.contribution.activity(),
        };
        self.claim(user, of, by, None);
        Some(activity)
    }

    /// A connection on this node continues a session of this run; one that is lost is in grace `until` then. Whether it may: if no other session has taken the place, as far as
    /// is known here. Take the place then, call [`Self::handle_touch`], and wait for [`Effect::Claimed`] if the log has the place;
    /// or [`Self::withdraw_claim`], if there is none.
    pub fn claim_own_place(&mut self, user: &UserId, of: SessionName, by: SessionId, until: Option<Mono>) -> bool {
        let state = self.replica.get(user).map(Held::state).unwrap_or_default();
        if state.continued.contains(&of) || self.is_claimed(user, of) {
            return false;
        }
        // Of a place that the log does not have, nobody else knows.
        if state.has_place(of) {
            self.claim(user, of, by, until);
        }
        true
    }

    fn claim(&mut self, user: &UserId, of: SessionName, by: SessionId, until: Option<Mono>) {
        let claim = Claim {
            of,
            by,
            until,
            is_offered: false,
        };
        self.claims.entry(user.clone()).or_default().push(claim);
    }

    /// The connection of this session continues no other one after all. The place of this run that it had claimed, if the log has not
    /// said yet whose that is: it is free again. Of one of another run no more was taken than the claim.
    pub fn withdraw_claim(&mut self, user: &UserId, by: SessionId) -> Option<FreedPlace> {
        let claims = self.claims.get_mut(user)?;
        let at = claims.iter().position(|claim| claim.by == by)?;
        let Claim { of, until, .. } = claims.remove(at);
        if claims.is_empty() {
            self.claims.remove(user);
        }
        (of.run == self.own.run()).then_some(FreedPlace { of: of.session, until })
    }

    fn is_claimed(&self, user: &UserId, of: SessionName) -> bool {
        let mut claims = self.claims.get(user).into_iter().flatten();
        claims.any(|claim| claim.of == of)
    }

    /// What this node says of the user is on its way, or is in the state already.
    pub(super) fn note_claims_offered(&mut self, user: &UserId) {
        for claim in self.claims.get_mut(user).into_iter().flatten() {
            claim.is_offered = true;
        }
    }

    /// Whether the log is to say whose a place is that was claimed here. Not before the claim is offered: what the user publishes
    /// may be held back for longer than anybody waits.
    pub(super) fn awaits_claims(&self, user: &UserId) -> bool {
        let mut claims = self.claims.get(user).into_iter().flatten();
        claims.any(|claim| claim.is_offered)
    }

    /// The places of other runs that connections of this node have taken, and the log may not say so yet.
    pub(super) fn claims_elsewhere(&self, user: &UserId) -> Vec<SessionName> {
        let claims = self.claims.get(user).into_iter().flatten();
        let run = self.own.run();
        claims.map(|claim| claim.of).filter(|of| of.run != run).collect()
    }

    /// A node is gone, and will not say any more that places there are taken: users who have no other place there are offered
    /// without it. By every node: the one that continued a session may have lost it again.
    pub(super) fn offer_continued(&mut self) {
        let has_gone = |user: &&UserId| {
            let held = self.replica.get(user).map(Held::state);
            held.is_some_and(|state| state.contributions.iter().any(|share| self.is_gone(share.incarnation)))
        };
        let users: Vec<UserId> = self.continuing.iter().filter(has_gone).cloned().collect();
        self.publisher.pending.extend(users);
    }

    /// The log has this state of the user, made by that node; by one that is not known, if it was read in a page.
    pub(super) fn note_continued(&mut self, user: &UserId, state: &State, by: Option<Incarnation>) {
        self.decide_claims(user, state, by);
        match state.continued.is_empty() {
            true => self.continuing.remove(user),
            false => self.continuing.insert(user.clone()),
        };
        let run = self.own.run();
        let own = state.continued.iter().filter(|of| of.run == run);
        let own: Vec<_> = own.map(|of| of.session).collect();
        if !own.is_empty() {
            self.push(Effect::Continued(user.clone(), own));
        }
    }

    /// Places were free when they were claimed. Whoever made the first entry that has one as taken has it.
    fn decide_claims(&mut self, user: &UserId, state: &State, by: Option<Incarnation>) {
        let Some(claims) = self.claims.get_mut(user) else {
            return;
        };
        let is_taken = |claim: &mut Claim| state.continued.contains(&claim.of) || !state.has_place(claim.of);
        let taken: Vec<Claim> = claims.extract_if(.., is_taken).collect();
        if claims.is_empty() {
            self.claims.remove(user);
        }
        let Some(by) = by else { return };
        for claim in taken {
            self.push(Effect::Claimed {
                user: user.clone(),
                of: claim.of,
                is_won: by == self.own,
            });
        }
    }
}
