//! Answers to a client's messages. The `id` goes back as it came, digit for digit.

use std::sync::Arc;
use std::time::Duration;

use presence::wire::client::MessageId;
use presence::wire::code::Code;
use presence::wire::record::Record;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::connection::Connection;

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a Record>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Code>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

/// It was done; with the own record, where there is one.
pub(super) fn ok(conn: &Arc<Connection>, id: Option<&MessageId>, user: Option<&Record>) {
    push(
        conn,
        &Answer {
            kind: "ok",
            id: raw(id),
            user,
            ..Answer::default()
        },
    );
}

/// The answer to a ping.
pub(super) fn pong(conn: &Arc<Connection>, id: Option<&MessageId>) {
    push(
        conn,
        &Answer {
            kind: "pong",
            id: raw(id),
            ..Answer::default()
        },
    );
}

/// It was refused.
pub(super) fn error(conn: &Arc<Connection>, id: Option<&MessageId>, code: Code, message: &str) {
    push(
        conn,
        &Answer {
            kind: "error",
            id: raw(id),
            code: Some(code),
            message: Some(message),
            ..Answer::default()
        },
    );
}

/// It was refused for now.
pub(super) fn rate_limited(conn: &Arc<Connection>, id: Option<&MessageId>, retry_after: Duration) {
    // Rounded up: a client that comes back a moment early would be refused again.
    let millis = u64::try_from(retry_after.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
    let answer = Answer {
        kind: "error",
        id: raw(id),
        code: Some(Code::RateLimited),
        message: Some("too many choices; try again later"),
        retry_after_ms: Some(millis),
        ..Answer::default()
    };
    push(conn, &answer);
}

/// Sends a message.
pub(super) fn push(conn: &Arc<Connection>, message: &impl Serialize) {
    match serde_json::to_string(message) {
        Ok(text) => conn.push_text(&text),
        Err(error) => tracing::error!(%error, "a message could not be encoded"),
    }
}

fn raw(id: Option<&MessageId>) -> Option<Box<RawValue>> {
    id.and_then(|id| RawValue::from_string(id.to_string()).ok())
}
