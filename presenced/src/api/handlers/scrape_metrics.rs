//! `GET /metrics`: all metrics, for Prometheus, in the format that `Accept` prefers.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, header};
use prometheus_client::encoding::text::encode;

use crate::api::SharedState;
use crate::api::exposition::Exposition;
use crate::server::ApiError;

pub(in crate::api) async fn scrape_metrics(
    State(state): SharedState,
    headers: HeaderMap,
) -> Result<([(HeaderName, &'static str); 2], String), ApiError> {
    let mut text = String::new();
    encode(&mut text, &state.registry).map_err(|error| {
        tracing::error!(%error, "can't encode the metrics");
        ApiError::internal()
    })?;
    let format = Exposition::of(&headers);
    let headers = [(header::CONTENT_TYPE, format.content_type()), (header::VARY, "accept")];
    Ok((headers, format.body(text)))
}
