//! A whole API on an engine and a store of its own, called without a socket. Only this file depends on how other modules are
//! built.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, Version};
use axum::response::Response;
use axum::routing::get;
use http_body_util::BodyExt;
use prometheus_client::registry::Registry;
use serde_json::Value;
use tower::ServiceExt;

use crate::api::middleware::{handle_lookup, handle_upgrade};
use crate::api::{
    AnswerPlaces, ApiMetrics, AppState, HealthCheck, MetricsAt, NodeInfo, OpenApiDocument, Peers, Readiness, lookups,
    metrics_router, router,
};
use crate::auth::Auth;
use crate::clock::Clock;
use crate::cluster::{Alone, Cluster};
use crate::connection::keepalive::PingOptions;
use crate::engine::{Engine, EngineMetrics, EngineOptions, EngineParts};
use crate::exceeded_limit::LimitCounters;
use crate::limits::{CurrentLimits, Limits};
use crate::reload_requests::ReloadRequests;
use crate::server::listen::listen;
use crate::server::tests::auth;
use crate::server::upgrades::{Answered, Requester};
use crate::server::{Admission, ConnectionBounds, ConnectionLimit, Peer, RequestOrder, Server, ServerMetrics, Serving};
use crate::store::{OpenOptions, Store, StoreMetrics};
use crate::tls::PeerConnector;

/// The longest anything here may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);
/// A client without a proxy.
pub(super) const UNTRUSTED: &str = "198.51.100.7:40000";
/// The proxy that is trusted.
pub(super) const PROXY: &str = "192.0.2.1:40000";
/// What internal callers send.
pub(super) const SECRET: (&str, &str) = ("x-secret-token", "test-secret");

pub(super) const ANNA: (&str, &str) = ("authorization", "Bearer token-of-anna");
/// A body that sets a custom status.
pub(super) const CUSTOM_STATUS_BODY: &str = r#"{"customStatus":"IDLE"}"#;

pub(super) struct ApiFixture {
    pub(super) state: Arc<AppState>,
    pub(super) router: Router,
    /// Kept alive: the engine's threads and the store's file.
    _engine: Box<dyn std::any::Any>,
    _dir: tempfile::TempDir,
}

/// A response, read to its end.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {:?}", self.text))
    }

    /// Fails unless it is a problem with this status and code, as RFC 9457 wants it.
    #[track_caller]
    pub(super) fn assert_error(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status.as_u16(), self.header("content-type")),
            (status, Some("application/problem+json")),
            "{}",
            self.text
        );
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], "about:blank");
        assert!(problem["title"].is_string() && problem["detail"].is_string());
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }
}

impl ApiFixture {
    pub(super) async fn new() -> Self {
        Self::with(Limits::default(), HealthCheck::default()).await
    }

    pub(super) async fn with(limits: Limits, health_check: HealthCheck) -> Self {
        Self::on_clock(Clock::new(), limits, health_check).await
    }

