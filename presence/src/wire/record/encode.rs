//! Records as JSON text, without the general serializer: records are most of what the daemon sends, in lists of a thousand as
//! well. Serde's format of them, in which they are read and stand in other messages, is the same byte for byte; a test compares
//! the two.

use std::fmt::Write as _;

use super::{Record, Removed, Update};
use crate::time::Wall;

/// Room for the fields of a record with a short user id.
pub(in crate::wire) const RECORD_BYTES: usize = 384;

impl Record {
    /// Appends the record.
    pub fn encode(&self, text: &mut String) {
        text.push('{');
        self.encode_fields(text);
        text.push('}');
    }

    /// Appends the fields alone, to stand beside others.
    pub fn encode_fields(&self, text: &mut String) {
        text.push_str(r#""userId":"#);
        push_string(text, self.user_id.as_str());
        text.push_str(r#","status":""#);
        text.push_str(self.status.as_str());
        text.push_str(r#"","since":"#);
        push_time(text, self.since);
        text.push_str(r#","lastSeen":"#);
        push_time(text, self.last_seen);
        text.push_str(r#","lastActive":"#);
        push_time(text, self.last_active);
        text.push_str(r#","revision":"#);
        push_number(text, self.revision.get());
        if self.degraded {
            text.push_str(r#","degraded":true"#);
        }
        if self.stale {
            text.push_str(r#","stale":true"#);
        }
        push_word(
            text,
            r#","customStatus":""#,
            self.custom_status.map(|custom| custom.as_str()),
        );
        push_word(
            text,
            r#","customStatusSetBy":""#,
            self.custom_status_set_by.map(|by| by.as_str()),
        );
        if let Some(sessions) = self.sessions {
            text.push_str(r#","sessions":"#);
            push_number(text, sessions.into());
        }
        push_word(text, r#","reason":""#, self.reason.map(|reason| reason.as_str()));
        if let Some(nodes) = &self.nodes {
            text.push_str(r#","nodes":["#);
            push_list(text, nodes, |text, node| push_string(text, node));
            text.push(']');
        }
    }
}

impl Update {
    /// The update as JSON.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(RECORD_BYTES);
        match self {
            Self::Record(record) => record.encode(&mut text),
            Self::Removed(Removed {
                user_id,
                revision,
                removed,
            }) => {
                text.push_str(r#"{"userId":"#);
                push_string(&mut text, user_id.as_str());
                let _ = write!(text, r#","revision":{},"removed":{removed}}}"#, revision.get());
            }
        }
        text
    }
}

/// Begins an object with the server's clock and a list of records: `{"now":…,"users":[…]`.
pub(in crate::wire) fn object_of_records(now: Wall, users: &[Record]) -> String {
    let mut text = String::with_capacity((users.len() + 1) * RECORD_BYTES);
    text.push_str(r#"{"now":"#);
    push_time(&mut text, Some(now));
    text.push_str(r#","users":["#);
    push_list(&mut text, users, |text, user| user.encode(text));
    text.push(']');
    text
}

pub(in crate::wire) fn push_time(text: &mut String, time: Option<Wall>) {
    match time {
        Some(time) => {
            text.push('"');
            time.push_to(text);
            text.push('"');
        }
        None => text.push_str("null"),
    }
}

/// A word of the protocol, after `before`, which ends with the quote.
fn push_word(text: &mut String, before: &str, word: Option<&str>) {
    if let Some(word) = word {
        text.push_str(before);
        text.push_str(word);
        text.push('"');
    }
}

pub(in crate::wire) fn push_number(text: &mut String, number: u64) {
    // Writing into memory does not fail.
    let _ = write!(text, "{number}");
}

pub(in crate::wire) fn push_string(text: &mut String, string: &str) {
    let is_plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    if string.bytes().all(is_plain) {
        text.push('"');
        text.push_str(string);
        text.push('"');
    } else {
        // A string holds nothing that JSON can't.
        text.push_str(&serde_json::to_string(string).unwrap_or_default());
    }
}

fn push_list<T>(text: &mut String, list: &[T], push: impl Fn(&mut String, &T)) {
    for (index, one) in list.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        push(text, one);
    }
}
