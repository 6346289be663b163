//! What is reachable from outside: the listeners, and everything that answers behind them.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::Context;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::api::{self, About, ApiMetrics, AppState, MetricsAt, Readiness, Vitals};
use crate::auth::Auth;
use crate::clock::{Clock, STALL};
use crate::config::Config;
use crate::config::limits::Limits;
use crate::engine::Engine;
use crate::gateway::{Gateway, GatewayMetrics};
use crate::server::{Door, Server, ServerMetrics, Serving, Slots, listen};
use crate::store::{Store, StoreHealth};

/// Connections of the listener for metrics alone: scrapers are few.
const METRICS_CONNECTIONS: usize = 64;

/// What the doors open on.
pub(super) struct Parts<'a> {
    pub(super) config: &'a Config,
    pub(super) auth: Arc<Auth>,
    pub(super) clock: Arc<Clock>,
    pub(super) store: Store,
    pub(super) engine: Arc<Engine>,
    pub(super) open_files: u64,
}

/// The open doors.
pub(super) struct Served {
    pub(super) engine: Arc<Engine>,
    pub(super) readiness: Arc<Readiness>,
    pub(super) servers: Vec<Server>,
    pub(super) metrics: ServerMetrics,
}

/// What both listeners share.
struct Entrance {
    limits: Arc<Limits>,
    slots: Arc<Slots>,
    door: Arc<Door>,
    metrics: ServerMetrics,
}

impl Parts<'_> {
    /// Begins to accept.
    pub(super) fn serve(self, listener: TcpListener, mut registry: Registry) -> anyhow::Result<Served> {
        let entrance = self.entrance(&mut registry);
        let readiness = Arc::new(build_readiness(self.store.clone(), Arc::clone(&self.clock)));
        let gateway = self.gateway(&entrance, &mut registry);
        let state = self.state(&entrance, Arc::clone(&readiness), registry);
        let metrics_at = match self.config.metrics_listen {
            Some(_) => MetricsAt::OwnListener,
            None => MetricsAt::MainListener,
        };
        let router = api::router(Arc::clone(&state), gateway.route(), metrics_at);
        #[cfg(feature = "autobahn")]
        let router = router.route("/autobahn", gateway.echo_route());
        let Entrance {
            limits,
            slots,
            door,
            metrics,
        } = entrance;
        let clock = Arc::clone(&self.clock);
        let serving = Serving {
            router,
            slots,
            door,
            limits,
            clock,
            metrics: metrics.clone(),
        };
        let mut servers = Vec::new();
        if let Some(address) = self.config.metrics_listen {
            servers.push(serve_metrics(address, state, serving.clone())?);
        }
        servers.push(Server::start(listener, serving)?);
        Ok(Served {
            engine: self.engine,
            readiness,
            servers,
            metrics,
        })
    }

    fn entrance(&self, registry: &mut Registry) -> Entrance {
        let limits = Arc::new(self.config.limits.clone());
        let metrics = ServerMetrics::register(registry);
        let max = limits
            .max_connections
            .unwrap_or_else(|| listen::default_max_connections(self.open_files));
        let slots = Slots::new(max, metrics.connections.clone());
        let door = Door::new(
            &limits,
            Arc::clone(&self.auth),
            Arc::clone(&self.clock),
            metrics.clone(),
        );
        Entrance {
            limits,
            slots,
            door: Arc::new(door),
            metrics,
        }
    }

    fn gateway(&self, entrance: &Entrance, registry: &mut Registry) -> Arc<Gateway> {
        Arc::new(Gateway {
            engine: Arc::clone(&self.engine),
            auth: Arc::clone(&self.auth),
            door: Arc::clone(&entrance.door),
            clock: Arc::clone(&self.clock),
            limits: Arc::clone(&entrance.limits),
            metrics: GatewayMetrics::register(registry),
            ping_interval: self.config.ping_interval,
        })
    }

    fn state(&self, entrance: &Entrance, readiness: Arc<Readiness>, mut registry: Registry) -> Arc<AppState> {
        let about = About {
            node: self.engine.node().to_owned(),
            schema_version: u32::try_from(self.store.health().schema_version).unwrap_or(0),
            open_files: self.open_files,
            accepting_since: self.clock.mono(),
        };
        Arc::new(AppState {
            engine: Arc::clone(&self.engine),
            auth: Arc::clone(&self.auth),
            door: Arc::clone(&entrance.door),
            clock: Arc::clone(&self.clock),
            limits: Arc::clone(&entrance.limits),
            slots: Arc::clone(&entrance.slots),
            readiness,
            about,
            metrics: ApiMetrics::register(&mut registry),
            registry: Arc::new(registry),
        })
    }
}

fn serve_metrics(address: SocketAddr, state: Arc<AppState>, serving: Serving) -> anyhow::Result<Server> {
    let listener = listen::listen(address).with_context(|| format!("can't listen on {address}"))?;
    let router = api::metrics_router(state);
    // Places of its own, so that it answers when the main listener is full.
    let slots = Slots::new(METRICS_CONNECTIONS, Gauge::default());
    Ok(Server::start(
        listener,
        Serving {
            router,
            slots,
            ..serving
        },
    )?)
}

fn build_readiness(store: Store, clock: Arc<Clock>) -> Readiness {
    Readiness::new(move || {
        let stall = clock.since_beat();
        let problems = (stall > STALL).then(|| format!("the timer loop has not run for {} s", stall.as_secs()));
        Vitals {
            store_error: store_error(&store.health()),
            problems: problems.into_iter().collect(),
        }
    })
}

/// Why the store can't write, if it can't. Strangers read it, so without the file it names first.
fn store_error(health: &StoreHealth) -> Option<String> {
    if health.writable {
        return None;
    }
    let error = health.error.as_deref().unwrap_or("the reason is not known");
    Some(error.split_once("\": ").map_or(error, |(_, what)| what).to_owned())
}
