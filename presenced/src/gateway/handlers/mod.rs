//! What a client may ask for: one handler per file. Each answers, or leaves the answer to the snapshot it queued.

mod activity;
mod set_status;
mod unwatch;
mod watch;
mod watch_all;

use std::pin::Pin;
use std::sync::Arc;

use presence::wire::client::{ClientMessage, Envelope, MessageId};
use presence::wire::code::Code;

use super::{Gateway, replies};
use crate::connection::Connection;

/// A handler that waits for the engine. Boxed, so that connections that wait for nothing don't carry its size.
pub(super) type Handling<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// What became of a message.
pub(super) enum Handled<'a> {
    /// It was understood, whatever the answer.
    Good,
    /// It was malformed; too many of these end the connection.
    Bad,
    /// It was understood, and takes a while. The next message waits for this one, so answers keep their order.
    Later(Handling<'a>),
}

/// Handles one text message of a connection.
pub(super) fn handle<'a>(gateway: &'a Gateway, conn: &'a Arc<Connection>, text: &str) -> Handled<'a> {
    let Envelope { id, message } = Envelope::parse(text, gateway.limits.watched_per_connection);
    let message = match message {
        Ok(message) => message,
        Err(refused) => {
            gateway.metrics.message("refused");
            replies::error(conn, id.as_ref(), refused.code, &refused.message);
            return match refused.code {
                // Well said, and more than there may be.
                Code::TooManyWatched => {
                    gateway.metrics.count_limit("watched");
                    Handled::Good
                }
                _ => Handled::Bad,
            };
        }
    };
    gateway.metrics.message(kind_of(&message));
    match message {
        ClientMessage::SetStatus(custom) => return later(set_status::handle(gateway, conn, id, custom)),
        ClientMessage::Watch { user_ids, since } => return later(watch::handle(gateway, conn, id, (user_ids, since))),
        ClientMessage::WatchAll { since } => return later(watch_all::handle(gateway, conn, id, since)),
        ClientMessage::Activity => activity::handle(gateway, conn, id, activity::Said::Active),
        ClientMessage::Away => activity::handle(gateway, conn, id, activity::Said::Away),
        ClientMessage::Unwatch { user_ids } => unwatch::handle(gateway, conn, id, &user_ids),
        ClientMessage::Ping => replies::pong(conn, id.as_ref()),
    }
    Handled::Good
}

fn later<'a>(handling: impl Future<Output = ()> + Send + 'a) -> Handled<'a> {
    Handled::Later(Box::pin(handling))
}

/// Refuses what only a user's connection may ask for.
fn users_only(conn: &Arc<Connection>, id: Option<&MessageId>) {
    replies::error(conn, id, Code::UsersOnly, "an observer has no status");
}

const fn kind_of(message: &ClientMessage) -> &'static str {
    match message {
        ClientMessage::SetStatus(_) => "setStatus",
        ClientMessage::Activity | ClientMessage::Away => "activity",
        ClientMessage::Watch { .. } => "watch",
        ClientMessage::WatchAll { .. } => "watchAll",
        ClientMessage::Unwatch { .. } => "unwatch",
        ClientMessage::Ping => "ping",
    }
}
