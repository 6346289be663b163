//! `DELETE /api/presence/{userId}/sessions`: an operator ends all sessions of a user.

use axum::Json;
use axum::extract::State;
use presence::wire::rest::EndedSessions;

use super::HandlerResult;
use crate::api::SharedState;
use crate::api::caller::Internal;
use crate::api::path::{PathUser, THIRD};

pub(in crate::api) async fn kick(
    State(state): SharedState,
    _: Internal,
    PathUser(user): PathUser<THIRD>,
) -> HandlerResult<EndedSessions> {
    let ended = state.engine.kick(&user).await?;
    tracing::info!(?user, ended, "kicked a user");
    Ok(Json(EndedSessions { ended }))
}
