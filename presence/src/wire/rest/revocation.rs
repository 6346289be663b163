//! `/api/presence/{userId}/revocation`: which tokens of a user an operator has revoked.

use serde::{Deserialize, Serialize};

use crate::time::Wall;

/// `PUT`, request. Without a time, or without a body: every token that was issued until now.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Revoke {
    /// Tokens that were issued before this are revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Wall>,
}

/// `GET`, response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RevocationResponse {
    /// Tokens of the user that were issued before this are refused, and those without `iat`; null if no operator has revoked any.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub before: Option<Wall>,
}

/// `PUT`, response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RevokeResponse {
    /// Tokens of the user that were issued before this are refused from now on, and those without `iat`.
    pub before: Wall,
    /// Whether that is the later time of an earlier call, which stays.
    pub kept: bool,
    /// The number of connections and reports that end, on all nodes.
    pub ended: u64,
    /// The other nodes of the cluster that have not answered: they find the revocation in the database within seconds.
    pub unreached: Vec<UnreachedNode>,
}

/// A node that did not answer another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UnreachedNode {
    /// The name of the node.
    pub node: String,
    /// Why there was no answer, for people.
    pub error: String,
}
