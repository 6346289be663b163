//! The profile of a user in a cluster: the record is what the log says, and nothing is decided here but whether it must be
//! published. Of one whom neither the log nor the store has told of, it is assumed.

use crate::durable_part::{DurablePart, Preference};
use crate::profile::flags::{Flag, Flags};
use crate::profile::{Audience, Profile, Published};
use crate::revision::Revision;
use crate::rule::Decision;
use crate::sessions::Contribution;
use crate::status::{CustomStatus, Status};
use crate::time::{Mono, Wall};

/// The record of a user as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// Custom status and reports.
    pub durable: DurablePart,
    /// The status, with its reason.
    pub decision: Decision,
    /// When the status began.
    pub since: Option<Wall>,
    /// When the user was last heard.
    pub last_seen: Option<Wall>,
    /// When the user was last active.
    pub last_active: Option<Wall>,
    /// Whether it was made without the store's answer.
    pub degraded: bool,
    /// Until when a custom status counts like an active session.
    pub chosen_until: Option<Mono>,
    /// The revision that the log gave it.
    pub revision: Revision,
    /// Whether the log has it: if not, the node tells it alone, because the log can't be reached, or the database does.
    pub is_logged: bool,
}

impl Profile {
    /// A profile made without the store's answer, of version 0, with the custom status that is assumed: [`Self::handle_load`]
    /// takes what the store gives.
    #[must_use]
    pub fn fallback(custom: CustomStatus) -> Self {
        let preference = Preference {
            custom,
            ..Preference::default()
        };
        Self {
            flags: Flags::of(&[Flag::Degraded, Flag::Unread, Flag::ToldDegraded]),
            durable: DurablePart {
                preference,
                ..DurablePart::default()
            },
            ..Self::default()
        }
    }

    /// Takes the record over, at its revision. What watchers must be told. Times of custom status and reports are at most `latest`:
    /// the clock of the node that made them may be ahead of this one's.
    pub fn adopt(&mut self, adopted: Adopted, latest: Wall) -> Option<Published> {
        if adopted.is_logged && adopted.revision < self.revision && self.flags.has(Flag::ReadAhead) {
            return None;
        }
        self.flags.set(Flag::ReadAhead, false);
        self.take_durable(adopted.durable, latest, DurablePart::replace_with_logged);
        self.decision = adopted.decision;
        self.since = adopted.since;
        // What this node heard and the log does not have yet is offered next: times don't go back.
        let is_unlogged = self.has_unlogged_times() && !adopted.is_logged;
        self.adopt_times(adopted.last_seen, adopted.last_active);
        if is_unlogged {
            self.flags.set(Flag::Unlogged, true);
        }
        self.chosen_until = adopted.chosen_until;
        self.flags.set(Flag::Degraded, adopted.degraded);
        let is_seen = self.told != adopted.decision.status || self.flags.has(Flag::ToldDegraded) != adopted.degraded;
        if is_seen {
            self.publish_to(Audience::Everyone);
        }
        // What this node wrote and the log does not have is told with the entry that has it, above what was told.
        let is_told = adopted.revision <= self.revision && !is_seen;
        let published = (!is_told).then(|| self.publish(|_| adopted.revision)).flatten();
        self.revision = adopted.revision;
        published
    }

    /// [`Self::adopt`] for a user who comes into memory because somebody asks, before the log's word is told here. Who asks is sent
    /// it; observers are to be told with [`Self::publish_read`], and what the log said before is told to nobody any more.
    pub fn adopt_read(&mut self, adopted: Adopted, latest: Wall) {
        let is_present = adopted.decision.status != Status::Offline;
        let _ = self.adopt(adopted, latest);
        if is_present {
            self.told = Status::Offline;
            self.publish_to(Audience::Observers);
        }
        self.flags.set(Flag::ReadAhead, true);
    }

    /// What observers must be told after [`Self::adopt_read`].
    pub fn publish_read(&mut self) -> Option<Published> {
        let is_read = self.flags.has(Flag::ReadAhead);
        is_read.then(|| self.publish(|revision| revision)).flatten()
    }

    /// Moves last active by something that the user did on no connection. No event follows.
    pub fn note_activity(&mut self, now: Wall) {
        self.move_times(None, Some(now));
    }

    /// Moves the times by those of a contribution. No event follows.
    pub fn note_times(&mut self, contribution: &Contribution) {
        self.move_times(contribution.last_seen, contribution.last_active);
    }

    pub(super) fn move_times(&mut self, last_seen: Option<Wall>, last_active: Option<Wall>) {
        let before = (self.last_seen, self.last_active);
        self.last_active = self.last_active.max(last_active);
        self.last_seen = self.last_seen.max(last_seen).max(self.last_active);
        if before != (self.last_seen, self.last_active) {
            self.flags.set(Flag::Unlogged, true);
        }
    }

    /// Whether times moved on this node that the log of the cluster may not have yet.
    #[must_use]
    pub const fn has_unlogged_times(&self) -> bool {
        self.flags.has(Flag::Unlogged)
    }

    /// The log has these times. Earlier ones change nothing.
    pub fn adopt_times(&mut self, last_seen: Option<Wall>, last_active: Option<Wall>) {
        self.last_active = self.last_active.max(last_active);
        self.last_seen = self.last_seen.max(last_seen).max(self.last_active);
        if self.last_seen <= last_seen.max(last_active) && self.last_active <= last_active {
            self.flags.set(Flag::Unlogged, false);
        }
    }

    /// The user was forgotten: what was heard before does not count.
    pub fn forget_times(&mut self) {
        self.last_seen = None;
        self.last_active = None;
        self.flags.set(Flag::Unlogged, false);
    }
}
