//! `GET /api/nodes`: the nodes of the cluster.

use axum::Json;
use axum::extract::State;
use presence::wire::rest::NodesResponse;

use super::HandlerResult;
use crate::api::caller::Internal;
use crate::api::{AppState, SharedState};

pub(in crate::api) async fn nodes(State(state): SharedState, _: Internal) -> HandlerResult<NodesResponse> {
    Ok(Json(nodes_of(&state)))
}

/// The nodes as of now.
pub(super) fn nodes_of(state: &AppState) -> NodesResponse {
    NodesResponse {
        now: state.clock.record_time(None),
        node: state.node_info.node.clone(),
        nodes: state.nodes(),
    }
}
