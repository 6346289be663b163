//! `activity`: the user did something, or went away. Frequent, so it is answered only if it has an `id`.

use std::sync::Arc;

use presence::wire::client::MessageId;

use super::super::{Gateway, replies};
use crate::connection::Connection;

/// What the client said of its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// Did something.
    Active,
    /// Went away.
    Away,
}

pub(super) fn handle(gateway: &Gateway, conn: &Arc<Connection>, id: Option<MessageId>, said: Said) {
    if conn.user().is_none() {
        return super::users_only(conn, id.as_ref());
    }
    let record = match said {
        Said::Active => gateway.engine.activity(conn),
        Said::Away => gateway.engine.away(conn),
    };
    if let Some(id) = id {
        replies::ok(conn, Some(&id), record.as_ref());
    }
}
