//! Lost sessions that are continued on another node. A session begins anywhere and names the one it continues; the node where
//! that one was gives up its place, or, if it is gone, the place is taken in the state of the user.

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
    /// now: call [`Self::handle_touch`] then. The activity of what is in grace there; none if there is no such place.
    pub fn claim_place(&mut self, user: &UserId, of: SessionName) -> Option<Activity> {
        let state = self.replica.get(user).map(Held::state)?;
        let share = state.contributions.iter().find(|share| share.has_place(of))?;
        let claims = self.claims.get(user);
        if share.incarnation == self.own || state.continued.contains(&of) || claims.is_some_and(|all| all.contains(&of))
        {
            return None;
        }
        let activity = match self.leases.is_registered(share.incarnation) {
            true => share.contribution.grace.unwrap_or_default(),
            false => share.contribution.activity(),
        };
        self.claims.entry(user.clone()).or_default().push(of);
        Some(activity)
    }

    /// The places that connections of this node have taken, and the log may not say so yet.
    pub(super) fn claims_of(&self, user: &UserId) -> &[SessionName] {
        self.claims.get(user).map_or(&[], Vec::as_slice)
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

    /// The log has this state of the user.
    pub(super) fn note_continued(&mut self, user: &UserId, state: &State) {
        if let Some(claims) = self.claims.get_mut(user) {
            claims.retain(|of| state.has_place(*of) && !state.continued.contains(of));
            if claims.is_empty() {
                self.claims.remove(user);
            }
        }
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
}
