//! `PUT` and `DELETE /api/nodes/{node}/drain`: a node of the cluster moves its clients to the others, or takes clients again.

use axum::Json;
use axum::extract::State;
use presence::wire::error_code::Code;
use presence::wire::rest::NodesResponse;

use super::HandlerResult;
use super::nodes::nodes_of;
use crate::api::SharedState;
use crate::api::caller::Internal;
use crate::api::path::{PathNode, THIRD};
use crate::engine::DrainError;
use crate::server::ApiError;

pub(in crate::api) async fn drain_node(
    State(state): SharedState,
    _: Internal,
    PathNode(node): PathNode<THIRD>,
) -> HandlerResult<NodesResponse> {
    state.engine.drain_node(&node, true).await?;
    tracing::info!(node, "an operator has a node drained");
    Ok(Json(nodes_of(&state)))
}

pub(in crate::api) async fn cancel_drain(
    State(state): SharedState,
    _: Internal,
    PathNode(node): PathNode<THIRD>,
) -> HandlerResult<NodesResponse> {
    state.engine.drain_node(&node, false).await?;
    tracing::info!(node, "an operator cancelled the drain of a node");
    Ok(Json(nodes_of(&state)))
}

impl From<DrainError> for ApiError {
    fn from(error: DrainError) -> Self {
        let code = match error {
            DrainError::UnknownNode => Code::UnknownNode,
            DrainError::NoOtherNode => Code::NoOtherNode,
            DrainError::Unreachable => Code::ClusterUnavailable,
            DrainError::NoAnswer => Code::NodeSilent,
        };
        Self::new(code, error.to_string())
    }
}
