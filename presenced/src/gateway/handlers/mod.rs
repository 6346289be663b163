//! What a client may ask for: one handler per file. Each answers, or leaves the answer to the snapshot it queued.

mod activity;
mod set_status;
mod unwatch;
mod watch;
mod watch_all;

use std::sync::Arc;

use presence::wire::client::{ClientMessage, Envelope, MessageId};
use presence::wire::code::Code;

use super::{Gateway, answers};
use crate::hub::conn::Conn;

/// Whether a message was a good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handled {
    /// It was understood, whatever the answer.
    Good,
    /// It was malformed; too many of these end the connection.
    Bad,
}

/// Handles one text message of a connection, in order with its others.
pub(super) async fn handle(gateway: &Gateway, conn: &Arc<Conn>, text: &str) -> Handled {
    let Envelope { id, message } = Envelope::parse(text, gateway.limits.watched_per_connection);
    let message = match message {
        Ok(message) => message,
        Err(refused) => {
            gateway.metrics.message("refused");
            answers::error(conn, id.as_ref(), refused.code, &refused.message);
            return match refused.code {
                // Well said, and more than there may be.
                Code::TooManyWatched => Handled::Good,
                _ => Handled::Bad,
            };
        }
    };
    gateway.metrics.message(kind_of(&message));
    match message {
        ClientMessage::SetStatus(custom) => set_status::handle(gateway, conn, id, custom).await,
        ClientMessage::Activity => activity::handle(gateway, conn, id, activity::Said::Active),
        ClientMessage::Away => activity::handle(gateway, conn, id, activity::Said::Away),
        ClientMessage::Watch { user_ids, since } => watch::handle(gateway, conn, id, (user_ids, since)).await,
        ClientMessage::WatchAll { since } => watch_all::handle(gateway, conn, id, since).await,
        ClientMessage::Unwatch { user_ids } => unwatch::handle(gateway, conn, id, &user_ids),
        ClientMessage::Ping => answers::pong(conn, id.as_ref()),
    }
    Handled::Good
}

/// Refuses what only a user's connection may ask for.
fn users_only(conn: &Arc<Conn>, id: Option<&MessageId>) {
    answers::error(conn, id, Code::UsersOnly, "an observer has no status");
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
