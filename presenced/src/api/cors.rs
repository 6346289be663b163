//! Cross-origin resource sharing: allowed origins may use a user's calls. An origin is always named, never `*`, and there are
//! no cookies.

use std::sync::Arc;

use axum::extract::{MatchedPath, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{AppState, SharedState, routes};
use crate::auth::Auth;
use crate::server::ApiError;

/// Whether a page may read the response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sharing {
    /// The route is not a user's call.
    NotForPages,
    /// The route is for pages, but the request has no origin or one that is not allowed.
    Withheld,
    /// A page of this origin may read the response.
    With(HeaderValue),
}

impl Sharing {
    /// The sharing of a request on `route`.
    pub(super) fn of(route: &str, auth: &Auth, headers: &HeaderMap) -> Self {
        if routes::methods_of_pages(route).is_none() {
            return Self::NotForPages;
        }
        match (headers.get(header::ORIGIN), auth.check_origin(headers)) {
            (Some(origin), Ok(Some(_))) => Self::With(origin.clone()),
            _ => Self::Withheld,
        }
    }

    /// Adds the headers for the browser to a response.
    pub(super) fn add_headers(self, response: &mut HeaderMap) {
        if self != Self::NotForPages {
            response.append(header::VARY, HeaderValue::from_static("origin"));
        }
        if let Self::With(origin) = self {
            response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            response.insert(
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static("retry-after, x-request-id"),
            );
        }
    }
}

/// `OPTIONS` on a user's call: which methods and headers a page of an allowed origin may send. The middleware adds the
/// origin itself.
pub(super) async fn preflight(
    State(state): SharedState,
    matched: MatchedPath,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let state: &AppState = Arc::as_ref(&state);
    let methods = routes::methods_of_pages(matched.as_str()).unwrap_or_default();
    let mut response = StatusCode::NO_CONTENT.into_response();
    let response_headers = response.headers_mut();
    if state.auth.check_origin(&headers)?.is_some() {
        response_headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
        response_headers.insert(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("authorization, content-type, x-request-id"),
        );
        response_headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    Ok(response)
}
