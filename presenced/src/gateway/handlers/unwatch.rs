//! `unwatch`: ids that are not watched are no error.

use std::sync::Arc;

use presence::UserId;
use presence::wire::client_message::MessageId;

use super::super::{Gateway, replies};
use crate::connection::Connection;

pub(super) fn handle(gateway: &Gateway, conn: &Arc<Connection>, id: Option<MessageId>, users: &[UserId]) {
    gateway.engine.unwatch(conn, users);
    replies::ok(conn, id);
}
