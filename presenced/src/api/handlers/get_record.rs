//! `GET /api/presence/{userId}`: one record.

use axum::Json;
use axum::extract::State;

use super::{HandlerResult, RecordResponse};
use crate::api::SharedState;
use crate::api::caller::AnyCaller;
use crate::api::path::{PathUser, THIRD};

pub(in crate::api) async fn get_record(
    State(state): SharedState,
    reader: AnyCaller,
    PathUser(user): PathUser<THIRD>,
) -> HandlerResult<RecordResponse> {
    reader.pace(&state.engine, 1).await?;
    let record = state.engine.record(&user, reader.viewer_of(&user)).await?;
    Ok(Json(RecordResponse::new(&state.clock, record)))
}
