//! The stable codes of refusals, on REST and WebSocket alike.

use serde::{Deserialize, Serialize};

/// Why something was refused. The word on the wire never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Code {
    /// The body or message is no JSON of the expected shape, or names a key twice.
    InvalidJson,
    /// A user id breaks its rules.
    InvalidUserId,
    /// Not ONLINE, IDLE or DO_NOT_DISTURB.
    InvalidCustomStatus,
    /// A field, a query parameter or a path has a bad value.
    InvalidValue,
    /// A header is malformed, or a credential header is given twice.
    InvalidHeader,
    /// An internal call without the user it needs.
    MissingUser,
    /// No credential.
    Unauthenticated,
    /// A bad credential, or one that does not reach this far.
    Forbidden,
    /// The body is over its limit.
    TooLarge,
    /// The body took too long to arrive.
    RequestTimeout,
    /// More ids, sessions or reports than one call or user may have.
    TooMany,
    /// More watched users than one connection may have.
    TooManyWatched,
    /// Too often; the answer says when again.
    RateLimited,
    /// The store can't answer or can't write: nothing changed.
    StoreUnavailable,
    /// No such path.
    NotFound,
    /// The path knows other methods.
    MethodNotAllowed,
    /// The body is encoded.
    UnsupportedMediaType,
    /// The `Host` is none of ours: somebody's web page is asking.
    MisdirectedRequest,
    /// No WebSocket upgrade where one is needed, or a bad one.
    UpgradeRequired,
    /// Message `type` is unknown.
    UnknownType,
    /// Only for observers.
    ObserversOnly,
    /// Only for users' connections.
    UsersOnly,
    /// A message that is no text.
    NotText,
    /// As many connections as the daemon can hold.
    AtCapacity,
    /// The daemon is going down.
    Draining,
    /// A fault of ours.
    Internal,
}

impl Code {
    /// The HTTP status of a REST answer with this code.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::InvalidJson
            | Self::InvalidUserId
            | Self::InvalidCustomStatus
            | Self::InvalidValue
            | Self::InvalidHeader
            | Self::MissingUser
            | Self::TooManyWatched
            | Self::UnknownType
            | Self::UsersOnly
            | Self::NotText => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden | Self::ObserversOnly => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::MisdirectedRequest => 421,
            Self::UpgradeRequired => 426,
            Self::TooMany | Self::RateLimited => 429,
            Self::Internal => 500,
            Self::StoreUnavailable | Self::AtCapacity | Self::Draining => 503,
        }
    }
}
