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
    let Some(resumption) = gateway.engine.resume(conn, of) else {
        replies::ok_with(conn, id, None, Some(false), &gateway.clock);
        return Handled::Done;
    };
    if !gateway.engine.is_shared() {
        let resumed = Some(resumption.is_resumed);
        replies::ok_with(conn, id, Some(resumption.record), resumed, &gateway.clock);
        return Handled::Done;
    }
    super::pending(async move {
        let (is_resumed, record) = gateway.engine.decide_resumption(conn, resumption).await;
        replies::ok_with(conn, id, record, Some(is_resumed), &gateway.clock);
    })
}
