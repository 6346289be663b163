//! The composition root: the only place that builds all components and knows them. It starts them in the order of their
//! dependencies and stops them in reverse. [`cluster`] reaches Redis, [`listeners`] builds what is reachable from outside, [`reload`] acts on SIGHUP.

mod cluster;
pub(crate) mod import;
mod limits;
mod listeners;
mod readiness;
mod reload;
mod tls;

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use prometheus_client::registry::Registry;
use tokio::signal::unix::{SignalKind, signal};

use crate::auth::Auth;
use crate::clock::Clock;
use crate::config::{Config, Database};
use crate::connection::keepalive::PingOptions;
use crate::data_dir::{DataDir, DataDirError, IfMissing};
use crate::engine::{Engine, EngineMetrics, EngineOptions, EngineParts, Running};
use crate::limits::CurrentLimits;
use crate::logging::LogLevel;
use crate::reload_requests::ReloadRequests;
use crate::revocation::RevokedTokens;
use crate::server::listen;
use crate::service_manager;
use crate::store::{Access, OpenOptions, PostgresPlace, Startup, Store, StoreMetrics};

use self::cluster::{ClusterParts, ReachedRedis};
use listeners::{ListenerOptions, Listeners, Started};
use reload::{ReloadRecord, Reloader};

/// How long clients may take to disconnect during a drain, of the ten seconds that a stop may take in all.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(4);
/// How much of that clients have to move to other nodes one after the other. At the default rate 1,250 do; those who are left
/// are told to come back later.
const MOVE_TIMEOUT: Duration = Duration::from_millis(2_500);
/// How often, and how far apart, the lock of the data directory is tried before another daemon is reported.
const LOCK_ATTEMPTS: usize = 10;
const LOCK_RETRY: Duration = Duration::from_millis(20);
/// How often the address is tried to be written that could not be.
const ADDRESS_RETRY: Duration = Duration::from_secs(5);
/// How long the last writes may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(4);

/// Runs the daemon until a signal stops it.
pub(crate) async fn run(config: Config, mut registry: Registry, log_level: LogLevel) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let data_dir = Arc::new(own_data_dir(&config.data_dir).await?);
    let open_files = enough_files(&config)?;
    let clock = Arc::new(Clock::new());
    let (store, startup, redis) = tokio::select! {
        // Servers that can't be reached are waited for.
        () = any(&mut signals.stop) => return Ok(()),
        opened = open_servers(&config, &data_dir, &mut registry) => opened?,
    };
    let tls = tls::first(&config, &data_dir, clock.system(), &mut registry)?;
    let bound = listeners::bind_api(&config)?;
    let address = bound.address()?;
    let auth = first_auth(&config, &data_dir, address)?;
    let parts = ClusterParts {
        config: &config,
        data_dir: &data_dir,
        clock: &clock,
        startup: &startup,
        address,
        incarnation: cluster::random()?,
    };
    let engine = build_engine(parts, redis, &store, auth.revoked_tokens(), &mut registry)?;
    let Some(running) = cluster::start_engine(&engine, startup, any(&mut signals.stop)).await? else {
        return Ok(());
    };
    let record = ReloadRecord::register(&mut registry);
    let (reload_requests, requested) = ReloadRequests::new();
    let options = ListenerOptions {
        config: &config,
        auth: Arc::clone(&auth),
        clock: Arc::clone(&clock),
        store: store.clone(),
        engine: Arc::clone(&engine),
        open_files,
        last_reload: Arc::clone(&record.last),
        reload_requests,
        tls: tls.clone(),
    };
    let Started { listeners, limits } = options.serve(bound, registry)?;
    announce(address, &config, &data_dir);
    let _watchdog = service_manager::watch(&clock);
    let reloader = Reloader {
        config,
        data_dir: Arc::clone(&data_dir),
        address,
        auth,
        engine,
        limits,
        log_level,
        tls,
        clock,
        record,
    };
    until(any(&mut signals.stop), reloader.run(signals.hangup, requested)).await;
    stop_all(listeners, running, store, any(&mut signals.stop)).await;
    Ok(())
}

