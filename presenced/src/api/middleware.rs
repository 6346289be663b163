//! Middleware around every request: the `Host` check before the handler, security headers after it, metrics of requests and
//! of exceeded limits, and a response even if the handler panics.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use presence::wire::error_code::Code;

use super::cors::Sharing;
use super::{AppState, SharedState, handlers, metrics, routes};
use crate::clock::Stopwatch;
use crate::request_id::{self, REQUEST_ID, RequestId};
use crate::server::upgrades::{Answered, Requester};
use crate::server::{ApiError, Exceeded, catching_panics, catching_panics_of};

/// Wraps every request of the main listener.
pub(super) async fn handle_request(State(state): SharedState, request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    let matched = request.extensions().get::<MatchedPath>();
    let route = routes::label(matched.map(MatchedPath::as_str));
    let served = Served::begin(&state, route, &request);
    let answer = async {
        let mut response = match check_host(&state, route, &request) {
            Ok(()) => catching_panics(next.run(request)).await,
            Err(error) => error.into_response(),
        };
        served.finish(&state, &mut response, request_id::current);
        response
    };
    request_id::serving(id, answer).await
}

/// Wraps a request for an upgrade, which does not go through the router: as [`handle_request`] and [`limit_handshakes`].
pub(super) fn handle_upgrade<B>(
    state: &AppState,
    request: &hyper::Request<B>,
    client: &Requester,
    answer: impl FnOnce() -> Answered,
) -> Answered {
    let served = Served::begin(state, routes::WS, request);
    request_id::serving_now(RequestId::of(request.headers()), || {
        let mut answered = match check_host(state, routes::WS, request) {
            Ok(()) => catching_panics_of(|| match admit(state, client, request.headers()) {
                Ok(()) => answer(),
                Err(error) => error.into_response().into(),
            }),
            Err(error) => error.into_response().into(),
        };
        served.finish(state, &mut answered.response, request_id::current);
        answered
    })
}

/// Serves a request for one record, which does not go through the router: as [`handle_request`] and [`handlers::get_record`].
pub(super) async fn handle_lookup<B>(state: Arc<AppState>, request: hyper::Request<B>, client: Requester) -> Response {
    let served = Served::begin(&state, routes::RECORD, &request);
    let id = RequestId::of(request.headers());
    let answer = async {
        let mut response = match check_host(&state, routes::RECORD, &request) {
            Ok(()) => {
                let answer = handlers::look_up(&state, &request, &client);
                let answer = async { answer.await.unwrap_or_else(ApiError::into_response) };
                catching_panics(answer).await
            }
            Err(error) => error.into_response(),
        };
        // The call that is made most: an id that nobody asked for, of a request of which nothing is logged, is of no use.
        served.finish(&state, &mut response, request_id::known);
        response
    };
    request_id::serving(id, answer).await
}

/// A request that is being served, with what its response depends on.
struct Served {
    watch: Stopwatch,
    route: &'static str,
    method: Method,
    sharing: Sharing,
}

impl Served {
    fn begin<B>(state: &AppState, route: &'static str, request: &hyper::Request<B>) -> Self {
        Self {
            watch: Stopwatch::start(),
            route,
            method: request.method().clone(),
            sharing: Sharing::of(route, &state.auth, request.headers()),
        }
    }

    /// Adds the headers that every response has, counts it, and logs a fault of ours; all others only if everything is logged.
    fn finish(self, state: &AppState, response: &mut Response, id: impl FnOnce() -> Option<HeaderValue>) {
        let (method, route) = (metrics::method_label(&self.method), self.route);
        match response.status() {
            StatusCode::INTERNAL_SERVER_ERROR => tracing::error!(method, route, "a request failed"),
            status => tracing::debug!(method, route, status = status.as_u16(), "answered a request"),
        }
        add_headers(response.headers_mut(), id());
        self.sharing.add_headers(response.headers_mut());
        if let Some(Exceeded(limit)) = response.extensions().get() {
            state.metrics.count_limit(*limit);
        }
        let (status, took) = (response.status(), self.watch.elapsed());
        state.metrics.count(&self.method, self.route, status, took);
    }
}

fn check_host<B>(state: &AppState, route: &str, request: &hyper::Request<B>) -> Result<(), ApiError> {
    if state.auth.has_own_host(request.headers()) {
        return Ok(());
    }
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
fn is_from_node<B>(state: &AppState, route: &str, request: &hyper::Request<B>) -> bool {
    [routes::EXPLAIN, routes::NODES].contains(&route) && state.engine.is_shared() && state.is_node_request(request)
}

/// RFC 9112, section 3.2: HTTP/1.1 has one `Host`, whatever it says.
fn check_host_lines<B>(request: &hyper::Request<B>) -> Result<(), ApiError> {
    match request.headers().get_all(header::HOST).iter().count() {
        0 if request.version() >= Version::HTTP_11 => Err(ApiError::new(Code::InvalidHeader, "missing header: host")),
        0 | 1 => Ok(()),
        _ => Err(ApiError::new(Code::InvalidHeader, "duplicate header: host")),
    }
}

/// Wraps the requests of the metrics listener. Any `Host` will do there: the operator decides how it is reached.
pub(super) async fn handle_metrics_request(request: Request, next: Next) -> Response {
    request_id::serving(RequestId::of(request.headers()), async {
        let mut response = match check_host_lines(&request) {
            Ok(()) => catching_panics(next.run(request)).await,
            Err(error) => error.into_response(),
        };
        add_headers(response.headers_mut(), request_id::current());
        response
    })
    .await
}

/// Wraps `/ws`: counts handshakes of the client's address.
pub(super) async fn limit_handshakes(State(state): SharedState, request: Request, next: Next) -> Response {
    let admitted = Requester::of(&request).and_then(|client| admit(&state, &client, request.headers()));
    match admitted {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn admit(state: &AppState, client: &Requester, headers: &HeaderMap) -> Result<(), ApiError> {
    state.admission.admit_upgrade(client.peer.0.ip(), headers, client.order)
}

/// Responses are about people: no cache may store them, no browser may sniff their type.
fn add_headers(headers: &mut HeaderMap, id: Option<HeaderValue>) {
    if let Some(id) = id {
        headers.insert(&REQUEST_ID, id);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}
