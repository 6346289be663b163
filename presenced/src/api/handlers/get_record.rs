//! `GET /api/presence/{userId}`: one record.

use axum::extract::State;
use axum::http::Request;
use axum::response::Response;
use presence::UserId;

use super::record_response;
use crate::api::caller::AnyCaller;
use crate::api::path::{PathUser, THIRD, user_of_lookup};
use crate::api::{AppState, SharedState};
use crate::server::ApiError;
use crate::server::upgrades::Requester;

pub(in crate::api) async fn get_record(
    State(state): SharedState,
    reader: AnyCaller,
    PathUser(user): PathUser<THIRD>,
) -> Result<Response, ApiError> {
    read(&state, &reader, &user).await
}

/// The same for a request that does not go through the router.
pub(in crate::api) async fn look_up<B>(
    state: &AppState,
    request: &Request<B>,
    client: &Requester,
) -> Result<Response, ApiError> {
    let reader = AnyCaller::of(state, client, request.headers())?;
    let user = user_of_lookup(request.uri())?;
    read(state, &reader, &user).await
}

async fn read(state: &AppState, reader: &AnyCaller, user: &UserId) -> Result<Response, ApiError> {
    reader.pace(&state.engine, 1).await?;
    let record = state.engine.record(user, reader.viewer_of(user)).await?;
    Ok(record_response(&state.clock, record))
}
