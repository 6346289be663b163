//! `watchAll`: for observers alone.

use std::sync::Arc;

use presence::Cursor;
use presence::wire::client::MessageId;
use presence::wire::code::Code;

use super::super::{Gateway, replies};
use crate::connection::Connection;

pub(super) async fn handle(gateway: &Gateway, conn: &Arc<Connection>, id: Option<MessageId>, since: Option<Cursor>) {
    if conn.user().is_some() {
        return replies::error(
            conn,
            id.as_ref(),
            Code::ObserversOnly,
            "only an observer watches everyone",
        );
    }
    gateway.engine.watch_all(conn, id, since).await;
}
