//! `GET /api/nodes`: the nodes of the cluster, with `ask=true` also whether they answer this one.

use axum::Json;
use axum::extract::{RawQuery, State};
use presence::wire::rest::NodesResponse;

use super::HandlerResult;
use crate::api::caller::InternalOrNode;
use crate::api::{AppState, SharedState};

pub(in crate::api) async fn nodes(
    State(state): SharedState,
    caller: InternalOrNode,
    RawQuery(query): RawQuery,
) -> HandlerResult<NodesResponse> {
    let mut response = nodes_of(&state);
    let is_wanted = query.is_some_and(|query| query.split('&').any(|pair| pair == "ask=true"));
    match caller {
        // A node that is asked asks no other.
        InternalOrNode::Node => response.tokens_digest = Some(state.acceptance()),
        InternalOrNode::Internal if is_wanted => state.note_answers(&mut response.nodes).await,
        InternalOrNode::Internal => {}
    }
    Ok(Json(response))
}

/// The nodes as of now.
pub(super) fn nodes_of(state: &AppState) -> NodesResponse {
    NodesResponse {
        now: state.clock.record_time(None),
        node: state.node_info.node.clone(),
        nodes: state.nodes(),
        tokens_digest: None,
    }
}
