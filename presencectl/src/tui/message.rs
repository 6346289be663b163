//! Every input of the model: keys, time, stream events, responses. Nothing else changes it.

use std::time::Duration;

use presence::wire::record::{Record, Update};
use presence::wire::rest::{Explain, Stats};
use presence::{Now, UserId, Wall};

use super::geometry::Size;
use super::key::{Key, Mouse};

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Message {
    Key(Key),
    Mouse(Mouse),
    Paste(String),
    Resized(Size),
    /// The clocks of this machine. Sent at least once a second, and before every frame.
    Tick(Now),
    Stream(StreamEvent),
    /// To a request among the effects.
    Response(Response),
}

/// Events of the change stream, in order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum StreamEvent {
    /// Connected. Known records stay valid; a snapshot follows.
    Connected {
        /// The daemon's URL.
        server: String,
        node: String,
        /// The daemon's version.
        version: String,
    },
    Snapshot {
        now: Wall,
        users: Vec<Update>,
        /// Whether users that are not listed are unchanged.
        resumed: bool,
        /// Whether this is the last frame.
        done: bool,
    },
    Changed {
        now: Wall,
        users: Vec<Update>,
    },
    /// What the daemon tells may be out of date, or is right again.
    Stale(bool),
    /// The connection was lost, or a reconnect failed.
    Lost {
        why: String,
        retry_in: Duration,
    },
    /// Permanent failure: no further attempt unless the operator asks for one.
    Ended {
        why: String,
        /// A suggestion, where there is one.
        next: Option<String>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Response {
    Stats(Result<Box<Stats>, String>),
    /// The round trip time of a REST request.
    RoundTrip(Duration),
    /// The current records of the requested users.
    Records {
        now: Wall,
        /// Users never seen are OFFLINE.
        records: Vec<Record>,
    },
    /// The requested records could not be read: the rows keep their times.
    RecordsFailed,
    Explained {
        user: UserId,
        result: Result<Box<Explain>, String>,
    },
    /// A change was made, with a text for the operator.
    Done(String),
    /// A change failed, with a text for the operator.
    Failed(String),
}
