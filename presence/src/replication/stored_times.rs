//! The database may have later times of a user than the log: another node wrote them, and the user left, before the entry was made.

use crate::replication::effect::Effect;
use crate::replication::names::Incarnation;
use crate::replication::node_info::MovedTimes;
use crate::replication::partition::{Input, Partition};
use crate::replication::replica::Held;
use crate::replication::state::State;
use crate::time::Wall;
use crate::user_id::UserId;

/// An entry, or a page, that was read of a user.
pub(super) struct ReadState<'a> {
    /// Whose offer made the entry; none for a page.
    pub(super) by: Option<Incarnation>,
    /// Whether something of this node waited for it.
    pub(super) was_awaited: bool,
    /// Whether the user was in the copy before.
    pub(super) was_copied: bool,
    /// Last seen and last active as the log has them.
    pub(super) logged: (Option<Wall>, Option<Wall>),
    /// The state with the times of the copy.
    pub(super) state: &'a State,
}

impl Partition {
    /// An offer of this node brought a user to the log with older times than were told before: those of the copy go there with the
    /// next tick, and what only the database can have is asked for.
    pub(super) fn note_older_times(&mut self, input: Input<'_>, user: &UserId, read: &ReadState<'_>) {
        let is_own = read.by == Some(self.own) || read.by.is_none() && read.was_awaited;
        if !is_own || !read.state.is_present() {
            return;
        }
        if (read.state.last_seen, read.state.last_active) != read.logged {
            self.publisher.times.extend(moved_times(user, read.state));
        }
        // What has a session here is as new as the session, but for who was cut off.
        let may_be_older = !input.has_sessions(user) || self.reach.is_holding(input.reading.mono);
        // Whoever is in a page may have left, and come, since the copy was made.
        if may_be_older && (!read.was_copied || read.by.is_none()) {
            self.newcomers.push(user.clone());
        }
    }

    /// Asks for the times of those who came with the input, all at once.
    pub(super) fn load_newcomers(&mut self) {
        if !self.newcomers.is_empty() {
            let users = std::mem::take(&mut self.newcomers);
            self.push(Effect::LoadTimes(users));
        }
    }

    /// The times that the database has of users whom [`Effect::LoadTimes`] named; none of those of whom it did not answer.
    /// What a node that is gone contributed to them is removed, and later times of who remains are told.
    pub fn handle_stored_times(&mut self, input: Input<'_>, users: Vec<UserId>, times: &[MovedTimes]) {
        for times in times {
            let user = &times.user;
            let before = self.replica.get(user).map(Held::state);
            self.apply_times(times);
            let state = self.replica.get(user).map(Held::state);
            // Those of who leaves go with the offer.
            let remains = |state: &State| !state.contributions.iter().any(|share| self.is_gone(share.incarnation));
            if let Some(state) = state.filter(|state| before.as_ref() != Some(state) && remains(state)) {
                self.publisher.times.extend(moved_times(user, &state));
            }
        }
        self.publisher.left_over.extend(users);
        self.advance(input);
    }
}

/// The times of a state, as ticks tell them; none if there are none.
fn moved_times(user: &UserId, state: &State) -> Option<(UserId, MovedTimes)> {
    let times = MovedTimes {
        user: user.clone(),
        last_seen: state.last_seen?,
        last_active: state.last_active,
    };
    Some((user.clone(), times))
}
