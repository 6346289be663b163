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
    /// When the place would have been over; none if the session is of another run, or was not found lost.
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

    /// A connection on this node continues a session of this run, which is in grace `until` then if it was found lost. Whether it
    /// may: if no other session has taken the place, as far as is known here. Take the place then, call [`Self::handle_touch`], and
    /// wait for [`Effect::Claimed`] if the log has the place; or [`Self::withdraw_claim`], if there is none.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Contribution;
    use crate::replication::partition::{Start, reading_of_tests};
    use crate::replication::state::Share;
    use crate::revision::Revision;

    const OWN: Incarnation = Incarnation(1);
    const OTHER: Incarnation = Incarnation(2);

    const fn name(of: Incarnation, session: u64) -> SessionName {
        SessionName {
            run: of.run(),
            session: SessionId(session),
        }
    }

    /// The log has these sessions of the user, by name.
    fn machine(user: &UserId, places: &[(Incarnation, &[u64])]) -> Partition {
        let start = Start::of_tests(OWN);
        let reading = reading_of_tests();
        let share = |(incarnation, sessions): &(Incarnation, &[u64])| Share {
            incarnation: *incarnation,
            contribution: Contribution::default(),
            grace_until: None,
            places: 0,
            sessions: sessions.iter().copied().map(SessionId).collect(),
            unknown: Vec::new(),
        };
        let state = State {
            contributions: places.iter().map(share).collect(),
            ..State::default()
        };
        let mut machine = Partition::new(start, reading);
        let held = Held::new(Revision::new(1), &state.encode());
        machine.replica.insert(user, held);
        machine
    }

    #[test]
    fn a_withdrawn_claim_frees_the_place_of_its_session_alone() {
        let ann = UserId::new("ann").expect("a user id");
        let mut machine = machine(&ann, &[(OWN, &[1, 2]), (OTHER, &[3])]);
        let [first, second, third] = [11, 12, 13].map(SessionId);
        let until = Some(Mono::from_millis(5_000));
        assert!(machine.claim_own_place(&ann, name(OWN, 1), first, until));
        assert!(machine.claim_own_place(&ann, name(OWN, 2), second, None));
        assert!(machine.claim_place(&ann, name(OTHER, 3), third).is_some());
        let freed = |session, until| {
            let of = SessionId(session);
            Some(FreedPlace { of, until })
        };
        assert_eq!(machine.withdraw_claim(&ann, second), freed(2, None));
        assert_eq!(machine.withdraw_claim(&ann, second), None, "it has no claim any more");
        assert!(!machine.claim_own_place(&ann, name(OWN, 1), second, None), "claimed");
        assert_eq!(machine.withdraw_claim(&ann, third), None, "of another run");
        assert_eq!(machine.claims_elsewhere(&ann), [], "it is withdrawn all the same");
        assert_eq!(machine.withdraw_claim(&ann, first), freed(1, until));
        assert!(machine.claims.is_empty());
    }
}
