//! The composition root: the only place that builds all components and knows them. It starts them in the order of their
//! dependencies and stops them in reverse. [`listeners`] builds what is reachable from outside, [`reload`] acts on SIGHUP.

pub(crate) mod import;
mod listeners;
mod reload;

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use prometheus_client::registry::Registry;
use tokio::signal::unix::{SignalKind, signal};

use crate::auth::Auth;
use crate::clock::Clock;
use crate::cluster::{Alone, Cluster};
use crate::config::{Config, Database};
use crate::connection::keepalive::KeepaliveOptions;
use crate::data_dir::{DataDir, DataDirError, IfMissing};
use crate::engine::{Engine, EngineMetrics, EngineOptions, EngineParts, Running, WatchLimits};
use crate::logging::LogLevel;
use crate::server::listen;
use crate::store::{OpenOptions, PostgresPlace, Startup, Store, StoreMetrics};

use listeners::{ListenerOptions, Listeners};
use reload::{LastReload, ReloadMetrics, Reloader};

/// How long clients may take to disconnect during a drain, of the ten seconds that a stop may take in all.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(4);
/// How often, and how far apart, the lock of the data directory is tried before another daemon is reported.
const LOCK_ATTEMPTS: usize = 10;
const LOCK_RETRY: Duration = Duration::from_millis(20);
/// How often the address is tried to be written that could not be.
const ADDRESS_RETRY: Duration = Duration::from_secs(5);
/// How long the last writes may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(4);

/// Runs the daemon until a signal stops it.
pub(crate) async fn run(config: Config, mut registry: Registry, log_level: LogLevel) -> anyhow::Result<()> {
    let Signals {
        mut stop,
        hangup,
        _file_size,
    } = Signals::new()?;
    let opened = open_data_dir(&config.data_dir).await;
    let data_dir = Arc::new(opened.map_err(|error| error.of_setting("--data-dir"))?);
    data_dir.remove_address()?;
    let open_files = listen::raise_file_limit();
    anyhow::ensure!(
        open_files >= listen::FILES_MIN,
        "the limit on open files is {open_files}, and {} are needed at least: raise it (ulimit -n, LimitNOFILE)",
        listen::FILES_MIN
    );
    let clock = Arc::new(Clock::new());
    let opened = tokio::select! {
        // A server that can't be reached is waited for.
        () = any(&mut stop) => return Ok(()),
        opened = open_store(&config, &mut registry) => opened,
    };
    let (store, startup) = opened?;
    let listener = listeners::bind("--listen", config.listen)?;
    let address = listener.local_addr()?;
    let auth_options = reload::auth_options(&config, &data_dir, address, IfMissing::Create)?;
    let auth = Arc::new(Auth::new(auth_options));
    let engine = build_engine(&config, &clock, &store, &startup, &mut registry)?;
    let running = engine.start(startup).await.context("can't start a thread")?;
    let last_reload = LastReload::default();
    let reload_metrics = ReloadMetrics::register(&mut registry);
    let options = ListenerOptions {
        config: &config,
        auth: Arc::clone(&auth),
        clock: Arc::clone(&clock),
        store: store.clone(),
        engine: Arc::clone(&engine),
        open_files,
        last_reload: Arc::clone(&last_reload),
    };
    let listeners = options.serve(listener, registry)?;
    save_address(&data_dir, format!("http://{address}"));
    announce(address, &config);
    let reloader = Reloader {
        config,
        data_dir: Arc::clone(&data_dir),
        address,
        auth,
        engine,
        log_level,
        clock,
        last: last_reload,
        metrics: reload_metrics,
    };
    tokio::select! {
        () = any(&mut stop) => {}
        () = reloader.run(hangup) => {}
    }
    stop_all(listeners, running, store).await;
    drop(data_dir);
    Ok(())
}

/// Locks the data directory. A tool that looks whether a daemon runs may hold the lock for a moment.
async fn open_data_dir(path: &Path) -> Result<DataDir, DataDirError> {
    for _ in 0..LOCK_ATTEMPTS {
        match DataDir::open(path) {
            Err(DataDirError::InUse { .. }) => tokio::time::sleep(LOCK_RETRY).await,
            opened => return opened,
        }
    }
    DataDir::open(path)
}

struct Signals {
    stop: [tokio::signal::unix::Signal; 2],
    hangup: tokio::signal::unix::Signal,
    /// Handled so that a file size limit fails a write, as a full disk does, instead of killing the process.
    _file_size: tokio::signal::unix::Signal,
}

impl Signals {
    /// From now on SIGTERM and SIGINT stop the daemon in order, and SIGHUP ends nothing.
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            stop: [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?],
            hangup: signal(SignalKind::hangup())?,
            _file_size: signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
        })
    }
}

async fn any([one, other]: &mut [tokio::signal::unix::Signal; 2]) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

