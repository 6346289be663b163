//! `watchAll`: watches every user; for observers only.

use std::sync::Arc;

use presence::Cursor;
use presence::wire::client_message::MessageId;
use presence::wire::error_code::Code;

use super::super::{Gateway, replies};
use crate::connection::Connection;

pub(super) async fn handle(gateway: &Gateway, conn: &Arc<Connection>, id: Option<MessageId>, since: Option<Cursor>) {
    if conn.user().is_some() {
        let message = "watchAll is for observers: connect with the internal secret and without a user";
        return replies::error(conn, id, Code::ObserversOnly, message);
    }
    gateway.engine.watch_all(conn, id, since).await;
}
