//! The profile of a user in a cluster: the record is what the log says, and nothing is decided here but whether it must be
//! published.

use crate::durable_part::DurablePart;
use crate::profile::{Audience, Profile, Published};
use crate::revision::Revision;
use crate::rule::Decision;
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
    /// Takes the record over, at its revision. What watchers must be told.
    pub fn adopt(&mut self, adopted: Adopted, now: Wall) -> Option<Published> {
        self.handle_durable(adopted.durable, now);
        self.decision = adopted.decision;
        self.since = adopted.since;
        self.last_seen = adopted.last_seen;
        self.last_active = adopted.last_active;
        self.chosen_until = adopted.chosen_until;
        if self.told != adopted.decision.status || self.degraded != adopted.degraded {
            self.publish_to(Audience::Everyone);
        }
        self.degraded = adopted.degraded;
        let published = self.publish(|_| adopted.revision);
        self.revision = adopted.revision;
        published
    }
}
