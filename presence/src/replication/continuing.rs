//! Lost sessions that are continued. A session begins anywhere and names the one it continues; the node where that one was gives
//! up its place, or, if it is gone, the place is taken in the state of the user. If sessions on several nodes name the same one,
//! the first entry of the log decides whose it is.

use crate::replication::effect::Effect;
use crate::replication::names::Incarnation;
use crate::replication::partition::Partition;
use crate::replication::replica::Held;
use crate::replication::state::State;
use crate::session_name::SessionName;
use crate::sessions::Activity;
use crate::user_id::UserId;

impl Partition {
    /// A connection on this node continues a session of another run. If that one has a place which nobody has taken, it is taken
    /// now: call [`Self::handle_touch`] then, and wait for [`Effect::Claimed`]. The activity of what is in grace there; none if
    /// there is no such place.
    pub fn claim_place(&mut self, user: &UserId, of: SessionName) -> Option<Activity> {
        let state = self.replica.get(user).map(Held::state)?;
        let share = state.contributions.iter().find(|share| share.has_place(of))?;
        if share.incarnation == self.own || state.continued.contains(&of) || self.is_claimed(user, of) {
            return None;
        }
        let activity = match self.leases.is_registered(share.incarnation) {
            true => share.contribution.grace.unwrap_or_default(),
            false => share.contribution.activity(),
        };
        self.claims.entry(user.clone()).or_default().push(of);
        Some(activity)
    }

    /// A connection on this node continues a session of this run. Whether it may: if no other session has taken the place, as far as
    /// is known here. Take the place then, call [`Self::handle_touch`], and wait for [`Effect::Claimed`] if the log has the place;
    /// or [`Self::withdraw_claim`], if there is none.
    pub fn claim_own_place(&mut self, user: &UserId, of: SessionName) -> bool {
        let state = self.replica.get(user).map(Held::state).unwrap_or_default();
        if state.continued.contains(&of) || self.is_claimed(user, of) {
            return false;
        }
        // Of a place that the log does not have, nobody else knows.
        if state.has_place(of) {
            self.claims.entry(user.clone()).or_default().push(of);
        }
        true
    }

    /// The connection that claimed the place does not continue that session after all.
    pub fn withdraw_claim(&mut self, user: &UserId, of: SessionName) {
        if let Some(claims) = self.claims.get_mut(user) {
            claims.retain(|claim| *claim != of);
            if claims.is_empty() {
                self.claims.remove(user);
            }
        }
    }

    fn is_claimed(&self, user: &UserId, of: SessionName) -> bool {
        self.claims.get(user).is_some_and(|claims| claims.contains(&of))
    }

    /// The places of other runs that connections of this node have taken, and the log may not say so yet.
    pub(super) fn claims_elsewhere(&self, user: &UserId) -> Vec<SessionName> {
        let claims = self.claims.get(user).into_iter().flatten();
        let run = self.own.run();
        claims.filter(|of| of.run != run).copied().collect()
    }

    /// A node is gone, and will not say any more that places there are taken: users who have no other place there are offered
    /// without it. By every node: the one that continued a session may have lost it again.
    pub(super) fn offer_continued(&mut self, gone: Incarnation) {
        let has_share = |user: &&UserId| {
            let held = self.replica.get(user).map(Held::state);
            held.is_some_and(|state| state.share_of(gone).is_some())
        };
        let users: Vec<UserId> = self.continuing.iter().filter(has_share).cloned().collect();
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
        let is_taken = |of: &mut SessionName| state.continued.contains(of) || !state.has_place(*of);
        let taken: Vec<SessionName> = claims.extract_if(.., is_taken).collect();
        if claims.is_empty() {
            self.claims.remove(user);
        }
        let Some(by) = by else { return };
        for of in taken {
            self.push(Effect::Claimed {
                user: user.clone(),
                of,
                is_won: by == self.own,
            });
        }
    }
}
