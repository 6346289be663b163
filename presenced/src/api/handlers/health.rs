//! `GET /healthz` and `GET /readyz`: alive, and able to serve.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use presence::wire::rest::Health;

use crate::api::SharedState;

/// Whoever gets this answer knows that the process lives; a restart would help nothing that `/readyz` complains of.
pub(in crate::api) async fn health() -> Json<Health> {
    Json(Health {
        ok: true,
        problems: Vec::new(),
    })
}

pub(in crate::api) async fn ready(State(state): SharedState) -> (StatusCode, Json<Health>) {
    let health = state.readiness.health();
    let status = match health.ok {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(health))
}
