//! Everything that can reach the model: keys, time, news of the stream, answers. Nothing else changes it.

use std::time::Duration;

use presence::wire::record::{Record, Update};
use presence::wire::rest::{Explain, Stats};
use presence::{Now, UserId, Wall};

use super::geometry::Size;
use super::key::{Key, Mouse};

/// One input.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Message {
    /// A key was pressed.
    Key(Key),
    /// The mouse was used.
    Mouse(Mouse),
    /// Text was pasted.
    Paste(String),
    /// The screen has another size.
    Resized(Size),
    /// So late is it, by the clocks of this machine. At least once a second, and before every picture.
    Tick(Now),
    /// From the change stream.
    Stream(StreamEvent),
    /// To something asked.
    Response(Response),
}

/// What the change stream tells, in the order it happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum StreamEvent {
    /// A daemon answers. What was known still stands; a snapshot follows.
    Connected {
        /// Where it listens, for people.
        server: String,
        /// The node's name.
        node: String,
        /// Of the daemon.
        version: String,
    },
    /// A frame of a snapshot.
    Snapshot {
        /// The server's clock.
        now: Wall,
        /// Records, and who was removed.
        users: Vec<Update>,
        /// Whether users not listed are as they were.
        resumed: bool,
        /// Whether it is the last frame.
        done: bool,
    },
    /// Users changed.
    Changed {
        /// The server's clock.
        now: Wall,
        /// Records, and who was removed.
        users: Vec<Update>,
    },
    /// The daemon is lost, or not back yet.
    Lost {
        /// Why, for people.
        why: String,
        /// When it is tried again.
        retry_in: Duration,
    },
    /// It won't be tried again unless the operator asks for it.
    Ended {
        /// Why, for people.
        why: String,
        /// What to do next, where that is known.
        next: Option<String>,
    },
}

/// The answer to an effect.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Response {
    /// The daemon's numbers, or why there are none.
    Stats(Result<Box<Stats>, String>),
    /// How long the daemon took for a question, there and back.
    RoundTrip(Duration),
    /// Records as they are now, of users that were asked for.
    Records {
        /// The server's clock.
        now: Wall,
        /// Never-seen users come as OFFLINE.
        records: Vec<Record>,
    },
    /// Records that were asked for could not be had: the rows keep their times.
    RecordsFailed,
    /// Why a user is shown so.
    Explained {
        /// Who.
        user: UserId,
        /// The explanation, or why there is none.
        result: Result<Box<Explain>, String>,
    },
    /// Something asked for was done; says what, for people.
    Done(String),
    /// Something asked for was not done; says what and why, for people.
    Failed(String),
}
