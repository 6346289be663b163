//! The calls that a node's publisher makes on one partition, and their answers. Each is one script in Redis and one
//! function of the model in the tests; both pass the same contract suite.
//!
//! What a state, a node or a tick says is opaque bytes here: an implementation stores and hands them on, and never looks
//! into them. Rules, merging and limits must not live behind this interface.

use std::time::Duration;

use crate::replication::names::{ConnectionNumber, Epoch, Incarnation};
use crate::revision::Revision;
use crate::status::CustomStatus;
use crate::time::Wall;
use crate::user_id::UserId;

/// The most users of one call: a script of 64 offers takes Redis 0.4 ms, and nothing else is served meanwhile.
pub const CALL_USERS_MAX: usize = 64;

/// How many ends of registrations the state of a partition keeps, for nodes that don't read the entries: a rolling restart of 100
/// nodes within one grace period. 6 kB, read once by a node that starts. Whose end is not kept counts for longer.
pub const ENDS_KEPT: usize = 128;

/// Who calls. Every call but [`Call::Register`] is refused unless this incarnation is registered with this very number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The run of the node.
    pub incarnation: Incarnation,
    /// The connection that the call goes over.
    pub connection: ConnectionNumber,
}

/// A call on one partition. It takes effect as a whole: whatever fails leaves state, log and head as they were, except
/// that an offer's users are decided one by one, in order.
///
/// The revision of an entry is `max(head + 1, floor + 1, time of Redis in µs)`, the floor being 0 where a call has none;
/// the time of Redis counts up to [`TIME_MAX_MICROS`]. The entry is appended, naming the head before it, then the state
/// and the head are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Begins a connection. If the partition has no epoch, or was last written under another run id of the server, a new
    /// epoch begins first, with nobody registered (entry [`Content::Epoch`]).
    ///
    /// If the incarnation is not registered, it is, with an entry [`Content::Registered`]. If it is under a lower number, the
    /// number is raised, without an entry. Under a higher number nothing changes.
    ///
    /// [`Content::Epoch`]: super::Content::Epoch
    /// [`Content::Registered`]: super::Content::Registered
    Register {
        /// The incarnation and the new number.
        caller: Caller,
        /// What the others are told of the node: an encoded [`super::NodeInfo`].
        node: Vec<u8>,
        /// The random number of the epoch that begins if there is none, or the server is another.
        new_epoch: u64,
        /// The highest revision of the partition that the node has read. The head is taken to be at least this, and at
        /// least the last id of the log.
        floor: Revision,
    },
    /// Offers new states of up to [`CALL_USERS_MAX`] users, each a compare-and-set, with an entry [`Content::State`] each.
    ///
    /// [`Content::State`]: super::Content::State
    Offer {
        /// On whose behalf.
        caller: Caller,
        /// No user twice.
        users: Vec<UserOffer>,
    },
    /// Proof of life, with an entry [`Content::Tick`].
    ///
    /// [`Content::Tick`]: super::Content::Tick
    Tick {
        /// On whose behalf.
        caller: Caller,
        /// An encoded [`super::Tick`].
        content: Vec<u8>,
    },
    /// Ends the registration of an incarnation, perhaps the caller's own, with an entry [`Content::Ended`]. Nothing happens
    /// if it is not registered. The state keeps the last [`ENDS_KEPT`] ends of the epoch, one of an incarnation, and none of
    /// one that registered again.
    ///
    /// [`Content::Ended`]: super::Content::Ended
    End {
        /// On whose behalf.
        caller: Caller,
        /// The incarnation whose registration ends.
        ended: Incarnation,
        /// For how long its contributions still count.
        grace: Duration,
    },
    /// Removes users from the state, each only if its revision is still this one; one entry [`Content::Dropped`] names
    /// those that were removed. Nothing happens if there are none. Up to [`CALL_USERS_MAX`] users.
    ///
    /// [`Content::Dropped`]: super::Content::Dropped
    Drop {
        /// On whose behalf.
        caller: Caller,
        /// No user twice.
        users: Vec<(UserId, Revision)>,
    },
    /// Puts right what other services read, where it was deleted or changed by somebody else, or is of an earlier epoch. No
    /// entry: nodes don't read it.
    List {
        /// On whose behalf.
        caller: Caller,
        /// What is put right now.
        listing: Listing,
    },
}

