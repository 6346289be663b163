//! `setStatus`: sets the custom status. The reply is sent once it is on disk.

use std::sync::Arc;

use presence::CustomStatus;
use presence::wire::client_message::MessageId;

use super::super::{Gateway, replies};
use crate::connection::Connection;
use crate::engine::EngineError;
use crate::exceeded_limit::Limit;

pub(super) async fn handle(gateway: &Gateway, conn: &Arc<Connection>, id: Option<MessageId>, custom: CustomStatus) {
    match gateway.engine.set_own_custom_status(conn, custom).await {
        Ok(Some(record)) => replies::ok_with(conn, id, Some(record), None, &gateway.clock),
        Ok(None) => super::users_only(conn, id),
        Err(error) => {
            if let EngineError::RateLimited { .. } = error {
                gateway.metrics.count_limit(Limit::CustomStatuses);
            }
            replies::engine_error(conn, id, error);
        }
    }
}
