//! `GET /healthz` and `GET /readyz`: liveness and readiness.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use presence::wire::rest::Health;

use crate::api::SharedState;

/// Always 200: any response proves that the process is alive. The problems in `/readyz` are not fixed by a restart.
pub(in crate::api) async fn health() -> Json<Health> {
    Json(Health {
        ok: true,
        problems: Vec::new(),
        warnings: Vec::new(),
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
