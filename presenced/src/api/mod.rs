//! REST: one handler per call under [`handlers`], and what they share: authorization, reading of bodies, middleware. What a
//! call does to a user is decided in the engine; nothing here knows of WebSockets.

mod answers;
mod body;
mod caller;
mod cors;
mod exposition;
mod handlers;
mod listing;
mod metrics;
mod middleware;
mod nodes;
mod openapi;
mod path;
mod peers;
mod readiness;
mod routes;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, delete, get, post, put};
use hyper::body::Incoming;
use presence::wire::error_code::Code;
use prometheus_client::registry::Registry;

pub(crate) use answers::AnswerPlaces;
pub(crate) use metrics::ApiMetrics;
pub(crate) use openapi::OpenApiDocument;
pub(crate) use peers::Peers;
pub(crate) use readiness::{HealthCheck, Readiness};

use crate::auth::Auth;
use crate::clock::Clock;
use crate::engine::{Engine, EngineError};
use crate::exceeded_limit::Limit;
use crate::limits::CurrentLimits;
use crate::reload_requests::ReloadRequests;
use crate::server::lookups::{FutureResponse, Lookups};
use crate::server::upgrades::{AnswerUpgrade, Upgrades};
use crate::server::{Admission, ApiError, ConnectionLimit};
use crate::tls::ServedIdentity;

/// The state that all handlers share.
pub(crate) struct AppState {
    pub(crate) engine: Arc<Engine>,
    /// For the checks of `Host` and `Origin`; [`Admission`] authenticates.
    pub(crate) auth: Arc<Auth>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) limits: Arc<CurrentLimits>,
    /// For `/api/stats`.
    pub(crate) connection_limit: Arc<ConnectionLimit>,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) answers: AnswerPlaces,
    /// The other nodes as they are asked.
    pub(crate) peers: Peers,
    pub(crate) reload_requests: ReloadRequests,
    pub(crate) node_info: NodeInfo,
    pub(crate) metrics: ApiMetrics,
    /// The certificate of the listeners, if they speak TLS.
    pub(crate) tls: Option<Arc<ServedIdentity>>,
    /// All metrics of the daemon, for `/metrics`.
    pub(crate) registry: Arc<Registry>,
    pub(crate) openapi: OpenApiDocument,
}

/// Facts about this node for `/api/stats`; they don't change while the daemon runs.
#[derive(Debug, Clone)]
pub(crate) struct NodeInfo {
    pub(crate) node: String,
    /// Where the API is reached: host and port.
    pub(crate) address: String,
    /// The kind of database.
    pub(crate) store: &'static str,
    pub(crate) schema_version: u32,
    /// The process's limit on open files.
    pub(crate) open_files: u64,
    /// In real time since the start: uptime goes on while the process is stopped.
    pub(crate) accepting_since: Duration,
}

/// Which listener serves `/metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetricsAt {
    MainListener,
    /// A separate one, with [`metrics_router`].
    OwnListener,
}

/// The router of the main listener. `ws` handles `/ws`.
pub(crate) fn router(state: Arc<AppState>, ws: MethodRouter, metrics_at: MetricsAt) -> Router {
    // A fixed path segment may be a user id too: such a path has the methods of both routes.
    let router = Router::new()
        .route(
            routes::CUSTOM_STATUS,
            put(handlers::set_custom_status)
                .delete(handlers::forget)
                .options(cors::preflight),
        )
        .route(routes::CUSTOM_STATUS_OF, get(handlers::get_custom_status))
        .route(routes::REPORT, put(handlers::put_report).delete(handlers::forget))
        .route(routes::USER, delete(handlers::forget))
        .route(routes::LISTING, get(handlers::list_present))
        .route(
            routes::QUERY,
            post(handlers::query_records)
                .get(handlers::get_record)
                .options(cors::preflight),
        )
        .route(routes::RECORD, get(handlers::get_record).options(cors::preflight))
        .route(routes::EXPLAIN, get(handlers::explain))
        .route(routes::SESSIONS, delete(handlers::kick))
        .route(routes::REVOCATION, get(handlers::get_revocation).put(handlers::revoke))
        .route(routes::REPORTS_OF, delete(handlers::end_reports))
        .route(routes::STATS, get(handlers::stats))
        .route(routes::NODES, get(handlers::nodes))
        .route(routes::DRAIN, put(handlers::drain_node).delete(handlers::cancel_drain))
        .route(routes::RELOAD, post(handlers::reload))
        .route(routes::HEALTH, get(handlers::health))
        .route(routes::READY, get(handlers::ready))
        .route(routes::OPENAPI, get(handlers::get_openapi));
    let router = match metrics_at {
        MetricsAt::MainListener => router.route(routes::METRICS, get(handlers::scrape_metrics)),
        MetricsAt::OwnListener => router,
    };
    let router = match state.auth.has_demo() {
        true => router
            .route(routes::DEMO, get(handlers::get_demo))
            .route(routes::DEMO_TOKEN, post(handlers::make_demo_token)),
        false => router,
    };
    let ws = ws.layer(from_fn_with_state(Arc::clone(&state), middleware::limit_handshakes));
    router
        .with_state(Arc::clone(&state))
        .route(routes::WS, ws)
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(state, middleware::handle_request))
}

/// What is answered without the router: `GET /ws`, by `answer`. The router has the route too, for all other methods.
pub(crate) fn upgrades(state: Arc<AppState>, answer: Arc<AnswerUpgrade>) -> Upgrades {
    let answer =
        move |request: &_, client: &_| middleware::handle_upgrade(&state, request, client, || answer(request, client));
    Upgrades {
        path: routes::WS,
        answer: Arc::new(answer),
    }
}

/// What is answered without the router: `GET` of one record. The router has the route too, for all other methods.
pub(crate) fn lookups(state: Arc<AppState>) -> Lookups {
    let answer = move |request: hyper::Request<Incoming>, client| -> FutureResponse {
        Box::pin(middleware::handle_lookup(Arc::clone(&state), request, client))
    };
    Lookups {
        take: path::is_lookup,
        answer: Arc::new(answer),
    }
}

/// The router of a separate metrics listener.
pub(crate) fn metrics_router(state: Arc<AppState>) -> Router {
    Router::new()
        .route(routes::METRICS, get(handlers::scrape_metrics))
        .with_state(state)
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn(middleware::handle_metrics_request))
}

async fn not_found(uri: Uri) -> ApiError {
    let path = uri.path();
    let hint = match path {
        // The address that the daemon prints, opened in a browser.
        "/" => "; this is presenced: /readyz tells its state, its API is below /api and at /ws",
        _ => "",
    };
    ApiError::new(Code::NotFound, format!("no such path: {path}{hint}"))
}

async fn method_not_allowed() -> ApiError {
    ApiError::new(
        Code::MethodNotAllowed,
        "method not allowed: the Allow header lists the allowed ones",
    )
}

/// The engine's error as an HTTP error: the one place that maps it for REST.
impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::RateLimited { retry_after } => Self::rate_limited(retry_after, Limit::CustomStatuses),
            EngineError::TooManyLookups { retry_after } => Self::rate_limited(retry_after, Limit::Lookups),
            EngineError::TooManyReports => Self::exceeding(error.code(), Limit::Reports),
            other => Self::new(other.code(), other.to_string()),
        }
    }
}

/// The extractor of the state.
type SharedState = State<Arc<AppState>>;

impl AppState {
    fn body_timeout(&self) -> Duration {
        self.limits.load().message_timeout
    }
}