/// A step in which what other services read becomes what it should be. While the custom statuses are listed anew, offers change
/// the old list and the new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listing {
    /// Each user is listed as present, or is not, if the stored revision is this one. Up to [`CALL_USERS_MAX`] users.
    Present(Vec<(UserId, Revision, bool)>),
    /// Some of those listed as present, from this place on, are removed if they have no state.
    Strangers {
        /// The place, as the step before gave it; 0 is the first.
        place: u64,
    },
    /// The caller begins a new, empty list of custom statuses. Refused while another node that is registered makes one.
    Begin,
    /// Custom statuses for the new list, each only if the stored revision is this one, none if there must be no state. Up to
    /// [`CALL_USERS_MAX`] users. Refused unless the caller makes the list, and if users were dropped after `read_to`: one may
    /// have been changed since the database was read.
    Custom {
        /// Up to where the caller has read the log.
        read_to: Revision,
        /// No user twice.
        users: Vec<(UserId, Option<Revision>, CustomStatus)>,
    },
    /// The new list takes the place of the old one. Refused unless the caller makes it.
    Complete,
}

/// The latest time of Redis that revisions follow, in µs: as [`crate::RevisionClock`].
pub const TIME_MAX_MICROS: u64 = Revision::MAX.get() - (1 << 40);

/// The offer of a new state of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserOffer {
    /// The user whose state it is.
    pub user: UserId,
    /// The revision of the stored state that this one was built from; none if there was none.
    pub base: Option<Revision>,
    /// The highest revision of the user that the node has told or read.
    pub floor: Revision,
    /// Whether the user is among those listed as present for other services.
    pub is_present: bool,
    /// The custom status that other services read.
    pub listed: Listed,
    /// An encoded [`super::State`].
    pub state: Vec<u8>,
}

/// The custom status of a user as other services read it: there only if it is not ONLINE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// It stays as it is.
    Keep,
    /// It is removed.
    Remove,
    /// It is set to this.
    Set(CustomStatus),
}

/// What became of a call. An error that is not one of these (out of memory, busy, loading, moved) is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Call::Register`].
    Registered {
        /// The epoch, perhaps a new one.
        epoch: Epoch,
        /// The highest revision of the partition.
        head: Revision,
        /// The time of Redis.
        time: Wall,
        /// Whether it was not registered before.
        is_new: bool,
    },
    /// To [`Call::Offer`]: the outcome of each user, in order.
    Offered {
        /// The time of Redis.
        time: Wall,
        /// As many as users were offered.
        outcomes: Vec<Outcome>,
    },
    /// To [`Call::Tick`].
    Ticked {
        /// The time of Redis.
        time: Wall,
        /// The revision of the entry.
        revision: Revision,
        /// How many users are listed as present for other services, after this entry.
        listed_present: u64,
        /// Whether the custom statuses that other services read are all there.
        listed_custom: ListedCustom,
    },
    /// To [`Call::List`].
    Listed {
        /// The time of Redis.
        time: Wall,
        /// What became of the step.
        outcome: ListOutcome,
    },
    /// To [`Call::End`] and [`Call::Drop`].
    Noted {
        /// The time of Redis.
        time: Wall,
        /// The revision of the entry; none if nothing changed.
        revision: Option<Revision>,
    },
    /// The incarnation is not registered with this connection number; nothing changed.
    NotRegistered,
}

/// The custom statuses that other services read, as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListedCustom {
    /// As many are there as scripts have put there, in this epoch.
    Complete,
    /// Somebody else has changed or deleted them, or the epoch is new.
    Incomplete,
    /// This node, which is registered, makes a new list.
    UnderWay(Incarnation),
}

/// What became of a step of [`Call::List`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListOutcome {
    /// It is done.
    Done,
    /// [`Listing::Strangers`] goes on from this place.
    GoesOn(u64),
    /// [`Listing::Begin`] is done, at this head.
    Begun(Revision),
    /// The caller has not read up to the last users that were dropped. Nothing changed.
    Behind,
    /// Another node makes the list, or the caller does not. Nothing changed.
    Refused,
    /// The memory of Redis is full: no new list is begun, or the one that was made is given up.
    Full,
}

/// What became of the offer of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The state is stored, at this revision.
    Taken(Revision),
    /// It was built from another state than the stored one, which is this, if there is one. Nothing changed.
    Stored(Option<(Revision, Vec<u8>)>),
    /// The memory of Redis is full. Nothing changed. Offers of users who are not present are never refused so.
    Full,
}
