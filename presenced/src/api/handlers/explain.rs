//! `GET /api/presence/{userId}/explain`: why this status, and what will change it.

use axum::Json;
use axum::extract::{RawQuery, State};
use presence::wire::error_code::Code;
use presence::wire::rest::Explain;

use super::HandlerResult;
use crate::api::SharedState;
use crate::api::caller::InternalOrNode;
use crate::api::path::{PathUser, THIRD};
use crate::server::ApiError;

/// Whose sessions are listed one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExplainScope {
    /// Those of all nodes: the others are asked.
    Cluster,
    /// Those of the node that answers.
    Node,
}

pub(in crate::api) async fn explain(
    State(state): SharedState,
    caller: InternalOrNode,
    PathUser(user): PathUser<THIRD>,
    RawQuery(query): RawQuery,
) -> HandlerResult<Explain> {
    let scope = match caller {
        // A node that is asked asks no other.
        InternalOrNode::Node => ExplainScope::Node,
        InternalOrNode::Internal => scope_of(query.as_deref().unwrap_or_default())?,
    };
    let explain = match scope {
        ExplainScope::Node => state.engine.explain(&user).await?,
        ExplainScope::Cluster => {
            let told = state.told_by_others(&user);
            state.engine.explain_with(&user, told).await?
        }
    };
    Ok(Json(explain))
}

/// Unknown parameters are ignored; a duplicate one is an error.
fn scope_of(query: &str) -> Result<ExplainScope, ApiError> {
    let mut scope = None;
    for value in query.split('&').filter_map(|pair| pair.strip_prefix("scope=")) {
        let known = match value {
            "cluster" => Some(ExplainScope::Cluster),
            "node" => Some(ExplainScope::Node),
            _ => None,
        };
        if known.is_none() || scope.is_some() {
            let detail = "parameter \"scope\" must be cluster or node, once";
            return Err(ApiError::new(Code::InvalidValue, detail));
        }
        scope = known;
    }
    Ok(scope.unwrap_or(ExplainScope::Cluster))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scope_is_the_cluster_unless_it_is_named() {
        for (query, scope) in [
            ("", ExplainScope::Cluster),
            ("scope=cluster", ExplainScope::Cluster),
            ("x=y&scope=node", ExplainScope::Node),
            ("scopes=x", ExplainScope::Cluster),
        ] {
            assert_eq!(scope_of(query).ok(), Some(scope), "{query}");
        }
        for query in ["scope=", "scope=other", "scope=node&scope=node"] {
            assert!(scope_of(query).is_err(), "{query}");
        }
    }
}
