//! Builds the listeners and everything behind them: admission, gateway, API, readiness.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::anyhow;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::limits::LimitHolders;
use super::reload::LastReload;
use super::{cluster, readiness};
use crate::api::{self, AnswerPlaces, ApiMetrics, AppState, MetricsAt, NodeInfo, OpenApiDocument, Peers, Readiness};
use crate::auth::Auth;
use crate::clock::Clock;
use crate::config::Config;
use crate::engine::Engine;
use crate::exceeded_limit::LimitCounters;
use crate::gateway::{Gateway, GatewayMetrics};
use crate::reload_requests::ReloadRequests;
use crate::server::{
    Admission, ConnectionBounds, ConnectionLimit, ServerMetrics, Servers, Serving, listen::BoundAddress,
    listen::FileShares,
};
use crate::store::Store;
use crate::tls::{PeerConnector, ServedIdentity};

/// Connection limit of the metrics listener: scrapers are few. With few files no more than may be rejected.
const METRICS_CONNECTIONS: usize = 64;

/// What the listeners are built from.
pub(super) struct ListenerOptions<'a> {
    pub(super) config: &'a Config,
    pub(super) auth: Arc<Auth>,
    pub(super) clock: Arc<Clock>,
    pub(super) store: Store,
    pub(super) engine: Arc<Engine>,
    pub(super) open_files: u64,
    pub(super) last_reload: LastReload,
    pub(super) reload_requests: ReloadRequests,
    /// What the listeners speak TLS with; none if they are plain.
    pub(super) tls: Option<Arc<ServedIdentity>>,
}

/// The running listeners.
pub(super) struct Listeners {
    pub(super) engine: Arc<Engine>,
    pub(super) readiness: Arc<Readiness>,
    pub(super) servers: Servers,
    pub(super) metrics: ServerMetrics,
}

/// The running listeners, and what a reload changes of them.
pub(super) struct Started {
    pub(super) listeners: Listeners,
    pub(super) limits: LimitHolders,
}

/// Admission and limits, which the servers, the gateway and the API share.
struct SharedLimits {
    limits: LimitHolders,
    admission: Arc<Admission>,
    metrics: ServerMetrics,
    /// Counted by the gateway and the API.
    exceeded: LimitCounters,
}

impl ListenerOptions<'_> {
    /// Begins to accept.
    pub(super) fn serve(self, bound: BoundFlag, mut registry: Registry) -> anyhow::Result<Started> {
        let shared = self.shared_limits(&mut registry);
        let readiness = Arc::new(readiness::build(
            self.store.clone(),
            Arc::clone(&self.engine),
            Arc::clone(&self.clock),
            Arc::clone(&self.last_reload),
        ));
        Readiness::register(&readiness, &mut registry);
        let gateway = self.gateway(&shared, &mut registry);
        let address = bound.address()?;
        let state = self.state(&shared, Arc::clone(&readiness), address, registry);
        let metrics_at = match self.config.metrics_listen {
            Some(_) => MetricsAt::OwnListener,
            None => MetricsAt::MainListener,
        };
        let router = api::router(Arc::clone(&state), gateway.route(), metrics_at);
        let upgrades = Some(api::upgrades(Arc::clone(&state), gateway.answer()));
        let lookups = Some(api::lookups(Arc::clone(&state)));
        #[cfg(feature = "autobahn")]
        let router = router.route("/autobahn", gateway.echo_route());
        let SharedLimits {
            limits,
            admission,
            metrics,
            exceeded: _,
        } = shared;
        let clock = Arc::clone(&self.clock);
        let serving = Serving {
            router,
            upgrades,
            lookups,
            tls: self.tls.clone(),
            connection_limit: Arc::clone(&limits.connections),
            admission,
            limits: Arc::clone(&limits.current),
            clock,
            rejections: self.file_shares().rejections,
            metrics: metrics.clone(),
        };
        let mut servers = Servers::default();
        let listener = bound.into_listener()?;
        if let Some(address) = self.config.metrics_listen {
            serve_metrics(&mut servers, address, state, serving.clone())?;
        }
        servers.start(listener, serving)?;
        let listeners = Listeners {
            engine: self.engine,
            readiness,
            servers,
            metrics,
        };
        Ok(Started { listeners, limits })
    }

    fn file_shares(&self) -> FileShares {
        FileShares::of(self.open_files.saturating_sub(cluster::open_files(self.config)))
    }

    fn shared_limits(&self, registry: &mut Registry) -> SharedLimits {
        let metrics = ServerMetrics::register(registry);
        let limits = LimitHolders::new(
            Arc::clone(&self.engine),
            Arc::clone(&self.clock),
            self.file_shares(),
            &metrics,
        );
        let admission = Admission::new(
            Arc::clone(&limits.current),
            Arc::clone(&self.auth),
            Arc::clone(&self.clock),
            metrics.clone(),
        );
        SharedLimits {
            limits,
            admission: Arc::new(admission),
            metrics,
            exceeded: LimitCounters::of_clients(registry),
        }
    }

    fn gateway(&self, shared: &SharedLimits, registry: &mut Registry) -> Arc<Gateway> {
        Arc::new(Gateway {
            engine: Arc::clone(&self.engine),
            auth: Arc::clone(&self.auth),
            admission: Arc::clone(&shared.admission),
            clock: Arc::clone(&self.clock),
            limits: Arc::clone(&shared.limits.current),
            metrics: GatewayMetrics::register(registry, shared.exceeded.clone()),
            ping_interval: self.config.ping_interval,
        })
    }

    fn state(
        &self,
        shared: &SharedLimits,
        readiness: Arc<Readiness>,
        address: SocketAddr,
        mut registry: Registry,
    ) -> Arc<AppState> {
        let node_info = NodeInfo {
            node: self.engine.node().to_owned(),
            address: cluster::advertised(self.config, address),
            store: self.store.kind(),
            schema_version: u32::try_from(self.store.health().schema_version).unwrap_or(0),
            open_files: self.open_files,
            accepting_since: self.clock.elapsed(),
        };
        Arc::new(AppState {
            engine: Arc::clone(&self.engine),
            auth: Arc::clone(&self.auth),
            admission: Arc::clone(&shared.admission),
            clock: Arc::clone(&self.clock),
            limits: Arc::clone(&shared.limits.current),
            connection_limit: Arc::clone(&shared.limits.connections),
            readiness,
            answers: AnswerPlaces::default(),
            peers: Peers::new(PeerConnector::new(self.tls.clone())),
            reload_requests: self.reload_requests.clone(),
            node_info,
            metrics: ApiMetrics::register(&mut registry, shared.exceeded.clone()),
            tls: self.tls.clone(),
            registry: Arc::new(registry),
            openapi: OpenApiDocument::default(),
        })
    }
}

