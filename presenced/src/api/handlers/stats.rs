//! `GET /api/stats`: statistics for operators.

use axum::Json;
use axum::extract::State;
use presence::wire::rest::{LimitStats, Stats, StoreStats};

use super::HandlerResult;
use crate::api::SharedState;
use crate::api::caller::Internal;

pub(in crate::api) async fn stats(State(state): SharedState, _: Internal) -> HandlerResult<Stats> {
    let engine = state.engine.stats();
    let health_check = state.readiness.health_check();
    let store_error = health_check.store_error;
    let now = state.clock.read();
    Ok(Json(Stats {
        now: now.system.record_time(None),
        node: state.node_info.node.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        schema_version: state.node_info.schema_version,
        uptime_seconds: state
            .clock
            .elapsed()
            .saturating_sub(state.node_info.accepting_since)
            .as_secs(),
        users: engine.users,
        sessions: engine.sessions,
        rates: engine.rates,
        store: StoreStats {
            kind: "sqlite".into(),
            writable: store_error.is_none(),
            error: store_error,
            pending_writes: engine.pending_writes,
        },
        stalls: engine.stalls,
        limits: LimitStats {
            max_connections: u64::try_from(state.connection_limit.max()).unwrap_or(u64::MAX),
            open_files: state.node_info.open_files,
        },
        reload: health_check.reload,
    }))
}
