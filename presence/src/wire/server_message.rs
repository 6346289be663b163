//! Messages from the server: the one encoder of all of them and, for clients, the decoder. The frames that carry many
//! records ([`frame`]) are assembled from records that were encoded once; a test checks that both are the same format.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error_code::Code;
use super::record::encode::{RECORD_BYTES, push_string, push_time};
use super::record::{Record, Update};
use crate::time::Wall;

/// A message from the server. Clients read the `id` of their request as JSON; the daemon writes it byte for byte, as a
/// [`MessageId`](super::client_message::MessageId).
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
        /// The server's wall clock.
        now: Wall,
        /// The keepalive interval in seconds: after so long without a frame the server sends a ping.
        ping_seconds: f64,
        /// The name of the node.
        node: String,
        /// The daemon's version.
        version: String,
    },
    /// `snapshot`: one frame of the answer to `watch` or `watchAll`.
    Snapshot {
        /// The `id` of the request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Id>,
        /// Where to resume, once `done`.
        cursor: String,
        /// The server's wall clock.
        now: Wall,
        /// The records and removals of this frame.
        users: Vec<Update>,
        /// Whether users not listed are unchanged.
        resumed: bool,
        /// Whether this is the last frame of the snapshot.
        done: bool,
    },
    /// `presence`: users that changed.
    Presence {
        /// The cursor to resume from.
        cursor: String,
        /// The server's wall clock.
        now: Wall,
        /// The records and removals, at most one per user.
        users: Vec<Update>,
    },
    /// `stale`: whether what the node tells may be out of date from here on.
    Stale {
        /// Redis or other nodes can't be reached; else they can be again.
        stale: bool,
    },
    /// The request was done.
    Ok {
        /// The `id` of the request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Id>,
        /// The user's own record, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<Record>,
        /// The server's wall clock, beside a record.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        now: Option<Wall>,
        /// To `resume`: whether the session was continued.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resumed: Option<bool>,
    },
    /// The request failed.
    Error {
        /// The `id` of the request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Id>,
        /// The stable code.
        code: Code,
        /// What went wrong, for people.
        message: String,
        /// The time after which to retry, in milliseconds, where it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
    /// `pong`: the answer to `ping`.
    Pong {
        /// The `id` of the request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Id>,
    },
    /// `goodbye`: the server closes the connection next.
    Goodbye {
        /// The close reason as a stable value, such as `restart`.
        reason: String,
        /// When to reconnect; none: not automatically.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reconnect_after_ms: Option<u64>,
    },
}

impl<Id: Serialize> ServerMessage<Id> {
    /// The message as the text of a frame. The welcome, which every connection is sent, is written without the general
    /// serializer, byte for byte as that does; a test compares the two.
    ///
    /// # Errors
    /// Never for a message whose id is a `MessageId` or a JSON value.
    pub fn encode(&self) -> Result<String, serde_json::Error> {
        let Self::Welcome {
            session_id,
            user,
            now,
            ping_seconds,
            node,
            version,
        } = self
        else {
            return serde_json::to_string(self);
        };
        let mut text = String::with_capacity(2 * RECORD_BYTES);
        text.push_str(r#"{"type":"welcome","sessionId":"#);
        push_string(&mut text, session_id);
        if let Some(user) = user {
            text.push_str(r#","user":"#);
            user.encode(&mut text);
        }
        text.push_str(r#","now":"#);
        push_time(&mut text, Some(*now));
        text.push_str(r#","pingSeconds":"#);
        text.push_str(&serde_json::to_string(ping_seconds)?);
        text.push_str(r#","node":"#);
        push_string(&mut text, node);
        text.push_str(r#","version":"#);
        push_string(&mut text, version);
        text.push('}');
        Ok(text)
    }
}

/// Frames around records that are encoded already.
pub mod frame {
    use std::fmt::Write;

    use crate::cursor::Cursor;
    use crate::time::Wall;
    use crate::wire::client_message::MessageId;

    /// Most bytes of a frame besides its records: 386 for the longest message id (64 bytes of text, each written as six), 33
    /// for the cursor, 24 for the time, and the field names and punctuation.
    pub const OVERHEAD_MAX_BYTES: usize = 640;

    /// Encodes a `presence` message.
    #[must_use]
    pub fn presence(cursor: Cursor, now: Wall, records: &[impl AsRef<str>]) -> String {
        let mut text = String::with_capacity(OVERHEAD_MAX_BYTES + encoded_bytes(records));
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
        let mut text = String::with_capacity(OVERHEAD_MAX_BYTES + encoded_bytes(records));
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

    fn encoded_bytes(records: &[impl AsRef<str>]) -> usize {
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
