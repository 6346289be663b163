//! Whether the daemon is ready to serve, and if not, why. The app passes the health check in.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use presence::wire::rest::{Health, ReloadStats};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// The result of one health check. Made for every response, so it is cheap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HealthCheck {
    /// Why the store can't write, if it can't. Unauthenticated callers read it, so it names no paths.
    pub(crate) store_error: Option<String>,
    /// Whether the store is one that all nodes of a cluster share. If it fails, all of them go on without it: a balancer that
    /// took each of them out would refuse every client.
    pub(crate) is_store_shared: bool,
    /// What else keeps the daemon from serving, such as a stalled timer loop, a sentence each.
    pub(crate) problems: Vec<String>,
    /// What is wrong and doesn't keep it from serving, such as a clock that went back, a sentence each.
    pub(crate) warnings: Vec<String>,
    /// The last reload, if there was one. Its error may name files, so only `/api/stats` shows it whole; one that failed
    /// changed nothing, so the daemon is as ready as before.
    pub(crate) reload: Option<ReloadStats>,
}

/// Readiness, as `/readyz` reports it.
pub(crate) struct Readiness {
    draining: AtomicBool,
    probe: Box<dyn Fn() -> HealthCheck + Send + Sync>,
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness")
            .field("draining", &self.draining)
            .finish_non_exhaustive()
    }
}

impl Readiness {
    /// `probe` checks the store and the timer loop.
    pub(crate) fn new(probe: impl Fn() -> HealthCheck + Send + Sync + 'static) -> Self {
        Self {
            draining: AtomicBool::new(false),
            probe: Box::new(probe),
        }
    }

    /// Has `/metrics` tell what `/readyz` answers, for alerts: most scrapers don't probe.
    pub(crate) fn register(readiness: &Arc<Self>, registry: &mut Registry) {
        registry.register_collector(Box::new(ReadyGauge(Arc::clone(readiness))));
    }

    /// The daemon stops; from now on it is not ready.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(super) fn health_check(&self) -> HealthCheck {
        (self.probe)()
    }

    pub(super) fn health(&self) -> Health {
        let health_check = self.health_check();
        let has_failed = health_check.reload.is_some_and(|reload| reload.error.is_some());
        let failed_reload = has_failed.then(|| "the last reload failed and changed nothing: see the log".to_owned());
        let draining = self
            .draining
            .load(Ordering::Acquire)
            .then(|| "the daemon is shutting down".to_owned());
        let store = health_check
            .store_error
            .map(|error| format!("the store can't write: {error}"));
        let (store, shared_store) = match health_check.is_store_shared {
            true => (None, store),
            false => (store, None),
        };
        let problems: Vec<String> = draining.into_iter().chain(store).chain(health_check.problems).collect();
        let warnings = shared_store.into_iter().chain(health_check.warnings);
        Health {
            ok: problems.is_empty(),
            problems,
            warnings: warnings.chain(failed_reload).collect(),
        }
    }
}

/// Asks at each scrape.
#[derive(Debug)]
struct ReadyGauge(Arc<Readiness>);

impl Collector for ReadyGauge {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "1 while /readyz answers 200, else 0.";
        let ready = ConstGauge::new(u64::from(self.0.health().ok));
        ready.encode(encoder.encode_descriptor("ready", help, None, MetricType::Gauge)?)
    }
}
