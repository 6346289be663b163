//! Middleware around every request: the `Host` check before the handler, security headers after it, metrics of requests and
//! of exceeded limits, and a response even if the handler panics.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use presence::wire::error_code::Code;

use super::cors::Sharing;
use super::{AppState, SharedState, routes};
use crate::clock::Stopwatch;
use crate::server::{ApiError, Exceeded, Peer, RequestOrder, catching_panics};

/// Wraps every request of the main listener.
pub(super) async fn handle_request(State(state): SharedState, request: Request, next: Next) -> Response {
    let watch = Stopwatch::start();
    let matched = request.extensions().get::<MatchedPath>();
    let route = routes::label(matched.map(MatchedPath::as_str));
    let method = request.method().clone();
    let sharing = Sharing::of(route, &state.auth, request.headers());
    let mut response = match check_host(&state, route, &request) {
        Ok(()) => catching_panics(next.run(request)).await,
        Err(error) => error.into_response(),
    };
    add_headers(response.headers_mut());
    sharing.add_headers(response.headers_mut());
    if let Some(Exceeded(limit)) = response.extensions().get() {
        state.metrics.count_limit(*limit);
    }
    state.metrics.count(&method, route, response.status(), watch.elapsed());
    response
}

fn check_host(state: &AppState, route: &str, request: &Request) -> Result<(), ApiError> {
    check_host_lines(request)?;
    // Probes and scrapers reach the daemon by whatever address they find it at, and HTTP/1.0 has no `Host`.
    if [routes::HEALTH, routes::READY, routes::METRICS].contains(&route) {
        return Ok(());
    }
    let checked = state.auth.check_host(request.headers());
    match checked.is_err() && is_from_node(state, route, request) {
        true => Ok(()),
        false => Ok(checked?),
    }
}

/// Whether another node asks: it does so by the address that this one advertises, and with a token that no page has. The header
/// alone proves nothing, since a page may send any; a wrong token is a failed login.
fn is_from_node(state: &AppState, route: &str, request: &Request) -> bool {
    [routes::EXPLAIN, routes::NODES].contains(&route) && state.engine.is_shared() && state.is_node_request(request)
}

/// RFC 9112, section 3.2: HTTP/1.1 has one `Host`, whatever it says.
fn check_host_lines(request: &Request) -> Result<(), ApiError> {
    match request.headers().get_all(header::HOST).iter().count() {
        0 if request.version() >= Version::HTTP_11 => Err(ApiError::new(Code::InvalidHeader, "missing header: host")),
        0 | 1 => Ok(()),
        _ => Err(ApiError::new(Code::InvalidHeader, "duplicate header: host")),
    }
}

/// Wraps the requests of the metrics listener. Any `Host` will do there: the operator decides how it is reached.
pub(super) async fn handle_metrics_request(request: Request, next: Next) -> Response {
    let mut response = match check_host_lines(&request) {
        Ok(()) => catching_panics(next.run(request)).await,
        Err(error) => error.into_response(),
    };
    add_headers(response.headers_mut());
    response
}

/// Wraps `/ws`: counts handshakes of the client's address.
pub(super) async fn limit_handshakes(State(state): SharedState, request: Request, next: Next) -> Response {
    match admit(&state, &request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn admit(state: &Arc<AppState>, request: &Request) -> Result<(), ApiError> {
    let extensions = request.extensions();
    let Some(Peer(peer)) = extensions.get::<Peer>() else {
        tracing::error!("a request has no peer address");
        return Err(ApiError::internal());
    };
    let order = extensions.get::<RequestOrder>().copied().unwrap_or(RequestOrder::Later);
    state.admission.admit_upgrade(peer.ip(), request.headers(), order)
}

/// Responses are about people: no cache may store them, no browser may sniff their type.
fn add_headers(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}