    pub(super) async fn on_clock(clock: Clock, limits: Limits, health_check: HealthCheck) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut registry = Registry::default();
        let clock = Arc::new(clock);
        let current = CurrentLimits::new(limits.clone());
        let auth = Arc::new(auth());
        let (engine, running) = engine(&dir, &current, &clock, &auth).await;
        let server_metrics = ServerMetrics::register(&mut registry);
        let limit_counters = LimitCounters::of_clients(&mut registry);
        let metrics = ApiMetrics::register(&mut registry, limit_counters);
        let readiness = Arc::new(Readiness::new(move || health_check.clone()));
        Readiness::register(&readiness, &mut registry);
        let state = Arc::new(AppState {
            engine,
            auth: Arc::clone(&auth),
            connection_limit: ConnectionLimit::new(
                ConnectionBounds::only(limits.max_connections.unwrap_or(100)),
                server_metrics.connections.clone(),
            ),
            admission: Arc::new(Admission::new(
                Arc::clone(&current),
                auth,
                Arc::clone(&clock),
                server_metrics,
            )),
            clock,
            limits: current,
            answers: AnswerPlaces::default(),
            peers: Peers::new(PeerConnector::default()),
            reload_requests: ReloadRequests::new().0,
            readiness,
            node_info: NodeInfo {
                node: "here".into(),
                address: "127.0.0.1:7420".to_owned(),
                store: "sqlite",
                schema_version: 4,
                open_files: 1000,
                accepting_since: Duration::ZERO,
            },
            metrics,
            registry: Arc::new(registry),
            tls: None,
            openapi: OpenApiDocument::default(),
        });
        let ws = get(|| async { "upgraded" });
        Self {
            router: router(Arc::clone(&state), ws, MetricsAt::MainListener),
            state,
            _engine: Box::new(running),
            _dir: dir,
        }
    }

    /// Serves it on a real socket.
    pub(super) fn serve(&self) -> Server {
        let serving = Serving {
            router: self.router.clone(),
            upgrades: None,
            lookups: None,
            tls: None,
            connection_limit: Arc::clone(&self.state.connection_limit),
            admission: Arc::clone(&self.state.admission),
            limits: Arc::clone(&self.state.limits),
            clock: Arc::clone(&self.state.clock),
            rejections: 32,
            metrics: ServerMetrics::default(),
        };
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a listener");
        Server::start(listener, serving).expect("a server")
    }

    /// The routers of the main listener and of a separate metrics listener.
    pub(super) fn with_metrics_elsewhere(&self) -> (Router, Router) {
        let ws = get(|| async { "upgraded" });
        (
            router(Arc::clone(&self.state), ws, MetricsAt::OwnListener),
            metrics_router(Arc::clone(&self.state)),
        )
    }

    /// Sends a request from an address that is not a trusted proxy.
    pub(super) async fn ask(&self, line: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Reply {
        self.ask_from(UNTRUSTED, line, headers, body).await
    }

    pub(super) async fn ask_from(
        &self,
        peer: &str,
        line: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Reply {
        ask(&self.router, peer, line, headers, body.into()).await
    }

    /// Sends a request, and leaves the body of the response unread.
    pub(super) async fn send(&self, line: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
        send(&self.router, UNTRUSTED, line, headers, body.into()).await
    }

    /// Sends a request for an upgrade past the router.
    pub(super) async fn upgrade(&self, headers: &[(&str, &str)], answer: impl FnOnce() -> Answered) -> Reply {
        let request = request(UNTRUSTED, "GET /ws", headers, Body::empty());
        let client = Requester::of(&request).expect("a peer");
        read(handle_upgrade(&self.state, &request, &client, answer).response).await
    }

    /// Sends a request for one record past the router.
    pub(super) async fn look_up(&self, line: &str, headers: &[(&str, &str)]) -> Reply {
        let request = request(UNTRUSTED, line, headers, Body::empty());
        let client = Requester::of(&request).expect("a peer");
        let lookups = lookups(Arc::clone(&self.state));
        assert!((lookups.take)(request.method(), request.uri().path()), "{line}");
        read(handle_lookup(Arc::clone(&self.state), request, client).await).await
    }

    /// Sends a request without a body as an internal caller.
    pub(super) async fn internal(&self, line: &str) -> Reply {
        self.ask(line, &[SECRET], "").await
    }
}

pub(super) async fn ask(router: &Router, peer: &str, line: &str, headers: &[(&str, &str)], body: Body) -> Reply {
    read(send(router, peer, line, headers, body).await).await
}

/// Sends a request with these `Host` lines.
pub(super) async fn ask_hosts(router: &Router, line: &str, version: Version, hosts: &[&str]) -> Reply {
    let mut request = request(UNTRUSTED, line, &[("host", "")], Body::empty());
    *request.version_mut() = version;
    request.headers_mut().remove("host");
    for host in hosts {
        let host = host.parse().expect("a header");
        request.headers_mut().append("host", host);
    }
    read(router.clone().oneshot(request).await.expect("an answer")).await
}

async fn read(response: Response) -> Reply {
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    Reply {
        status: head.status,
        headers: head.headers,
        text: String::from_utf8(bytes.to_vec()).expect("text"),
    }
}

async fn send(router: &Router, peer: &str, line: &str, headers: &[(&str, &str)], body: Body) -> Response {
    let request = request(peer, line, headers, body);
    router.clone().oneshot(request).await.expect("an answer")
}

fn request(peer: &str, line: &str, headers: &[(&str, &str)], body: Body) -> Request<Body> {
    let (method, path) = line.split_once(' ').expect("a method and a path");
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "localhost");
    }
    for (name, value) in headers {
        request = match value.strip_prefix("Bearer token-of-") {
            Some(user) => request.header(*name, format!("Bearer {}", crate::auth::fixture::token(user))),
            None => request.header(*name, *value),
        };
    }
    let mut request = request.body(body).expect("a request");
    let peer: SocketAddr = peer.parse().expect("an address");
    request.extensions_mut().insert(Peer(peer));
    request.extensions_mut().insert(RequestOrder::Later);
    request
}

async fn engine(
    dir: &tempfile::TempDir,
    limits: &Arc<CurrentLimits>,
    clock: &Arc<Clock>,
    auth: &Auth,
) -> (Arc<Engine>, impl std::any::Any + use<>) {
    let metrics = StoreMetrics::register(&mut Registry::default());
    let path = dir.path().join("presence.db");
    let (store, startup) = Store::open(&path, &OpenOptions::patient(), metrics).expect("a store");
    let engine = Engine::new(EngineParts {
        options: EngineOptions {
            timers: presence::Timers {
                grace: Duration::from_secs(5),
                restart_grace: Duration::from_secs(30),
                idle_after: Duration::from_secs(300),
            },
            limits: Arc::clone(limits),
            connect_waits: DEADLINE,
            sweep_every: EngineOptions::SWEEP_EVERY,
            pings: PingOptions {
                interval: Duration::from_secs(25),
                timeout: Duration::from_secs(10),
            },
            drain_rate: NonZeroU32::MIN,
            incarnation: 7,
        },
        clock: Arc::clone(clock),
        store,
        cluster: Cluster::Alone(Alone::new("here", None, clock.wall())),
        metrics: EngineMetrics::register(&mut Registry::default()),
        revoked_tokens: auth.revoked_tokens(),
    });
    let running = engine.start(startup).await.expect("threads");
    (engine, running)
}
