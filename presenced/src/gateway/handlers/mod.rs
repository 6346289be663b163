//! One handler per message type and file. Each sends its reply, or queues the snapshot that is the reply.

mod activity;
mod resume;
mod set_status;
mod unwatch;
mod watch;
mod watch_all;

use std::pin::Pin;
use std::sync::Arc;

use presence::wire::client_message::{ClientMessage, Envelope, MessageId};
use presence::wire::error_code::Code;
use presence::wire::record::Record;

use super::{Gateway, replies};
use crate::connection::Connection;
use crate::exceeded_limit::Limit;

/// A handler that waits for the engine. Boxed, so that connections that wait for nothing don't carry its size.
pub(super) type Handling<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// The result of handling a message.
pub(super) enum Handled<'a> {
    /// The reply is sent or queued.
    Done,
    /// The message was malformed and an error is sent; too many of these end the connection.
    Malformed,
    /// The handler waits for the engine. The next message waits for it, so replies keep their order.
    Pending(Handling<'a>),
}

/// Whether a message is the first of its connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    First,
    Later,
}

/// Handles one text message of a connection.
pub(super) fn handle<'a>(
    gateway: &'a Gateway,
    conn: &'a Arc<Connection>,
    text: &str,
    position: Position,
) -> Handled<'a> {
    let Envelope { id, message } = Envelope::parse(text, gateway.limits.load().watched_per_connection);
    if !matches!(message, Ok(ClientMessage::Ping)) {
        gateway.engine.message(conn);
    }
    let message = match message {
        Ok(message) => message,
        Err(error) => {
            gateway.metrics.count_message("refused");
            replies::error(conn, id, error.code, error.message);
            return match error.code {
                // Well-formed, but over the limit.
                Code::TooManyWatched => {
                    gateway.metrics.count_limit(Limit::Watched);
                    Handled::Done
                }
                _ => Handled::Malformed,
            };
        }
    };
    gateway.metrics.count_message(type_of(&message));
    match message {
        ClientMessage::SetStatus(custom) => return pending(set_status::handle(gateway, conn, id, custom)),
        ClientMessage::Watch { user_ids, since } => return pending(watch::handle(gateway, conn, id, user_ids, since)),
        ClientMessage::WatchAll { since } => return pending(watch_all::handle(gateway, conn, id, since)),
        ClientMessage::Activity { ago } => {
            return activity::handle(gateway, conn, id, |engine| engine.activity(conn, ago));
        }
        ClientMessage::Away { ago } => return activity::handle(gateway, conn, id, |engine| engine.away(conn, ago)),
        ClientMessage::Unwatch { user_ids } => unwatch::handle(gateway, conn, id, &user_ids),
        ClientMessage::Resume { of } => return resume::handle(gateway, conn, id, of, position),
        ClientMessage::Ping => replies::pong(conn, id),
    }
    Handled::Done
}

fn pending<'a>(handling: impl Future<Output = ()> + Send + 'a) -> Handled<'a> {
    Handled::Pending(Box::pin(handling))
}

/// Replies with the own record; among other nodes once the log has what the connection told.
fn answer_with_record<'a>(
    gateway: &'a Gateway,
    conn: &'a Arc<Connection>,
    id: Option<MessageId>,
    record: Option<Record>,
) -> Handled<'a> {
    if record.is_none() || !gateway.engine.is_shared() {
        replies::ok_with(conn, id, record, None, &gateway.clock);
        return Handled::Done;
    }
    pending(async move {
        let record = gateway.engine.own_record(conn).await;
        replies::ok_with(conn, id, record, None, &gateway.clock);
    })
}

/// Replies to an observer that sent what only a user's connection may send.
fn users_only(conn: &Arc<Connection>, id: Option<MessageId>) {
    let message = "an observer has no status: connect as a user";
    replies::error(conn, id, Code::UsersOnly, message);
}

const fn type_of(message: &ClientMessage) -> &'static str {
    match message {
        ClientMessage::SetStatus(_) => "setStatus",
        ClientMessage::Activity { .. } | ClientMessage::Away { .. } => "activity",
        ClientMessage::Watch { .. } => "watch",
        ClientMessage::WatchAll { .. } => "watchAll",
        ClientMessage::Unwatch { .. } => "unwatch",
        ClientMessage::Resume { .. } => "resume",
        ClientMessage::Ping => "ping",
    }
}
