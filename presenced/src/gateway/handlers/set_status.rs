//! `setStatus`: answered once the choice is on disk.

use std::sync::Arc;

use presence::CustomStatus;
use presence::wire::client::MessageId;
use presence::wire::code::Code;

use super::super::{Gateway, replies};
use crate::connection::Connection;
use crate::engine::EngineError;

pub(super) async fn handle(gateway: &Gateway, conn: &Arc<Connection>, id: Option<MessageId>, custom: CustomStatus) {
    match gateway.engine.choose_on(conn, custom).await {
        Ok(Some(record)) => replies::ok(conn, id.as_ref(), Some(&record)),
        Ok(None) => super::users_only(conn, id.as_ref()),
        Err(EngineError::RateLimited { retry_after }) => {
            gateway.metrics.count_limit("choices");
            replies::rate_limited(conn, id.as_ref(), retry_after);
        }
        Err(error @ (EngineError::StoreUnavailable | EngineError::TooManyReports)) => {
            replies::error(conn, id.as_ref(), Code::StoreUnavailable, &error.to_string());
        }
    }
}
