//! `GET /metrics`: all metrics, for Prometheus.

use axum::extract::State;
use axum::http::{HeaderName, header};
use prometheus_client::encoding::text::encode;

use crate::api::SharedState;
use crate::server::ApiError;

pub(in crate::api) async fn scrape_metrics(
    State(state): SharedState,
) -> Result<([(HeaderName, &'static str); 1], String), ApiError> {
    let mut text = String::new();
    encode(&mut text, &state.registry).map_err(|error| {
        tracing::error!(%error, "can't encode the metrics");
        ApiError::internal()
    })?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text))
}
