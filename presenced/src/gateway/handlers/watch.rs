//! `watch`: answered by a snapshot, or refused with nothing added.

use std::sync::Arc;

use presence::wire::client::MessageId;
use presence::wire::code::Code;
use presence::{Cursor, UserId};

use super::super::{Gateway, answers};
use crate::engine::WatchRefused;
use crate::hub::conn::Conn;

pub(super) async fn handle(
    gateway: &Gateway,
    conn: &Arc<Conn>,
    id: Option<MessageId>,
    (users, since): (Vec<UserId>, Option<Cursor>),
) {
    let watched = gateway.engine.watch(conn, id.clone(), users, since).await;
    if let Err(refused) = watched {
        answer_refused(gateway, conn, id.as_ref(), refused);
    }
}

pub(super) fn answer_refused(gateway: &Gateway, conn: &Arc<Conn>, id: Option<&MessageId>, refused: WatchRefused) {
    match refused {
        WatchRefused::TooManyWatched => {
            gateway.metrics.refuse("watched");
            let message = format!(
                "at most {} users; nothing was added",
                gateway.limits.watched_per_connection
            );
            answers::error(conn, id, Code::TooManyWatched, &message);
        }
        WatchRefused::StoreUnavailable => {
            answers::error(
                conn,
                id,
                Code::StoreUnavailable,
                "the store is unavailable; nothing was added",
            );
        }
    }
}
