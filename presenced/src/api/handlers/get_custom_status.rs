//! `GET /api/user/custom-status/{userId}`: the custom status of a user.

use axum::Json;
use axum::extract::State;
use presence::wire::rest::CustomStatusResponse;

use super::HandlerResult;
use crate::api::SharedState;
use crate::api::caller::Internal;
use crate::api::path::{FOURTH, PathUser};

pub(in crate::api) async fn get_custom_status(
    State(state): SharedState,
    _: Internal,
    PathUser(user): PathUser<FOURTH>,
) -> HandlerResult<CustomStatusResponse> {
    let custom_status = state.engine.custom_status(&user).await?;
    Ok(Json(CustomStatusResponse { custom_status }))
}
