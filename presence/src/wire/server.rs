//! Messages from the server, as a client parses them. The daemon builds `snapshot` and `presence` from records that
//! were encoded once ([`frame`]); a test checks that both agree.

use serde::{Deserialize, Serialize};

use super::code::Code;
use super::record::{Record, Update};
use crate::time::Wall;

/// A message from the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ServerMessage {
    /// `welcome`: the first message of a connection.
    Welcome {
        /// The session id of the connection.
        session_id: String,
        /// The user's own record, this connection included; none for an observer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<Record>,
        /// The server's wall clock.
        now: Wall,
        /// The keepalive interval in seconds: after so long without a frame the server sends a ping.
        ping_seconds: f64,
        /// The name of the node.
        node: String,
        /// The version of the daemon.
        version: String,
    },
    /// `snapshot`: one frame of the answer to `watch` or `watchAll`.
    Snapshot {
        /// The `id` of the request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<serde_json::Value>,
        /// The cursor to resume from; valid once `done` is true.
        cursor: String,
        /// The server's wall clock.
        now: Wall,
        /// The records and removals of this frame.
        users: Vec<Update>,
        /// Whether only changes since the given cursor are listed; false: the list is complete.
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
    /// `ok`: the request was carried out.
    Ok {
        /// The `id` of the request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<serde_json::Value>,
        /// The user's own record after `setStatus` or `activity`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<Record>,
    },
    /// `error`: the request was rejected and had no effect.
    Error {
        /// The `id` of the request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<serde_json::Value>,
        /// The stable error code.
        code: Code,
        /// The error text for people; not stable.
        message: String,
        /// The time after which to retry, in milliseconds, where it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
    /// `pong`: the answer to `ping`.
    Pong {
        /// The `id` of the request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<serde_json::Value>,
    },
    /// `goodbye`: the server closes the connection next.
    Goodbye {
        /// The close reason as a stable value, such as `restart`.
        reason: String,
        /// The time after which to reconnect, in milliseconds; none: don't reconnect automatically.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reconnect_after_ms: Option<u64>,
    },
}

/// Encoding of messages around records that are encoded already.
pub mod frame {
    use std::fmt::Write;

    use crate::revision::Cursor;
    use crate::time::Wall;
    use crate::wire::client::MessageId;

    /// An upper bound for the bytes of a message without its records: 386 for the longest message id (64 bytes of text,
    /// each escaped as six, and two quotes), 33 for the cursor, 24 for the time, and the keys and punctuation.
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

    /// Encodes one frame of a `snapshot` message.
    #[must_use]
    pub fn snapshot(
        id: Option<&MessageId>,
        (cursor, now): (Cursor, Wall),
        records: &[impl AsRef<str>],
        resumed: bool,
        done: bool,
    ) -> String {
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
