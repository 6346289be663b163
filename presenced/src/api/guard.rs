//! What happens around every request: the `Host` check before, the headers every answer carries after, the figures, and
//! an answer even where a handler panics.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::cors::Sharing;
use super::{AppState, Shared, routes};
use crate::clock::Stopwatch;
use crate::server::{ApiError, Peer, Place, catching_panics};

/// Around everything on the main listener.
pub(super) async fn guard(State(state): Shared, request: Request, next: Next) -> Response {
    let watch = Stopwatch::start();
    let matched = request.extensions().get::<MatchedPath>();
    let route = routes::label(matched.map(MatchedPath::as_str));
    let method = request.method().clone();
    let sharing = Sharing::of(route, &state.auth, request.headers());
    let mut response = match state.auth.check_host(request.headers()) {
        Ok(()) => catching_panics(next.run(request)).await,
        Err(error) => ApiError::from(error).into_response(),
    };
    add_headers(response.headers_mut());
    sharing.tell(response.headers_mut());
    state.metrics.count(&method, route, response.status(), watch.elapsed());
    response
}

/// Around `/metrics` on a listener of its own. Its `Host` is whatever the operator made of that listener.
pub(super) async fn guard_metrics(request: Request, next: Next) -> Response {
    let mut response = catching_panics(next.run(request)).await;
    add_headers(response.headers_mut());
    response
}

/// Around `/ws`: counts handshakes of the client's address.
pub(super) async fn count_handshake(State(state): Shared, request: Request, next: Next) -> Response {
    match admit(&state, &request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn admit(state: &Arc<AppState>, request: &Request) -> Result<(), ApiError> {
    let extensions = request.extensions();
    let Some(Peer(peer)) = extensions.get::<Peer>() else {
        tracing::error!("a request without its peer");
        return Err(ApiError::internal());
    };
    let place = extensions.get::<Place>().copied().unwrap_or(Place::Later);
    state.door.admit_upgrade(peer.ip(), request.headers(), place)
}

/// Answers are about people: no cache may keep them, no browser may take them for anything but data.
fn add_headers(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}
