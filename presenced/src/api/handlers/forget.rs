//! `DELETE /api/user/{userId}`: an operator has a user's data deleted.

use axum::Json;
use axum::extract::State;
use presence::wire::rest::EndedSessions;

use super::HandlerResult;
use crate::api::SharedState;
use crate::api::caller::Internal;
use crate::api::path::{PathUser, THIRD};

pub(in crate::api) async fn forget(
    State(state): SharedState,
    _: Internal,
    PathUser(user): PathUser<THIRD>,
) -> HandlerResult<EndedSessions> {
    let ended = state.engine.forget(&user).await?;
    tracing::info!(?user, ended, "forgot a user");
    Ok(Json(EndedSessions { ended }))
}
