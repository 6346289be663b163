//! The profile of a user in a cluster: the record is what the log says, and nothing is decided here but whether it must be
//! published. Of one whom neither the log nor the store has told of, it is assumed.

use crate::durable_part::{DurablePart, Preference};
use crate::profile::{Audience, Profile, Published};
use crate::revision::Revision;
use crate::rule::Decision;
use crate::status::CustomStatus;
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
            degraded: true,
            durable: DurablePart {
                preference,
                ..DurablePart::default()
            },
            ..Self::default()
        }
    }

    /// Takes the record over, at its revision. What watchers must be told.
    pub fn adopt(&mut self, adopted: Adopted, now: Wall) -> Option<Published> {
        self.handle_durable(adopted.durable, now);
        self.decision = adopted.decision;
        self.since = adopted.since;
        // What this node heard and the log does not have yet is offered next: times don't go back.
        self.last_seen = self.last_seen.max(adopted.last_seen);
        self.last_active = self.last_active.max(adopted.last_active);
        self.chosen_until = adopted.chosen_until;
        let is_seen = self.told != adopted.decision.status || self.degraded != adopted.degraded;
        if is_seen {
            self.publish_to(Audience::Everyone);
        }
        self.degraded = adopted.degraded;
        // What this node wrote and the log does not have is told with the entry that has it, above what was told.
        let is_told = adopted.revision <= self.revision && !is_seen;
        let published = (!is_told).then(|| self.publish(|_| adopted.revision)).flatten();
        self.revision = adopted.revision;
        published
    }
    /// The user was forgotten: what was heard before does not count.
    pub fn forget_times(&mut self) {
        self.last_seen = None;
        self.last_active = None;
    }
}
