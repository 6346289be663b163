//! REST: every call of the contract, each in its own file under [`handlers`], and what they share: who may call, how a body
//! is read, what an error response looks like. What a call does to a user is decided in the engine; nothing of WebSockets is known here.

mod body;
mod caller;
mod cors;
mod handlers;
mod listing;
mod metrics;
mod middleware;
mod path;
mod percent;
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
use presence::Mono;
use presence::wire::code::Code;
use prometheus_client::registry::Registry;

pub(crate) use metrics::ApiMetrics;
pub(crate) use readiness::{HealthCheck, Readiness};

use crate::auth::Auth;
use crate::clock::Clock;
use crate::config::limits::Limits;
use crate::engine::{Engine, EngineError};
use crate::limit::Limit;
use crate::server::{Admission, ApiError, ConnectionLimit};

/// What the calls stand on.
pub(crate) struct AppState {
    /// Users and what happens to them.
    pub(crate) engine: Arc<Engine>,
    /// Hosts and origins.
    pub(crate) auth: Arc<Auth>,
    /// Who is calling, and whether that address failed too often.
    pub(crate) admission: Arc<Admission>,
    /// The time.
    pub(crate) clock: Arc<Clock>,
    /// Sizes and times of bodies.
    pub(crate) limits: Arc<Limits>,
    /// Places for connections, for `/api/stats`.
    pub(crate) connection_limit: Arc<ConnectionLimit>,
    /// Whether the daemon can serve.
    pub(crate) readiness: Arc<Readiness>,
    /// What doesn't change while the daemon runs.
    pub(crate) node_info: NodeInfo,
    /// Figures of the calls.
    pub(crate) metrics: ApiMetrics,
    /// Everybody's figures, for `/metrics`.
    pub(crate) registry: Arc<Registry>,
}

/// What doesn't change while the daemon runs.
#[derive(Debug, Clone)]
pub(crate) struct NodeInfo {
    /// The node's name.
    pub(crate) node: String,
    /// Of the database schema.
    pub(crate) schema_version: u32,
    /// The process's limit on open files.
    pub(crate) open_files: u64,
    /// When it began to accept.
    pub(crate) accepting_since: Mono,
}

/// Where `/metrics` is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetricsAt {
    /// Beside the API.
    MainListener,
    /// By [`metrics_router`], on a listener of its own.
    OwnListener,
}

/// Everything the main listener answers. `ws` is what answers `/ws`.
pub(crate) fn router(state: Arc<AppState>, ws: MethodRouter, metrics_at: MetricsAt) -> Router {
    // A word of a path may be a user's id too: such paths answer for both.
    let router = Router::new()
        .route(
            routes::CUSTOM_STATUS,
            put(handlers::set_custom_status)
                .delete(handlers::forget_user)
                .options(cors::preflight),
        )
        .route(routes::CUSTOM_STATUS_OF, get(handlers::custom_status))
        .route(routes::REPORT, put(handlers::put_report).delete(handlers::forget_user))
        .route(routes::USER, delete(handlers::forget_user))
        .route(routes::LISTING, get(handlers::list_present))
        .route(
            routes::QUERY,
            post(handlers::query_records)
                .get(handlers::record)
                .options(cors::preflight),
        )
        .route(routes::RECORD, get(handlers::record).options(cors::preflight))
        .route(routes::EXPLAIN, get(handlers::explain))
        .route(routes::SESSIONS, delete(handlers::end_sessions))
        .route(routes::STATS, get(handlers::stats))
        .route(routes::HEALTH, get(handlers::health))
        .route(routes::READY, get(handlers::ready));
    let router = match metrics_at {
        MetricsAt::MainListener => router.route(routes::METRICS, get(handlers::scrape)),
        MetricsAt::OwnListener => router,
    };
    let ws = ws.layer(from_fn_with_state(Arc::clone(&state), middleware::limit_handshakes));
    router
        .with_state(Arc::clone(&state))
        .route(routes::WS, ws)
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(state, middleware::handle_request))
}

/// `/metrics` alone, for a listener of its own.
pub(crate) fn metrics_router(state: Arc<AppState>) -> Router {
    Router::new()
        .route(routes::METRICS, get(handlers::scrape))
        .with_state(state)
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn(middleware::handle_metrics_request))
}

async fn not_found(uri: Uri) -> ApiError {
    ApiError::new(Code::NotFound, format!("there is no {:?} here", uri.path()))
}

async fn method_not_allowed() -> ApiError {
    ApiError::new(
        Code::MethodNotAllowed,
        "this path knows other methods; see the Allow header",
    )
}

/// The engine's error as an HTTP error: the one place that maps it for REST.
impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::RateLimited { retry_after } => Self::rate_limited(retry_after, Limit::CustomStatuses),
            other => Self::new(other.code(), other.to_string()),
        }
    }
}

/// What a handler is given of the state.
type SharedState = State<Arc<AppState>>;

impl AppState {
    /// How long a body may take to arrive.
    fn body_timeout(&self) -> Duration {
        self.limits.message_timeout
    }
}
