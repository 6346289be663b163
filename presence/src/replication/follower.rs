//! How far the copy of a partition is: where the log was read to, and what is asked now.

use std::collections::BTreeMap;

use crate::replication::adopting::Adoption;
use crate::replication::log::{KeptEnd, Question, StatePage};
use crate::replication::names::{Epoch, Incarnation};
use crate::replication::settings::UNREACHABLE_AFTER;
use crate::revision::Revision;
use crate::time::Mono;
use crate::user_id::UserId;

/// The state as it is read in pages.
#[derive(Debug, Clone, Default)]
pub(super) struct Pages {
    /// The head before the first page: the log is read from there on.
    pub(super) head: Revision,
    pub(super) users: BTreeMap<UserId, (Revision, Vec<u8>)>,
    pub(super) registrations: BTreeMap<Incarnation, Vec<u8>>,
    pub(super) ends: BTreeMap<Incarnation, KeptEnd>,
}

impl Pages {
    /// A user may be in several pages, of which the newest holds.
    pub(super) fn add(&mut self, page: StatePage) {
        for (user, revision, bytes) in page.users {
            let known = self.users.get(&user);
            if known.is_none_or(|(known, _)| *known < revision) {
                self.users.insert(user, (revision, bytes));
            }
        }
        let registrations = page.registrations.into_iter();
        self.registrations
            .extend(registrations.map(|(one, _, node)| (one, node)));
        for end in page.ends {
            let known = self.ends.get(&end.incarnation);
            if known.is_none_or(|known| known.id < end.id) {
                self.ends.insert(end.incarnation, end);
            }
        }
    }
}

/// What the follower does.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Asks again then.
    Wait(Mono),
    /// The head, before the state is read.
    Head,
    /// The pages of the state.
    Page(Epoch, Pages),
    /// The head once more: the pages must be of one epoch.
    Confirm(Epoch, Pages),
    /// Nothing is asked: the pages take the place of the copy.
    Adopt(Box<Adoption>),
    /// The log, after the last id that was applied.
    Read,
    /// The head, because nothing came.
    Look,
}

/// The follower of one partition.
#[derive(Debug, Clone)]
pub(super) struct Follower {
    /// Grows with each connection: late answers over older ones don't count.
    pub(super) generation: u64,
    pub(super) step: Step,
    pub(super) asked_at: Mono,
    /// Since when it has asked without an answer, over however many connections; none if it was answered or does not ask.
    pub(super) unanswered_since: Option<Mono>,
    /// The last id that was applied.
    pub(super) last: Revision,
    /// After this id the log was read without a gap.
    pub(super) read_from: Revision,
    /// The highest id that was applied in earlier epochs: of who is in no copy, nothing up to here is new.
    pub(super) floor: Revision,
    /// Of which epoch the copy is.
    pub(super) epoch: Option<Epoch>,
    /// Whether the copy is complete up to `last`.
    pub(super) is_synced: bool,
    /// The head was above `last`, and nothing was read.
    pub(super) is_behind: bool,
}

impl Follower {
    pub(super) const fn new(now: Mono) -> Self {
        Self {
            generation: 0,
            step: Step::Wait(now),
            asked_at: now,
            unanswered_since: None,
            last: Revision::NEVER,
            read_from: Revision::NEVER,
            floor: Revision::NEVER,
            epoch: None,
            is_synced: false,
            is_behind: false,
        }
    }

    /// The highest id that was applied, in whatever epoch.
    pub(super) fn read_to(&self) -> Revision {
        self.last.max(self.floor)
    }

    /// The connection is dropped, another one asks from `until` on.
    pub(super) fn restart(&mut self, until: Mono) {
        self.unanswered_since = None;
        self.reconnect(until);
    }

    /// The same after a failure: what was asked is not answered.
    pub(super) fn reconnect(&mut self, until: Mono) {
        self.generation += 1;
        self.step = Step::Wait(until);
    }

    /// When it has gone without an answer for too long.
    pub(super) fn silence_deadline(&self) -> Option<Mono> {
        self.unanswered_since.map(|since| since.after(UNREACHABLE_AFTER))
    }

    /// What a step that asks something asks first.
    pub(super) const fn question(&self, step: &Step) -> Option<Question> {
        match step {
            Step::Wait(_) | Step::Adopt(_) => None,
            Step::Head | Step::Confirm(..) | Step::Look => Some(Question::Head),
            Step::Page(..) => Some(Question::Page { place: 0 }),
            Step::Read => Some(Question::Read { after: self.last }),
        }
    }

    /// When it asks again, or when what it asked has taken too long.
    pub(super) fn deadline(&self) -> Mono {
        match self.step {
            Step::Wait(until) => until,
            Step::Adopt(_) => self.asked_at,
            _ => self.asked_at.after(UNREACHABLE_AFTER),
        }
    }
}
