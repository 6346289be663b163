//! `GET /api/presence/{userId}/explain`: why this status, and what will change it.

use axum::Json;
use axum::extract::State;
use presence::wire::rest::Explain;

use super::HandlerResult;
use crate::api::SharedState;
use crate::api::caller::Internal;
use crate::api::path::{PathUser, THIRD};

pub(in crate::api) async fn explain(
    State(state): SharedState,
    _: Internal,
    PathUser(user): PathUser<THIRD>,
) -> HandlerResult<Explain> {
    Ok(Json(state.engine.explain(&user).await?))
}
