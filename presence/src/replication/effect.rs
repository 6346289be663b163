//! What a partition asks of the daemon, as values.

use std::time::Duration;

use crate::durable_part::Version;
use crate::replication::call::Call;
use crate::replication::log::Question;
use crate::replication::names::{ConnectionNumber, Incarnation};
use crate::replication::node_info::{DrainOrder, MovedTimes};
use crate::replication::state::{CommandKind, State};
use crate::report::Source;
use crate::revision::Revision;
use crate::session_name::SessionName;
use crate::sessions::SessionId;
use crate::user_id::UserId;

/// An instruction to the daemon. They are carried out in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Make this call over the publisher's connection of that number, which is opened if it is new; older ones are dropped.
    /// The answer goes to [`super::Partition::handle_answer`], none if there was an error.
    Call {
        /// The number of the connection.
        connection: ConnectionNumber,
        /// What to call.
        call: Call,
    },
    /// Ask this over the follower's connection; one of another generation is dropped. The answer goes to
    /// [`super::Partition::handle_reply`], none if there was an error.
    Ask {
        /// Which of the follower's connections.
        generation: u64,
        /// What to ask.
        question: Question,
    },
    /// This is what watchers are told of the user from here on.
    Show {
        /// Whose state it is.
        user: UserId,
        /// The revision to tell it at: above all told before.
        revision: Revision,
        /// What to tell.
        state: Box<State>,
        /// Whether it is known to this node alone.
        is_stale: bool,
        /// Whether it was told before that the user is removed.
        was_removed: bool,
        /// Whether watchers see something else than what was told before.
        is_seen: bool,
    },
    /// The times of the user moved, and nothing else did: nobody is told.
    Times(MovedTimes),
    /// The user has left the state; the database has its record, which is to be told.
    Left(UserId),
    /// Write the record of the user as the copy has it, and tell [`super::Partition::handle_written`]; the mark
    /// `unpublished` of this version or a lower one is cleared with it. A row with a higher version is marked, if it is not:
    /// the entry may have come late, after the user was dropped with the newer part.
    Write(UserId),
    /// The user was forgotten an hour ago: delete it once more, and tell [`super::Partition::handle_written`]. Here, and at
    /// [`Self::EndSessions`] of the kind that forgets: the durable part unless its version is higher than in the copy, and
    /// with it the record unless its revision is. Versions go on above.
    Delete(UserId),
    /// Clear the mark `unpublished` up to this version: the log has it.
    Published(UserId, Version),
    /// End the sessions of the user that are open now, and tell [`super::Partition::handle_touch`]: until then, or until the
    /// node's next tick is back, nothing is offered of the user.
    EndSessions {
        /// The user whose sessions end.
        user: UserId,
        /// What the clients are told.
        kind: CommandKind,
        /// How many sessions the user had, for who asked for it.
        count: usize,
    },
    /// These sessions of this node are continued elsewhere: they give up their places, and those that are open leave none.
    Continued(UserId, Vec<SessionId>),
    /// Several sessions may have named this one, and the log says now which of them continues it.
    Claimed {
        /// Whose session it was.
        user: UserId,
        /// The session whose place was claimed here.
        of: SessionName,
        /// Whether it is the one that claimed it here. If not, that one is a session like any other.
        is_won: bool,
    },
    /// Whether the command takes effect is not known: the partition can't be reached.
    CommandFailed(UserId),
    /// End all sessions: the node was away for so long that it can't know who was kicked or forgotten.
    EndAllSessions,
    /// The user has as many sessions as one may have: end the newest one here.
    Refuse(UserId),
    /// The user has as many sessions as one may have, and a client was refused on another node: those here must show that they
    /// are alive.
    DemandAnswers(UserId),
    /// A report ended by itself: remove it from the database unless it was refreshed since.
    ReportEnded(UserId, Source, Version),
    /// Load the durable part and tell [`super::Partition::handle_loaded`].
    Load(UserId),
    /// Load the times of these users and tell [`super::Partition::handle_stored_times`]: a node that is gone may have written
    /// some while it could not tell the log, or one may have before the user left and an older offer came.
    LoadTimes(Vec<UserId>),
    /// Load all users of the partition that are present in the database and tell [`super::Partition::handle_present`]:
    /// the epoch is new.
    LoadPresent,
    /// Read users of the partition who have another custom status than ONLINE in the database, some hundred of them or more, in
    /// order of their ids after this one, and tell [`super::Partition::handle_chosen`], with this number.
    LoadChosen {
        /// Which list they are for.
        pass: u64,
        /// The last user of the page before.
        after: Option<UserId>,
    },
    /// Touch all users with sessions here, load the durable part of each anew, and tell
    /// [`super::Partition::handle_loaded`]: it may have been changed, and the user dropped, in what was not read.
    OfferAll,
    /// The node's registration was ended: each connection counts again once something comes from it, until then as in
    /// grace, which ends after this.
    RegistrationEnded(Duration),
    /// A node with this one's name is alive: refuse to start, and name both.
    NameTaken(Incarnation),
    /// An operator asked at another node that this one drains, or takes clients again.
    Drain(bool),
    /// The node that was asked to drain, or to take clients again, says that it does.
    DrainObeyed(DrainOrder),
    /// The copy is complete, and no other node holds this one's name: the node may accept.
    Ready,
    /// The partition can't be reached, or can be again.
    Stale(bool),
    /// Redis has no room for what some node adds, or has again: users who came to that node may be in no other's copy.
    AdditionsRefused(bool),
    /// The node's own registration was ended because the node stops.
    Stopped,
    /// A newer version wrote what this one can't read.
    Unreadable(u8),
}
