//! `GET /api/user/custom-status/{userId}`: what the user chose.

use axum::Json;
use axum::extract::State;
use presence::wire::rest::CustomStatusResponse;

use super::Answer;
use crate::api::Shared;
use crate::api::caller::Internal;
use crate::api::path::{FOURTH, PathUser};

pub(in crate::api) async fn custom_status(
    State(state): Shared,
    _: Internal,
    PathUser(user): PathUser<FOURTH>,
) -> Answer<CustomStatusResponse> {
    let custom_status = state.engine.custom_status(&user).await?;
    Ok(Json(CustomStatusResponse { custom_status }))
}