/// Locks the data directory. The address of the last run is not true any more.
async fn own_data_dir(path: &Path) -> anyhow::Result<DataDir> {
    let opened = open_data_dir(path).await;
    let data_dir = opened.map_err(|error| error.of_setting("--data-dir"))?;
    data_dir.remove_address()?;
    Ok(data_dir)
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

/// Goes on with `reloading`, which never ends, until `stop`.
async fn until(stop: impl Future<Output = ()>, reloading: impl Future<Output = ()>) {
    tokio::select! {
        () = stop => {}
        () = reloading => {}
    }
}

/// Who may call: the secrets and the key are made at the first start.
fn first_auth(config: &Config, data_dir: &DataDir, address: SocketAddr) -> anyhow::Result<Arc<Auth>> {
    let options = reload::auth_options(config, data_dir, address, IfMissing::Create)?;
    Ok(Arc::new(Auth::new(options)))
}

/// Raises the limit on open files, makes room for them, and gives it.
fn enough_files(config: &Config) -> anyhow::Result<u64> {
    let open_files = listen::raise_file_limit();
    let needed = listen::FILES_MIN + cluster::open_files(config);
    anyhow::ensure!(
        open_files >= needed,
        "the limit on open files is {open_files}, and {needed} are needed at least: raise it (ulimit -n, LimitNOFILE)"
    );
    if let Err(error) = listen::reserve_files(open_files) {
        tracing::debug!(%error, "no room is reserved for open files: it is made as connections come");
    }
    Ok(open_files)
}

/// The database, and the Redis of a node that is not alone.
async fn open_servers(
    config: &Config,
    data_dir: &DataDir,
    registry: &mut Registry,
) -> anyhow::Result<(Store, Startup, Option<ReachedRedis>)> {
    let (store, startup) = open_store(config, registry).await?;
    let redis = cluster::reach_redis(config, data_dir, &startup).await?;
    Ok((store, startup, redis))
}

async fn open_store(config: &Config, registry: &mut Registry) -> anyhow::Result<(Store, Startup)> {
    let metrics = StoreMetrics::register(registry);
    let options = OpenOptions {
        access: match config.cluster.redis.is_empty() {
            true => Access::Exclusive,
            false => Access::Shared,
        },
        ..OpenOptions::default()
    };
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
    parts: ClusterParts<'_>,
    redis: Option<ReachedRedis>,
    store: &Store,
    revoked_tokens: Arc<RevokedTokens>,
    registry: &mut Registry,
) -> anyhow::Result<Arc<Engine>> {
    let (config, clock, incarnation) = (parts.config, Arc::clone(parts.clock), parts.incarnation);
    let engine = Engine::new(EngineParts {
        options: EngineOptions {
            timers: config.timers,
            limits: CurrentLimits::new(config.limits.clone()),
            connect_waits: EngineOptions::CONNECT_WAITS,
            sweep_every: EngineOptions::SWEEP_EVERY,
            pings: PingOptions {
                interval: config.ping_interval,
                timeout: config.ping_timeout,
            },
            drain_rate: config.cluster.drain_rate,
            incarnation,
        },
        clock,
        store: store.clone(),
        cluster: parts.build(redis)?,
        metrics: EngineMetrics::register(registry),
        revoked_tokens,
    });
    engine.register_gauges(registry);
    Ok(engine)
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

fn announce(address: SocketAddr, config: &Config, data_dir: &Arc<DataDir>) {
    let url = format!("{}://{address}", config.scheme());
    save_address(data_dir, url.clone());
    let mut out = std::io::stdout().lock();
    // stdout may be closed.
    let _ = writeln!(out, "presenced listening on {url}");
    let _ = writeln!(out, "data in {}", config.data_dir.display());
    if config.demo {
        let _ = writeln!(out, "demonstration at {url}/demo");
    }
    let _ = out.flush();
    warn_if_exposed(config);
    if config.demo {
        tracing::warn!("--demo is set: on the page /demo anybody on this machine can be any user");
    }
    tracing::info!(%address, data_dir = ?config.data_dir, version = env!("CARGO_PKG_VERSION"), "accepting");
    service_manager::accepting(&status(address));
}

/// What a service manager shows.
fn status(address: SocketAddr) -> String {
    format!("accepting on {address}")
}

/// Logs listeners that others can reach although no proxy in front is named.
pub(super) fn warn_if_exposed(config: &Config) {
    for (flag, address) in config
        .exposed_listeners()
        .filter(|_| !config.trusted_proxies.has_named())
    {
        tracing::warn!(
            %address,
            "{flag} is not loopback and --insecure is set: secrets and tokens travel in clear text, and whoever reaches the port can try them"
        );
    }
}

/// Stops everything in order: no new connections, a goodbye to the open ones, then the last writes. Clients move to other nodes
/// one after the other, if there are any, until `hurry`.
async fn stop_all(listeners: Listeners, running: Running, store: Store, hurry: impl Future<Output = ()>) {
    let Listeners {
        engine,
        readiness,
        servers,
        metrics,
    } = listeners;
    tracing::info!("stopping");
    service_manager::stopping();
    readiness.drain();
    let moving = async {
        tokio::select! {
            () = engine.drain_to_stop(MOVE_TIMEOUT) => {}
            () = hurry => engine.end_soon(),
        }
    };
    tokio::join!(moving, servers.drain(&metrics, DRAIN_TIMEOUT));
    stop_engine(running).await;
    let closing = tokio::task::spawn_blocking(move || store.close());
    let _ = tokio::time::timeout(WRITE_TIMEOUT / 4, closing).await;
    tracing::info!("stopped");
}

/// Ends this node's part in the cluster, then does the last writes.
async fn stop_engine(running: Running) {
    if tokio::time::timeout(WRITE_TIMEOUT, running.stop()).await.is_err() {
        tracing::error!("the last writes took too long; the next start treats this as a crash");
    }
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
