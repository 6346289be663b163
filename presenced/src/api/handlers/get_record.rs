//! `GET /api/presence/{userId}`: one record.

use axum::extract::State;
use axum::response::Response;

use super::record_response;
use crate::api::SharedState;
use crate::api::caller::AnyCaller;
use crate::api::path::{PathUser, THIRD};
use crate::server::ApiError;

pub(in crate::api) async fn get_record(
    State(state): SharedState,
    reader: AnyCaller,
    PathUser(user): PathUser<THIRD>,
) -> Result<Response, ApiError> {
    reader.pace(&state.engine, 1).await?;
    let record = state.engine.record(&user, reader.viewer_of(&user)).await?;
    Ok(record_response(&state.clock, record))
}
