//! The user id, the source or the node in a path. Taken from the raw path and not from the router's captures: an escaped slash stays part of the id,
//! and a segment that is fixed in another route can be a user id too.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Method, Uri};
use presence::wire::error_code::Code;
use presence::{Source, UserId};

use super::{AppState, routes};
use crate::percent::{self, Plus};
use crate::server::ApiError;

/// The segment after `/api/presence/`, `/api/user/`, `/api/reports/` or `/api/nodes/`.
pub(super) const THIRD: usize = 3;
/// The segment after `/api/user/custom-status/`.
pub(super) const FOURTH: usize = 4;

/// Whether a request is the `GET` of [`routes::RECORD`]. A path that another route has too is the router's.
pub(super) fn is_lookup(method: &Method, path: &str) -> bool {
    let is_user = |segment: &str| !segment.is_empty() && !segment.bytes().any(|byte| byte == b'/');
    method == Method::GET && path != routes::QUERY && looked_up(path).is_some_and(is_user)
}

/// What follows `/api/presence/`.
fn looked_up(path: &str) -> Option<&str> {
    path.strip_prefix(routes::LISTING)?.strip_prefix('/')
}

/// The user of a request that [`is_lookup`].
pub(super) fn user_of_lookup(uri: &Uri) -> Result<UserId, ApiError> {
    user_in(looked_up(uri.path()).unwrap_or_default())
}

/// The user id in segment number `SEGMENT` of the path, counted from one.
pub(super) struct PathUser<const SEGMENT: usize>(pub(super) UserId);

/// The source of reports in segment number `SEGMENT` of the path.
pub(super) struct PathSource<const SEGMENT: usize>(pub(super) Source);

/// The name of a node in segment number `SEGMENT` of the path, counted from one.
pub(super) struct PathNode<const SEGMENT: usize>(pub(super) String);

impl<const SEGMENT: usize> FromRequestParts<Arc<AppState>> for PathNode<SEGMENT> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<AppState>) -> Result<Self, ApiError> {
        let segment = parts.uri.path().split('/').nth(SEGMENT).unwrap_or_default();
        percent::decode(segment, Plus::Literal).map(Self).ok_or_else(|| {
            let detail = "the node in the path is not percent-encoded UTF-8";
            ApiError::new(Code::InvalidValue, detail)
        })
    }
}

impl<const SEGMENT: usize> FromRequestParts<Arc<AppState>> for PathSource<SEGMENT> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<AppState>) -> Result<Self, ApiError> {
        let segment = parts.uri.path().split('/').nth(SEGMENT).unwrap_or_default();
        let source = percent::decode(segment, Plus::Literal).and_then(|text| text.parse().ok());
        source.map(Self).ok_or_else(|| {
            let detail = "the source in the path must be 1 to 64 of the characters A-Z a-z 0-9 . _ -";
            ApiError::new(Code::InvalidValue, detail)
        })
    }
}

impl<const SEGMENT: usize> FromRequestParts<Arc<AppState>> for PathUser<SEGMENT> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<AppState>) -> Result<Self, ApiError> {
        // A path begins with a slash, so segment 0, before it, is empty.
        user_in(parts.uri.path().split('/').nth(SEGMENT).unwrap_or_default()).map(Self)
    }
}

fn user_in(segment: &str) -> Result<UserId, ApiError> {
    let invalid = |why: String| ApiError::new(Code::InvalidUserId, why);
    let text = percent::decode(segment, Plus::Literal)
        .ok_or_else(|| invalid("user id in the path is not percent-encoded UTF-8".into()))?;
    UserId::new(&text).map_err(|why| invalid(why.to_string()))
}