/// The bound address of a setting.
pub(super) struct BoundFlag {
    flag: &'static str,
    named: SocketAddr,
    bound: BoundAddress,
}

/// Takes the address of the API. A node that is alone has connections wait there from now on; of one that is not, clients go to
/// another meanwhile.
pub(super) fn bind_api(config: &Config) -> anyhow::Result<BoundFlag> {
    let bound = bind("--listen", config.listen)?;
    if config.cluster.redis.is_empty() {
        bound.listen()?;
    }
    Ok(bound)
}

/// Takes the address of a setting; clients are told that nobody listens there.
fn bind(flag: &'static str, named: SocketAddr) -> anyhow::Result<BoundFlag> {
    let bound = BoundAddress::bind(named).map_err(|error| unusable(flag, named, &error))?;
    Ok(BoundFlag { flag, named, bound })
}

impl BoundFlag {
    pub(super) fn address(&self) -> std::io::Result<SocketAddr> {
        self.bound.address()
    }

    /// Connections wait from now on.
    fn listen(&self) -> anyhow::Result<()> {
        self.bound
            .listen()
            .map_err(|error| unusable(self.flag, self.named, &error))
    }

    fn into_listener(self) -> anyhow::Result<TcpListener> {
        self.listen()?;
        Ok(self.bound.into())
    }
}

fn unusable(flag: &str, address: SocketAddr, error: &std::io::Error) -> anyhow::Error {
    let advice = match error.kind() {
        ErrorKind::AddrInUse => "; another program listens there: stop it, or name another address",
        ErrorKind::AddrNotAvailable => "; this machine has no such address",
        ErrorKind::PermissionDenied => "; ports below 1024 need CAP_NET_BIND_SERVICE",
        _ => "",
    };
    anyhow!("{flag} {address}: {error}{advice}")
}

fn serve_metrics(
    servers: &mut Servers,
    address: SocketAddr,
    state: Arc<AppState>,
    serving: Serving,
) -> anyhow::Result<()> {
    let listener = bind("--metrics-listen", address)?.into_listener()?;
    let router = api::metrics_router(state);
    // A limit of its own, so that metrics can be scraped when the main listener is full.
    let connection_limit = ConnectionLimit::new(
        ConnectionBounds::only(METRICS_CONNECTIONS.min(serving.rejections)),
        Gauge::default(),
    );
    let serving = Serving {
        router,
        upgrades: None,
        lookups: None,
        connection_limit,
        ..serving
    };
    servers.start(listener, serving)?;
    Ok(())
}
