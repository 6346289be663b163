//! `activity`: the user did something, or went away. Frequent, so a reply is sent only if the message has an `id`.

use std::sync::Arc;

use presence::wire::client_message::MessageId;

use presence::wire::record::Record;

use super::super::Gateway;
use super::Handled;
use crate::connection::Connection;
use crate::engine::Engine;

/// `report` calls [`Engine::activity`] or [`Engine::away`].
pub(super) fn handle<'a>(
    gateway: &'a Gateway,
    conn: &'a Arc<Connection>,
    id: Option<MessageId>,
    report: impl FnOnce(&Engine) -> Option<Record>,
) -> Handled<'a> {
    if conn.user().is_none() {
        super::users_only(conn, id);
        return Handled::Done;
    }
    let record = report(&gateway.engine);
    match id {
        None => Handled::Done,
        id => super::answer_with_record(gateway, conn, id, record),
    }
}
