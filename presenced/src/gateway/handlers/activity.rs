//! `activity`: the user did something, or went away. Frequent, so a reply is sent only if the message has an `id`.

use std::sync::Arc;

use presence::wire::client_message::MessageId;

use presence::wire::record::Record;

use super::super::{Gateway, replies};
use crate::connection::Connection;
use crate::engine::Engine;

/// `report` is [`Engine::activity`] or [`Engine::away`].
pub(super) fn handle(
    gateway: &Gateway,
    conn: &Arc<Connection>,
    id: Option<MessageId>,
    report: fn(&Engine, &Arc<Connection>) -> Option<Record>,
) {
    if conn.user().is_none() {
        return super::users_only(conn, id);
    }
    let record = report(&gateway.engine, conn);
    if id.is_some() {
        replies::ok_with(conn, id, record, None, &gateway.clock);
    }
}
