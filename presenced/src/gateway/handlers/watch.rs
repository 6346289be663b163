//! `watch`: answered by a snapshot, or refused with nothing added.

use std::sync::Arc;

use presence::wire::client::MessageId;
use presence::wire::code::Code;
use presence::{Cursor, UserId};

use super::super::{Gateway, replies};
use crate::connection::Connection;
use crate::engine::WatchRefused;

pub(super) async fn handle(
    gateway: &Gateway,
    conn: &Arc<Connection>,
    id: Option<MessageId>,
    (users, since): (Vec<UserId>, Option<Cursor>),
) {
    let watched = gateway.engine.watch(conn, id.clone(), users, since).await;
    match watched {
        Ok(()) => {}
        Err(WatchRefused::TooManyWatched) => {
            gateway.metrics.count_limit("watched");
            let message = format!(
                "at most {} users; nothing was added",
                gateway.limits.watched_per_connection
            );
            replies::error(conn, id.as_ref(), Code::TooManyWatched, &message);
        }
        Err(WatchRefused::StoreUnavailable) => {
            replies::error(
                conn,
                id.as_ref(),
                Code::StoreUnavailable,
                "the store is unavailable; nothing was added",
            );
        }
    }
}
