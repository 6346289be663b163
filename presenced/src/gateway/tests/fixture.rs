//! A gateway behind the daemon's own server. Only this file depends on how other modules are built.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use presence::wire::record::{Record, Viewer};
use presence::wire::rest::Explain;
use presence::{Rate, UserId};
use prometheus_client::registry::Registry;

use super::client::{DEADLINE, SECRET, WsClient};
use crate::auth::fixture::keys;
use crate::auth::{Auth, AuthOptions, TrustedProxies};
use crate::clock::Clock;
use crate::cluster::{Alone, Cluster};
use crate::connection::keepalive::PingOptions;
use crate::engine::{Engine, EngineMetrics, EngineOptions, EngineParts, Running};
use crate::exceeded_limit::LimitCounters;
use crate::gateway::{Gateway, GatewayMetrics};
use crate::limits::{CurrentLimits, Limits};
use crate::server::{
    Admission, ConnectionBounds, ConnectionLimit, Server, ServerMetrics, Serving, listen::listen, upgrades::Upgrades,
};
use crate::store::{OpenOptions, Store, StoreMetrics};

/// What users' tokens are signed with.
const JWT_KEY: &[u8] = b"a key that is long enough for everybody";

/// Where it is served.
const PATH: &str = "/ws";

/// The times and limits that tests change.
pub(super) struct GatewaySettings {
    pub(super) limits: Limits,
    pub(super) ping_interval: Duration,
    pub(super) ping_timeout: Duration,
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(10),
        }
    }
}

pub(in crate::gateway) struct GatewayFixture {
    pub(in crate::gateway) engine: Arc<Engine>,
    pub(in crate::gateway) gateway: Arc<Gateway>,
    pub(super) connection_limit: Arc<ConnectionLimit>,
    server: Server,
    registry: Registry,
    pub(super) store: Store,
    dir: tempfile::TempDir,
    _running: Running,
}

pub(super) fn user(name: &str) -> UserId {
    UserId::new(name).expect("a user id")
}

/// A rate that no test exceeds.
pub(super) fn plenty() -> Rate {
    Rate {
        amount: 1_000_000_000,
        period: Duration::from_secs(1),
        burst: 1_000_000_000,
    }
}

fn auth() -> Auth {
    Auth::new(AuthOptions {
        secrets: vec![SECRET.as_bytes().to_vec()],
        jwt: keys(JWT_KEY),
        jwt_issuer: None,
        jwt_audience: None,
        trusted_proxies: TrustedProxies::Named(vec!["127.0.0.0/8".parse().expect("a network")]),
        allowed_origins: Vec::new(),
        listen: SocketAddr::from(([127, 0, 0, 1], 7420)),
        scheme: "http",
        demo: None,
    })
}

impl GatewayFixture {
    pub(in crate::gateway) async fn new() -> Self {
        Self::with(GatewaySettings::default()).await
    }

    pub(super) async fn with(settings: GatewaySettings) -> Self {
        Self::on_clock(Arc::new(Clock::new()), settings).await
    }

    pub(super) async fn on_clock(clock: Arc<Clock>, settings: GatewaySettings) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut registry = Registry::default();
        let limits = CurrentLimits::new(settings.limits.clone());
        let auth = Arc::new(auth());
        let database = dir.path().join("presence.db");
        let (engine, running, store) = start_engine(database, &clock, &settings, &limits, &auth).await;
        let metrics = ServerMetrics::register(&mut Registry::default());
        let admission = Arc::new(Admission::new(
            Arc::clone(&limits),
            Arc::clone(&auth),
            Arc::clone(&clock),
            metrics.clone(),
        ));
        let connection_limit = ConnectionLimit::new(ConnectionBounds::only(100), metrics.connections.clone());
        let limit_counters = LimitCounters::of_clients(&mut registry);
        let gateway = Arc::new(Gateway {
            engine: Arc::clone(&engine),
            auth,
            admission: Arc::clone(&admission),
            clock: Arc::clone(&clock),
            limits: Arc::clone(&limits),
            metrics: GatewayMetrics::register(&mut registry, limit_counters),
            ping_interval: settings.ping_interval,
        });
        let serving = Serving {
            router: Router::new().route(PATH, gateway.route()),
            lookups: None,
            tls: None,
            upgrades: Some(Upgrades {
                path: PATH,
                answer: gateway.answer(),
            }),
            connection_limit: Arc::clone(&connection_limit),
            admission,
            limits,
            clock,
            rejections: 32,
            metrics,
        };
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a listener");
        Self {
            engine,
            gateway,
            connection_limit,
            server: Server::start(listener, serving).expect("a server"),
            registry,
            store,
            dir,
            _running: running,
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.server.local_addr()
    }

    pub(super) fn database(&self) -> PathBuf {
        self.dir.path().join("presence.db")
    }

    /// A user's connection that has got its welcome.
    pub(super) async fn connect(&self, name: &str) -> WsClient {
        let mut client = WsClient::open(self.address(), &[("x-user-id", name)]).await;
        let welcome = client.json().await;
        assert_eq!(
            (&welcome["type"], &welcome["user"]["userId"]),
            (&"welcome".into(), &name.into())
        );
        client
    }

    /// An observer's connection that has got its welcome.
    pub(super) async fn observe(&self) -> WsClient {
        let mut client = WsClient::open(self.address(), &[("x-secret-token", SECRET)]).await;
        let welcome = client.json().await;
        assert_eq!(welcome["type"], "welcome");
        assert!(welcome.get("user").is_none());
        client
    }

    /// A token of the user, issued now, that expires `seconds` from now.
    pub(super) fn token(&self, name: &str, seconds: f64) -> String {
        let now = Clock::new().wall().as_millis();
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are below 2^53")]
        let now = now as f64 / 1000.0;
        let claims = serde_json::json!({ "sub": name, "iat": now, "exp": now + seconds });
        let key = jsonwebtoken::EncodingKey::from_secret(JWT_KEY);
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("a token")
    }

    pub(super) async fn record(&self, name: &str) -> Record {
        let record = self.engine.record(&user(name), Viewer::Internal).await;
        record.expect("a record")
    }

    pub(super) async fn explain(&self, name: &str) -> Explain {
        self.engine.explain(&user(name)).await.expect("an explanation")
    }

    /// The gateway's metrics, as text.
    pub(super) fn metrics_text(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("metrics");
        text
    }

    /// Waits until `is_so`; the panic message names `what` if that never happens.
    pub(super) async fn until(&self, what: &str, is_so: impl AsyncFn(&Self) -> bool) {
        let waiting = async {
            while !is_so(self).await {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(DEADLINE, waiting)
            .await
            .unwrap_or_else(|_| panic!("not in time: {what}"));
    }
}

async fn start_engine(
    path: PathBuf,
    clock: &Arc<Clock>,
    settings: &GatewaySettings,
    limits: &Arc<CurrentLimits>,
    auth: &Auth,
) -> (Arc<Engine>, Running, Store) {
    let metrics = StoreMetrics::register(&mut Registry::default());
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
                interval: settings.ping_interval,
                timeout: settings.ping_timeout,
            },
            drain_rate: NonZeroU32::MIN,
            incarnation: 7,
        },
        clock: Arc::clone(clock),
        store: store.clone(),
        cluster: Cluster::Alone(Alone::new("here", None, clock.wall())),
        metrics: EngineMetrics::register(&mut Registry::default()),
        revoked_tokens: auth.revoked_tokens(),
    });
    let running = engine.start(startup).await.expect("threads");
    (engine, running, store)
}
