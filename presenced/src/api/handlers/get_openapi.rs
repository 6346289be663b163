//! `GET /openapi.json`: the description of this API, with the limits in effect.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderName, header};

use crate::api::SharedState;

pub(in crate::api) async fn get_openapi(State(state): SharedState) -> ([(HeaderName, &'static str); 1], Bytes) {
    let (limits, bounds) = (state.limits.load_full(), state.connection_limit.bounds());
    let document = state.openapi.of(limits, bounds);
    ([(header::CONTENT_TYPE, "application/json")], document)
}
