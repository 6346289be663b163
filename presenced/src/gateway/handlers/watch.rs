//! `watch`: adds to what is watched. The reply is the snapshot; an error means that nothing was added.

use std::sync::Arc;

use presence::wire::client_message::MessageId;
use presence::wire::error_code::Code;
use presence::{Cursor, UserId};

use super::super::{Gateway, replies};
use crate::connection::Connection;
use crate::engine::{EngineError, WatchLimit};
use crate::exceeded_limit::Limit;

pub(super) async fn handle(
    gateway: &Gateway,
    conn: &Arc<Connection>,
    id: Option<MessageId>,
    users: Vec<UserId>,
    since: Option<Cursor>,
) {
    let Err(error) = gateway.engine.watch(conn, id.clone(), users, since).await else {
        return;
    };
    match error {
        EngineError::TooManyWatched { limit } => {
            let (limit, max) = match limit {
                WatchLimit::Connection => (Limit::Watched, gateway.limits.load().watched_per_connection),
                WatchLimit::User => (Limit::WatchedByUser, gateway.limits.load().watched_per_user),
            };
            gateway.metrics.count_limit(limit);
            let message = format!("{}: at most {max} users; nothing was added", limit.text());
            return replies::error(conn, id, Code::TooManyWatched, message);
        }
        EngineError::TooManyLookups { .. } => gateway.metrics.count_limit(Limit::Lookups),
        _ => {}
    }
    replies::engine_error(conn, id, error);
}
