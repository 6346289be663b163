//! What a follower asks of one partition, and what it is answered: the log, the head, and the state in pages.

use std::time::Duration;

use crate::replication::names::{ConnectionNumber, Epoch, Incarnation};
use crate::revision::Revision;
use crate::user_id::UserId;

/// The most entries of one answer to [`Question::Read`]. A node applies them in one go, 20 µs each, and those of 16 partitions may
/// be in line before a request: that is 20 ms then. A question costs Redis as much as one entry.
pub const READ_ENTRIES_MAX: usize = 64;
/// For how long [`Question::Read`] waits for an entry. An answer that takes twice as long is none (2 s).
pub const READ_WAIT: Duration = Duration::from_secs(1);
/// How many fields [`Question::Page`] asks for: a page of 1,000 takes Redis about 1 ms.
pub const PAGE_FIELDS: usize = 1_000;

/// A question about one partition. None of them changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// The entries above this id, the lowest first, up to [`READ_ENTRIES_MAX`]. If there is none, waits for one, at most
    /// [`READ_WAIT`]. It may be that entries in between were trimmed: see [`Entry::before`].
    Read {
        /// The last id that was applied.
        after: Revision,
    },
    /// The head and the epoch.
    Head,
    /// The part of the state at this place; 0 is the first. Pages are no snapshot: what is there all the time is in at
    /// least one of them, perhaps in several, what came or went meanwhile is or is not, and values are those of the moment
    /// in which their page is read (as `HSCAN`).
    Page {
        /// The place, as the page before gave it.
        place: u64,
    },
}

/// The answer to a [`Question`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To [`Question::Read`]; empty if none came in time.
    Entries(Vec<Entry>),
    /// To [`Question::Head`].
    Head {
        /// The highest revision; 0 if there is none.
        head: Revision,
        /// The epoch; none if nobody has registered since the partition was emptied.
        epoch: Option<Epoch>,
    },
    /// To [`Question::Page`].
    Page(StatePage),
}

/// The end of a registration, as the state keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptEnd {
    /// The node's incarnation, which may have registered again since.
    pub incarnation: Incarnation,
    /// The entry that ended it.
    pub id: Revision,
    /// For how long its contributions count from then.
    pub grace: Duration,
}

/// A part of the state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatePage {
    /// Users with the revision and the encoded [`super::State`].
    pub users: Vec<(UserId, Revision, Vec<u8>)>,
    /// The registered incarnations, with their connection number and encoded [`super::NodeInfo`].
    pub registrations: Vec<(Incarnation, ConnectionNumber, Vec<u8>)>,
    /// The ends of registrations that the state keeps; all of them are in one page.
    pub ends: Vec<KeptEnd>,
    /// The place of the next page; none if this is the last.
    pub next: Option<u64>,
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id. Ids grow.
    pub id: Revision,
    /// The id of the entry before it (the head at the time): whoever has applied another one last has missed some.
    pub before: Revision,
    /// What happened to the partition.
    pub content: Content,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A user has a new state, of which the entry's id is the revision.
    State {
        /// The user whose state it is.
        user: UserId,
        /// An encoded [`super::State`].
        state: Vec<u8>,
        /// Whose offer it was.
        by: Incarnation,
    },
    /// A node is alive.
    Tick {
        /// The node's incarnation.
        by: Incarnation,
        /// An encoded [`super::Tick`].
        content: Vec<u8>,
    },
    /// An incarnation was registered that was not.
    Registered {
        /// The node's incarnation.
        incarnation: Incarnation,
        /// An encoded [`super::NodeInfo`].
        node: Vec<u8>,
    },
    /// An incarnation is no longer registered. Its contributions are in grace from here on.
    Ended {
        /// The node's incarnation.
        incarnation: Incarnation,
        /// For how long they count.
        grace: Duration,
        /// Who ended it.
        by: Incarnation,
    },
    /// Users are no longer in the state, because the database has them.
    Dropped {
        /// The users that were removed.
        users: Vec<UserId>,
        /// Who removed them.
        by: Incarnation,
    },
    /// A new epoch began.
    Epoch(Epoch),
}
