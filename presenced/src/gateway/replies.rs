//! Sends the messages of one connection that are not deliveries: replies to its requests, the welcome and the goodbye. Their
//! format is [`ServerMessage`]'s.

use std::sync::Arc;
use std::time::Duration;

use presence::wire::client_message::MessageId;
use presence::wire::error_code::Code;
use presence::wire::record::Record;
use presence::wire::server_message::ServerMessage;

use crate::clock::Clock;
use crate::connection::Connection;
use crate::engine::EngineError;
use crate::exceeded_limit::Limit;

/// The request was done.
pub(super) fn ok(conn: &Arc<Connection>, id: Option<MessageId>) {
    let message = ServerMessage::Ok {
        id,
        user: None,
        now: None,
        resumed: None,
    };
    send(conn, &message);
}

/// The request was done, and this is the user's own record; `resumed` only to `resume`.
pub(super) fn ok_with(
    conn: &Arc<Connection>,
    id: Option<MessageId>,
    user: Option<Record>,
    resumed: Option<bool>,
    clock: &Clock,
) {
    let now = user.as_ref().map(|user| clock.record_time(user.latest_time()));
    send(conn, &ServerMessage::Ok { id, user, now, resumed });
}

pub(super) fn pong(conn: &Arc<Connection>, id: Option<MessageId>) {
    send(conn, &ServerMessage::Pong { id });
}

/// The request failed.
pub(super) fn error(conn: &Arc<Connection>, id: Option<MessageId>, code: Code, message: impl Into<String>) {
    let message = ServerMessage::Error {
        id,
        code,
        message: message.into(),
        retry_after_ms: None,
    };
    send(conn, &message);
}

/// The engine's error as a reply: the one place that maps it for WebSockets.
pub(super) fn engine_error(conn: &Arc<Connection>, id: Option<MessageId>, engine_error: EngineError) {
    let code = engine_error.code();
    let (message, retry_after) = match engine_error {
        EngineError::RateLimited { retry_after } => (Limit::CustomStatuses.text().to_owned(), Some(retry_after)),
        EngineError::TooManyLookups { retry_after } => (Limit::Lookups.text().to_owned(), Some(retry_after)),
        other => (other.to_string(), None),
    };
    let message = ServerMessage::Error {
        id,
        code,
        message,
        retry_after_ms: retry_after.map(millis_rounded_up),
    };
    send(conn, &message);
}

/// Sends the first message of a connection. Changes are delivered from then on.
pub(super) fn greet(conn: &Arc<Connection>, welcome: &ServerMessage<MessageId>) {
    if let Some(text) = encode(welcome) {
        conn.send_greeting(&text);
    }
}

/// Sends any message.
pub(super) fn send(conn: &Arc<Connection>, message: &ServerMessage<MessageId>) {
    if let Some(text) = encode(message) {
        conn.send_text(&text);
    }
}

fn encode(message: &ServerMessage<MessageId>) -> Option<String> {
    message
        .encode()
        .inspect_err(|error| tracing::error!(%error, "can't encode a message"))
        .ok()
}

/// Rounded up: a client that tries again a moment early would be rejected again.
fn millis_rounded_up(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros().div_ceil(1000)).unwrap_or(u64::MAX)
}
