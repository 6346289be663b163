//! What the delivery takes out of an outbox in one turn, and gives back.

use presence::wire::client_message::MessageId;
use presence::{Revision, UserId};

use super::dirty_users::DirtyUsers;
use crate::connection::user_pin::{UserPin, UserRef};

/// A snapshot that is still being sent.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The id of the request that it answers.
    pub(crate) id: Option<MessageId>,
    /// Whether users that are not listed are unchanged since the client's cursor.
    pub(crate) resumed: bool,
    /// What is left to list.
    pub(crate) rest: Rest,
}

/// What is left of a snapshot.
#[derive(Debug)]
pub(crate) enum Rest {
    /// Those of these users that are still watched by name, last first. Nothing here keeps them in memory: else who reads
    /// nothing, and watches and unwatches, could keep any number there.
    Named(Vec<UserRef>),
    /// Everyone present, from there on.
    Everyone {
        /// The shard to go on in.
        shard: usize,
        /// The last user of it that was listed.
        after: Option<UserId>,
    },
    /// What changed for an observer that resumes: users that exist, and users that were removed.
    Changed {
        /// In the reverse of the order in which they are sent.
        users: Vec<UserPin>,
        /// With the revision of their removal.
        removed: Vec<(UserId, Revision)>,
    },
}

/// One turn of the delivery: what was taken out of the outbox. It ends with `Outbox::finish_turn`.
#[derive(Debug)]
pub(crate) struct DeliveryTurn {
    /// Whether the node may be out of date: then that alone is told.
    pub(crate) stale: Option<bool>,
    /// The snapshot that is first in line.
    pub(crate) snapshot: Option<Snapshot>,
    /// The users that are dirty.
    pub(crate) dirty: DirtyUsers,
    /// Up to which change everything has been sent.
    pub(crate) complete_to: u64,
    /// Whether more snapshots wait, or are being prepared: until they were sent the cursor stays.
    pub(crate) has_more_snapshots: bool,
}

impl DeliveryTurn {
    /// Nothing is taken out: what changed follows in the next turn.
    pub(super) fn of_staleness(is_stale: bool, complete_to: u64) -> Self {
        Self {
            stale: Some(is_stale),
            snapshot: None,
            dirty: DirtyUsers::default(),
            complete_to,
            has_more_snapshots: true,
        }
    }

    /// Takes out the dirty users that the frame contains, each up to the change with this number.
    pub(crate) fn drop_told(&mut self, told: &[(UserRef, u64)]) {
        self.dirty.drop_told(told);
    }
}

/// What a turn came to.
#[derive(Debug, Default)]
pub(crate) struct DeliveryResult {
    /// The rest of the snapshot.
    pub(crate) snapshot: Option<Snapshot>,
    /// Dirty users that did not fit into the frame.
    pub(crate) left: DirtyUsers,
    /// Up to which change everything has been sent with the frame.
    pub(crate) complete_to: u64,
}