async fn open_store(config: &Config, registry: &mut Registry) -> anyhow::Result<(Store, Startup)> {
    let metrics = StoreMetrics::register(registry);
    let options = OpenOptions::default();
    let opened = match config.database() {
        Database::Sqlite(path) => tokio::task::spawn_blocking(move || Store::open(&path, &options, metrics)).await?,
        Database::Postgres(url) => {
            let place = PostgresPlace {
                url: &url,
                password_file: config.database_password_file.as_deref(),
                alive: &config.data_dir.join("postgres-alive"),
            };
            Store::open_postgres(place, &options, metrics).await
        }
    };
    Ok(match config.database {
        Some(_) => opened.context("--database")?,
        None => opened?,
    })
}

fn build_engine(
    config: &Config,
    clock: &Arc<Clock>,
    store: &Store,
    startup: &Startup,
    registry: &mut Registry,
) -> anyhow::Result<Arc<Engine>> {
    let mut incarnation = [0; 8];
    getrandom::fill(&mut incarnation).map_err(std::io::Error::from)?;
    let ceiling = startup.latest_heartbeat().map(|heartbeat| heartbeat.ceiling);
    let limits = &config.limits;
    let engine = Engine::new(EngineParts {
        options: EngineOptions {
            timers: config.timers,
            sessions_per_user: limits.sessions_per_user,
            reports_per_user: limits.reports_per_user,
            watched: WatchLimits {
                connection: limits.watched_per_connection,
                user: limits.watched_per_user,
            },
            custom_statuses: limits.custom_statuses,
            lookups: limits.lookups,
            connect_waits: EngineOptions::CONNECT_WAITS,
            sweep_every: EngineOptions::SWEEP_EVERY,
            keepalive: KeepaliveOptions {
                ping_interval: config.ping_interval,
                ping_timeout: config.ping_timeout,
                write_timeout: limits.write_timeout,
                message_timeout: limits.message_timeout,
            },
            incarnation: u64::from_le_bytes(incarnation),
        },
        clock: Arc::clone(clock),
        store: store.clone(),
        cluster: Cluster::Alone(Alone::new(&node_name(), ceiling, clock.record_time(None))),
        metrics: EngineMetrics::register(registry),
    });
    engine.register_gauges(registry);
    Ok(engine)
}

fn node_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "node".into() } else { name }
}

/// A disk that is full keeps nobody from being served: then it is tried until there is room, and tools on this machine find
/// the daemon from then on.
fn save_address(data_dir: &Arc<DataDir>, url: String) {
    let Err(error) = data_dir.save_address(&url) else {
        return;
    };
    tracing::error!(%error, "tools on this machine can't find the daemon by its address until it can be written");
    let data_dir = Arc::clone(data_dir);
    tokio::spawn(async move {
        while data_dir.save_address(&url).is_err() {
            tokio::time::sleep(ADDRESS_RETRY).await;
        }
    });
}

fn announce(address: SocketAddr, config: &Config) {
    let mut out = std::io::stdout().lock();
    // stdout may be closed.
    let _ = writeln!(out, "presenced listening on http://{address}");
    let _ = writeln!(out, "data in {}", config.data_dir.display());
    let _ = out.flush();
    warn_if_exposed(config);
    tracing::info!(%address, data_dir = ?config.data_dir, version = env!("CARGO_PKG_VERSION"), "accepting");
}

/// Logs listeners that others can reach although no proxy in front is named.
pub(super) fn warn_if_exposed(config: &Config) {
    for (flag, address) in config.open_listeners().filter(|_| !config.trusted_proxies.has_named()) {
        tracing::warn!(
            %address,
            "{flag} is not loopback and --insecure is set: secrets and tokens travel in clear text, and whoever reaches the port can try them"
        );
    }
}

/// Stops everything in order: no new connections, a goodbye to the open ones, then the last writes.
async fn stop_all(listeners: Listeners, running: Running, store: Store) {
    let Listeners {
        engine,
        readiness,
        servers,
        metrics,
    } = listeners;
    tracing::info!("stopping");
    readiness.drain();
    engine.begin_drain();
    servers.drain(&metrics, DRAIN_TIMEOUT).await;
    if tokio::time::timeout(WRITE_TIMEOUT, running.stop()).await.is_err() {
        tracing::error!("the last writes took too long; the next start treats this as a crash");
    }
    let closing = tokio::task::spawn_blocking(move || store.close());
    let _ = tokio::time::timeout(WRITE_TIMEOUT / 4, closing).await;
    tracing::info!("stopped");
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use rustix::fs::{FlockOperation, flock};

    use super::*;

    #[tokio::test]
    async fn a_lock_that_is_held_for_a_moment_does_not_prevent_the_start() {
        let root = tempfile::tempdir().expect("a directory");
        drop(DataDir::open(root.path()).expect("a data directory"));
        let looked_at = File::open(root.path().join("lock")).expect("a file");
        flock(&looked_at, FlockOperation::NonBlockingLockShared).expect("a lock");
        // The first attempt comes before the end of the look.
        let (opened, ()) = tokio::join!(open_data_dir(root.path()), async { drop(looked_at) });
        assert!(opened.is_ok(), "{opened:?}");
        assert!(open_data_dir(root.path()).await.is_err(), "held by a daemon");
    }
}
