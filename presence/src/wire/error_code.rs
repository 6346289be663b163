//! The stable error codes, shared by REST and WebSocket.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An error code. On the wire: the variant in snake case, whose meaning never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Code {
    /// Invalid JSON: not one object in UTF-8, a duplicate key, a wrong type, or nested too deeply.
    InvalidJson,
    /// Invalid user id.
    InvalidUserId,
    /// Invalid custom status: not ONLINE, IDLE or DO_NOT_DISTURB.
    InvalidCustomStatus,
    /// Invalid or missing field, query parameter, path segment, cursor or subprotocol.
    InvalidValue,
    /// Plain HTTP on a listener that speaks TLS.
    TlsRequired,
    /// Malformed header, or duplicate credential header.
    InvalidHeader,
    /// Missing `x-user-id` on an internal call that needs a user.
    MissingUser,
    /// The request has no credentials.
    Unauthenticated,
    /// Invalid credentials, insufficient permission, or an origin that is not allowed.
    Forbidden,
    /// Request body too large.
    TooLarge,
    /// Timeout while reading the request body.
    RequestTimeout,
    /// Too many user ids in one request, or too many reports of one user.
    TooMany,
    /// Watch limit of the connection exceeded.
    TooManyWatched,
    /// Rate limit exceeded; the answer says when to retry.
    RateLimited,
    /// The store is unavailable: nothing was changed.
    StoreUnavailable,
    /// Redis can't be reached, or has not taken a change in time: it is not known to be made.
    ClusterUnavailable,
    /// The node that was asked through the log has not answered in time: it may have done it all the same.
    NodeSilent,
    /// No such path.
    NotFound,
    /// No node of this name takes part in the cluster.
    UnknownNode,
    /// No other node takes clients, so a node can't move its own.
    NoOtherNode,
    /// The reload failed, and nothing was changed: a file or a setting is missing or invalid.
    ReloadFailed,
    /// Method not allowed; the `Allow` header lists the methods of the path.
    MethodNotAllowed,
    /// Unsupported `Content-Encoding`.
    UnsupportedMediaType,
    /// Misdirected request: the `Host` is not one of this daemon. Protects loopback from DNS rebinding.
    MisdirectedRequest,
    /// WebSocket upgrade required: it is missing or invalid.
    UpgradeRequired,
    /// Unknown message `type`.
    UnknownType,
    /// Only observers can send this message.
    ObserversOnly,
    /// Only connections of users can send this message.
    UsersOnly,
    /// Binary message; only text messages are supported.
    NotText,
    /// Connection limit of the daemon reached.
    AtCapacity,
    /// The daemon is shutting down, or its clients move to other nodes.
    Draining,
    /// Internal error of the daemon.
    Internal,
}

impl Code {
    /// Returns the HTTP status of a response with this code. [`Code::TooMany`] is 429 except for a query, which answers
    /// 400 itself. Codes that occur only on WebSocket have a status for completeness.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::InvalidJson
            | Self::InvalidUserId
            | Self::InvalidCustomStatus
            | Self::InvalidValue
            | Self::TlsRequired
            | Self::InvalidHeader
            | Self::MissingUser
            | Self::TooManyWatched
            | Self::UnknownType
            | Self::UsersOnly
            | Self::NotText => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden | Self::ObserversOnly => 403,
            Self::NotFound | Self::UnknownNode => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::NoOtherNode | Self::ReloadFailed => 409,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::MisdirectedRequest => 421,
            Self::UpgradeRequired => 426,
            Self::TooMany | Self::RateLimited => 429,
            Self::Internal => 500,
            Self::StoreUnavailable | Self::ClusterUnavailable | Self::AtCapacity | Self::Draining => 503,
            Self::NodeSilent => 504,
        }
    }
}

impl fmt::Display for Code {
    /// The code as it is on the wire.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_written_as_on_the_wire() {
        for code in [Code::StoreUnavailable, Code::TooMany, Code::Internal] {
            let on_the_wire = serde_json::to_value(code).unwrap();
            assert_eq!(on_the_wire, code.to_string());
        }
        assert_eq!(Code::StoreUnavailable.to_string(), "store_unavailable");
    }
}
