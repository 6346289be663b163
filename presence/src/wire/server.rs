//! Messages from the server: the one encoder of all of them and, for clients, the decoder. The frames that carry many
//! records ([`frame`]) are assembled from records that were encoded once; a test checks that both are the same format.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::code::Code;
use super::record::{Record, Update};
use crate::time::Wall;

/// A message from the server. Clients read the `id` of their request as JSON; the daemon writes it byte for byte, as a
/// [`MessageId`](super::client::MessageId).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ServerMessage<Id = Value> {
    /// The first message of a connection.
    Welcome {
        /// The public session id.
        session_id: String,
        /// The user's own record, with this connection counted; none for an observer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<Record>,
        /// The server's clock.
        now: Wall,
        /// How often the server pings.
        ping_seconds: f64,
        /// The node's name.
        node: String,
        /// The daemon's version.
        version: String,
    },
    /// The answer to `watch` and `watchAll`.
    Snapshot {
        /// The request's id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Id>,
        /// Where to resume, once `done`.
        cursor: String,
        /// The server's clock.
        now: Wall,
        /// Records.
        users: Vec<Update>,
        /// Whether users not listed are unchanged.
        resumed: bool,
        /// Whether this is the last frame of the snapshot.
        done: bool,
    },
    /// Users that changed.
    Presence {
        /// Where to resume.
        cursor: String,
        /// The server's clock.
        now: Wall,
        /// Records.
        users: Vec<Update>,
    },
    /// The request was done.
    Ok {
        /// The request's id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Id>,
        /// The user's own record, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<Record>,
    },
    /// The request failed.
    Error {
        /// The request's id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Id>,
        /// The stable code.
        code: Code,
        /// What went wrong, for people.
        message: String,
        /// When to try again, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
    /// The answer to `ping`.
    Pong {
        /// The request's id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Id>,
    },
    /// The server closes next.
    Goodbye {
        /// Why.
        reason: String,
        /// When to reconnect; none: not automatically.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reconnect_after_ms: Option<u64>,
    },
}

impl<Id: Serialize> ServerMessage<Id> {
    /// The message as the text of a frame.
    ///
    /// # Errors
    /// Never for a message whose id is a `MessageId` or a JSON value.
    pub fn encode(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

/// Frames around records that are encoded already.
pub mod frame {
    use std::fmt::Write;

    use crate::revision::Cursor;
    use crate::time::Wall;
    use crate::wire::client::MessageId;

    /// Most bytes of a frame besides its records: 386 for the longest message id (64 bytes of text, each written as six), 33
    /// for the cursor, 24 for the time, and the field names and punctuation.
    pub const AROUND_MAX_BYTES: usize = 640;

    /// A `presence` message around encoded records.
    #[must_use]
    pub fn presence(cursor: Cursor, now: Wall, records: &[impl AsRef<str>]) -> String {
        let mut text = String::with_capacity(AROUND_MAX_BYTES + total(records));
        let _ = write!(
            text,
            r#"{{"type":"presence","cursor":"{cursor}","now":"{now}","users":["#
        );
        push_records(&mut text, records);
        text.push_str("]}");
        text
    }

    /// The fields of a `snapshot` message besides its records, as in [`ServerMessage::Snapshot`](super::ServerMessage).
    #[derive(Debug, Clone, Copy)]
    pub struct SnapshotHeader<'a> {
        /// The request's id.
        pub id: Option<&'a MessageId>,
        /// Where to resume, once `done`.
        pub cursor: Cursor,
        /// The server's clock.
        pub now: Wall,
        /// Whether users not listed are unchanged.
        pub resumed: bool,
        /// Whether this is the last frame of the snapshot.
        pub done: bool,
    }

    /// A `snapshot` message around encoded records.
    #[must_use]
    pub fn snapshot(header: &SnapshotHeader<'_>, records: &[impl AsRef<str>]) -> String {
        let SnapshotHeader {
            id,
            cursor,
            now,
            resumed,
            done,
        } = header;
        let mut text = String::with_capacity(AROUND_MAX_BYTES + total(records));
        text.push_str(r#"{"type":"snapshot","#);
        if let Some(id) = id {
            let _ = write!(text, r#""id":{id},"#);
        }
        let _ = write!(
            text,
            r#""cursor":"{cursor}","now":"{now}","resumed":{resumed},"done":{done},"users":["#
        );
        push_records(&mut text, records);
        text.push_str("]}");
        text
    }

    fn total(records: &[impl AsRef<str>]) -> usize {
        records.iter().map(|record| record.as_ref().len() + 1).sum()
    }

    fn push_records(text: &mut String, records: &[impl AsRef<str>]) {
        for (index, record) in records.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            text.push_str(record.as_ref());
        }
    }
}
