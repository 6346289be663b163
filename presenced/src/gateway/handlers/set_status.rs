//! `setStatus`: answered once the choice is on disk.

use std::sync::Arc;

use presence::wire::client::MessageId;
use presence::wire::code::Code;
use presence::wire::record::Viewer;
use presence::{By, CustomStatus};

use super::super::{Gateway, answers};
use crate::engine::EngineError;
use crate::hub::conn::Conn;

pub(super) async fn handle(gateway: &Gateway, conn: &Arc<Conn>, id: Option<MessageId>, custom: CustomStatus) {
    let Some(user) = conn.user() else {
        return super::users_only(conn, id.as_ref());
    };
    match gateway.engine.choose(user, custom, By::User, Viewer::Own).await {
        Ok(record) => answers::ok(conn, id.as_ref(), Some(&record)),
        Err(EngineError::RateLimited { retry_after }) => {
            gateway.metrics.refuse("choices");
            answers::rate_limited(conn, id.as_ref(), retry_after);
        }
        Err(error @ (EngineError::StoreUnavailable | EngineError::TooManyReports)) => {
            answers::error(conn, id.as_ref(), Code::StoreUnavailable, &error.to_string());
        }
    }
}
