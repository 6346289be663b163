//! Messages from the server, as a client reads them. The daemon builds the frames that carry many records itself, from
//! records that were encoded once ([`frame`]); a test holds the two together.

use serde::{Deserialize, Serialize};

use super::code::Code;
use super::record::{Record, Update};
use crate::time::Wall;

/// A message from the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ServerMessage {
    /// The first message.
    Welcome {
        /// The connection's name.
        session_id: String,
        /// The own record as it is with this connection; none for an observer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<Record>,
        /// The server's clock.
        now: Wall,
        /// How often the server pings.
        ping_seconds: f64,
        /// The node's name.
        node: String,
        /// Of the daemon.
        version: String,
    },
    /// The answer to `watch` and `watchAll`.
    Snapshot {
        /// The request's id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<serde_json::Value>,
        /// Where to resume, once `done`.
        cursor: String,
        /// The server's clock.
        now: Wall,
        /// Records.
        users: Vec<Update>,
        /// Whether users not listed are as they were.
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
    /// It was done.
    Ok {
        /// The request's id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<serde_json::Value>,
        /// The own record, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<Record>,
    },
    /// It was refused.
    Error {
        /// The request's id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<serde_json::Value>,
        /// Why.
        code: Code,
        /// Why, for people.
        message: String,
        /// When to try again, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
    /// The answer to `ping`.
    Pong {
        /// The request's id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<serde_json::Value>,
    },
    /// The server closes next.
    Goodbye {
        /// Why.
        reason: String,
        /// When to come back; none: not by yourself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reconnect_after_ms: Option<u64>,
    },
}

/// Frames around records that are encoded already.
pub mod frame {
    use std::fmt::Write;

    use crate::revision::Cursor;
    use crate::time::Wall;
    use crate::wire::client::MessageId;

    /// Most bytes that the parts around the records take: 386 for the longest message id (64 bytes of text, each written
    /// as six), 33 for the cursor, 24 for the time, and what stands between them.
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

    /// A `snapshot` message around encoded records.
    #[must_use]
    pub fn snapshot(
        id: Option<&MessageId>,
        (cursor, now): (Cursor, Wall),
        records: &[impl AsRef<str>],
        resumed: bool,
        done: bool,
    ) -> String {
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
