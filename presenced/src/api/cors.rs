//! Cross-origin pages: the user's calls, from allowed origins, by name. Never `*`, and no cookies: there are none.

use std::sync::Arc;

use axum::extract::{MatchedPath, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{AppState, SharedState, routes};
use crate::auth::Auth;
use crate::server::ApiError;

/// What a page may ask of a route, response_headers by the answer to every request there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sharing {
    /// No page's business: the route is not a user's call.
    NotForPages,
    /// For pages, but not for this one, or no page asks.
    Withheld,
    /// The page of this origin may read the answer.
    With(HeaderValue),
}

impl Sharing {
    /// What applies to a request on `route`.
    pub(super) fn of(route: &str, auth: &Auth, headers: &HeaderMap) -> Self {
        if routes::methods_of_pages(route).is_none() {
            return Self::NotForPages;
        }
        match (headers.get(header::ORIGIN), auth.check_origin(headers)) {
            (Some(origin), Ok(Some(_))) => Self::With(origin.clone()),
            _ => Self::Withheld,
        }
    }

    /// Adds what the browser must know to an answer.
    pub(super) fn tell(self, answer: &mut HeaderMap) {
        if self != Self::NotForPages {
            answer.append(header::VARY, HeaderValue::from_static("origin"));
        }
        if let Self::With(origin) = self {
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            answer.insert(
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static("retry-after"),
            );
        }
    }
}

/// `OPTIONS` on a user's call: what a page of an allowed origin may send. The middleware adds the origin itself.
pub(super) async fn preflight(
    State(state): SharedState,
    matched: MatchedPath,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let state: &AppState = Arc::as_ref(&state);
    let methods = routes::methods_of_pages(matched.as_str()).unwrap_or_default();
    let mut answer = StatusCode::NO_CONTENT.into_response();
    let response_headers = answer.headers_mut();
    if state.auth.check_origin(&headers)?.is_some() {
        response_headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
        response_headers.insert(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("authorization, content-type"),
        );
        response_headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    Ok(answer)
}
