//! The header `authorization`, which may hold a token of ours, or a credential for somebody else.

use axum::http::HeaderValue;

use super::{AuthError, forbidden};

/// The token of `Bearer TOKEN`; the scheme in any case.
pub(super) fn bearer_token(value: &HeaderValue) -> Result<&[u8], AuthError> {
    match value.as_bytes().split_at_checked("Bearer ".len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"Bearer ") => Ok(token.trim_ascii()),
        _ => Err(forbidden("authorization is not a bearer token")),
    }
}

/// Whether this names our scheme and nothing else, as a client sends it that has no token yet.
pub(super) fn is_without_token(authorization: &HeaderValue) -> bool {
    authorization.as_bytes().trim_ascii().eq_ignore_ascii_case(b"Bearer")
}

/// Whether this is a credential of another scheme than ours.
pub(super) fn is_for_others(authorization: &HeaderValue) -> bool {
    let scheme = authorization
        .as_bytes()
        .split(|byte| *byte == b' ')
        .next()
        .unwrap_or_default();
    !scheme.is_empty() && !scheme.eq_ignore_ascii_case(b"Bearer")
}
