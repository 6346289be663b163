//! `GET /api/stats`: statistics for operators.

use axum::Json;
use axum::extract::State;
use presence::Wall;
use presence::wire::rest::{LimitStats, ReloadStats, StallStats, Stats, StoreStats};

use super::HandlerResult;
use crate::api::SharedState;
use crate::api::caller::Internal;
use crate::tls::ServedIdentity;

pub(in crate::api) async fn stats(State(state): SharedState, _: Internal) -> HandlerResult<Stats> {
    let engine = state.engine.stats();
    let health_check = state.readiness.health_check();
    let store_error = health_check.store_error;
    let latest = latest_time(&engine.stalls, health_check.reload.as_ref());
    Ok(Json(Stats {
        now: state.clock.record_time(latest),
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
            kind: state.node_info.store.into(),
            writable: store_error.is_none(),
            error: store_error,
            pending_writes: engine.pending_writes,
            server: engine.database_server,
        },
        stalls: engine.stalls,
        limits: LimitStats {
            max_connections: u64::try_from(state.connection_limit.bounds().max).unwrap_or(u64::MAX),
            open_files: state.node_info.open_files,
        },
        proxy_named: state.auth.names_proxies(),
        reload: health_check.reload,
        tls: state.tls.as_deref().map(ServedIdentity::stats),
        cluster: state.cluster(),
    }))
}

/// The latest of the times in it: `now` beside them is not before.
fn latest_time(stalls: &StallStats, reload: Option<&ReloadStats>) -> Option<Wall> {
    stalls.last_at.max(reload.map(|reload| reload.at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn now_is_not_before_the_last_stall_or_reload() {
        let [early, late] = [1, 2].map(Wall::from_millis);
        for (stall, reload, latest) in [
            (None, None, None),
            (Some(early), None, Some(early)),
            (None, Some(early), Some(early)),
            (Some(late), Some(early), Some(late)),
            (Some(early), Some(late), Some(late)),
        ] {
            let stalls = StallStats {
                last_at: stall,
                ..StallStats::default()
            };
            let reload = reload.map(|at| ReloadStats {
                at,
                error: None,
                changed: Vec::new(),
                restart_needed: Vec::new(),
            });
            assert_eq!(latest_time(&stalls, reload.as_ref()), latest);
        }
    }
}
