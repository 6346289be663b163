//! `GET /openapi.json`: the description of this API, made once.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderName, header};

use crate::api::{SharedState, openapi};

pub(in crate::api) async fn get_openapi(State(state): SharedState) -> ([(HeaderName, &'static str); 1], Bytes) {
    let make = || openapi::document(&state.limits, state.connection_limit.bounds());
    let document = state.openapi.get_or_init(make).clone();
    ([(header::CONTENT_TYPE, "application/json")], document)
}
