//! `POST /api/reload`: does what SIGHUP does, and answers with the outcome.

use axum::Json;
use axum::extract::State;
use presence::wire::error_code::Code;
use presence::wire::rest::ReloadStats;

use super::HandlerResult;
use crate::api::SharedState;
use crate::api::caller::Internal;
use crate::server::ApiError;

pub(in crate::api) async fn reload(State(state): SharedState, _: Internal) -> HandlerResult<ReloadStats> {
    let shutting_down = |error: crate::reload_requests::NoReloader| ApiError::new(Code::Draining, error.to_string());
    let outcome = state.reload_requests.reload().await.map_err(shutting_down)?;
    match outcome.error {
        Some(error) => Err(ApiError::new(Code::ReloadFailed, error)),
        None => Ok(Json(outcome)),
    }
}
