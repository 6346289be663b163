//! `resume`: the connection continues a session that its client has lost, and takes its place in the grace period.

use std::sync::Arc;

use presence::SessionName;
use presence::wire::client_message::MessageId;
use presence::wire::error_code::Code;

use super::super::{Gateway, replies};
use super::{Handled, Position};
use crate::connection::Connection;

/// `of` is none if the client named no session that a daemon gave.
pub(super) fn handle<'a>(
    gateway: &'a Gateway,
    conn: &'a Arc<Connection>,
    id: Option<MessageId>,
    of: Option<SessionName>,
    position: Position,
) -> Handled<'a> {
    if position == Position::Later {
        let message = "resume must be the first message of the connection";
        replies::error(conn, id, Code::InvalidValue, message);
        return Handled::Malformed;
    }
    if conn.user().is_none() {
        super::users_only(conn, id);
        return Handled::Done;
    }
    let (is_resumed, record) = gateway.engine.resume(conn, of).unzip();
    let resumed = Some(is_resumed.unwrap_or(false));
    super::answer_with_record(gateway, conn, (id, record, resumed))
}
