//! The cluster of a node: alone, or one of several that share a Redis. Redis is reached before anything is accepted.

use std::fs::OpenOptions;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use presence::replication::{FORMAT, Incarnation, NodeInfo, Settings};

use crate::clock::Clock;
use crate::cluster::{
    Alone, Cluster, Company, DatabaseFacts, OwnNode, RedisOptions, RedisServers, Shared, SharedFacts, SharedOptions,
};
use crate::config::{Config, Database};
use crate::data_dir::DataDir;
use crate::engine::{DOWN_MAX, Engine, Running};
use crate::files::open_regular;
use crate::store::Startup;
use crate::vital;

/// For how long a kick or a removal stays in the state of the cluster.
const COMMAND_KEPT: Duration = Duration::from_secs(3_600);
/// How often a running node looks whether Redis still has what all nodes have in common: nodes that differ may share one that
/// was emptied for so long, unnoticed.
const AGREE_EVERY: Duration = Duration::from_secs(15);
/// How often it is said that the node waits for the users of the other nodes.
const SAY_EVERY: Duration = Duration::from_secs(30);

/// A Redis that was reached, and what its nodes have in common.
pub(super) struct ReachedRedis {
    servers: Arc<RedisServers>,
    facts: SharedFacts,
}

/// The Redis of this node; none if the node is alone.
pub(super) async fn reach_redis(
    config: &Config,
    data_dir: &DataDir,
    startup: &Startup,
) -> anyhow::Result<Option<ReachedRedis>> {
    let settings = &config.cluster;
    if settings.redis.is_empty() {
        return Ok(None);
    }
    let root_certificates = settings.ca_file.as_deref().map(certificates).transpose();
    let options = RedisOptions {
        urls: settings.redis.clone(),
        root_certificates: root_certificates.context("--redis-ca-file")?,
        password_file: settings.password_file.clone(),
        ..RedisOptions::default()
    };
    let servers = Arc::new(RedisServers::new(&options).context("--redis")?);
    let facts = SharedFacts {
        partitions: settings.partitions,
        database: DatabaseFacts {
            identity: startup.identity.clone(),
            place: config.database().to_string(),
        },
    };
    let own = OwnNode {
        name: &node_name(config),
        previous: &last_runs(data_dir)?,
        lease: settings.lease,
        company: match config.database() {
            Database::Sqlite(_) => Company::Alone,
            Database::Postgres(_) => Company::Others,
        },
    };
    let reached = servers.reach(&facts, own).await;
    reached.with_context(|| format!("--redis {}", servers.names()))?;
    Ok(Some(ReachedRedis { servers, facts }))
}

/// How many files the connections to Redis take: two for each partition, a third while PostgreSQL is away, and as many while they
/// are opened, since each asks first where the partition is.
pub(super) fn open_files(config: &Config) -> u64 {
    match config.cluster.redis.is_empty() {
        true => 0,
        false => 6 * u64::from(config.cluster.partitions),
    }
}

/// The bytes of a file of certificates.
fn certificates(file: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let opened = open_regular(file, OpenOptions::new().read(true));
    let read = opened.and_then(|mut opened| opened.read_to_end(&mut bytes));
    read.with_context(|| format!("can't read {file:?}"))?;
    let begin = b"-----BEGIN CERTIFICATE-----";
    let is_found = bytes.windows(begin.len()).any(|part| part == begin);
    anyhow::ensure!(is_found, "{file:?} holds no certificate in PEM");
    Ok(bytes)
}

/// What the cluster of a node is made of.
pub(super) struct ClusterParts<'a> {
    pub(super) config: &'a Config,
    pub(super) data_dir: &'a DataDir,
    pub(super) clock: &'a Arc<Clock>,
    pub(super) startup: &'a Startup,
    /// The bound address of the API.
    pub(super) address: SocketAddr,
    /// The random number of this run.
    pub(super) incarnation: u64,
}

impl ClusterParts<'_> {
    /// The grace period of the sessions of the run before: none after a long downtime.
    fn restart_grace(&self) -> Duration {
        let now = self.clock.record_time(None);
        let last = self.startup.latest_heartbeat();
        match last {
            Some(last) if now.since(last.wall) <= DOWN_MAX => self.config.timers.restart_grace,
            _ => Duration::ZERO,
        }
    }

    /// The cluster, with `redis` if the node is not alone. From then on the data directory names this run.
    pub(super) fn build(self, redis: Option<ReachedRedis>) -> anyhow::Result<Cluster> {
        let name = node_name(self.config);
        let Some(ReachedRedis { servers, facts }) = redis else {
            let ceiling = self.startup.latest_heartbeat().map(|heartbeat| heartbeat.ceiling);
            return Ok(Cluster::Alone(Alone::new(&name, ceiling, self.clock.record_time(None))));
        };
        let previous = last_runs(self.data_dir)?;
        let runs = std::iter::once(self.incarnation).chain(previous.iter().map(|one| one.0));
        let runs: Vec<u64> = runs.collect();
        if let Err(error) = self.data_dir.save_incarnations(&runs) {
            // A disk that is full keeps nobody from being served.
            tracing::error!(%error, "the next start can't end what this run leaves: that takes a lease then");
        }
        if self.address.ip().is_unspecified() && self.config.cluster.advertise.is_none() {
            let scheme = if self.config.tls().is_some() { "https" } else { "http" };
            tracing::warn!(
                address = %self.address,
                "the other nodes can't reach this one at the address it listens on, so explain there has no details of its \
                 sessions: name one that leads here with --advertise {scheme}://HOST:PORT"
            );
        }
        let options = SharedOptions {
            node: NodeInfo {
                name,
                address: advertised(self.config, self.address),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                format: FORMAT,
            },
            incarnation: Incarnation(self.incarnation),
            previous: previous.into_iter().map(|one| (one, self.restart_grace())).collect(),
            partitions: self.config.cluster.partitions,
            settings: settings_of(self.config),
            seed: random()?,
        };
        let keeper = Arc::clone(&servers);
        vital::start_task(async move { keeper.keep_agreed(&facts, AGREE_EVERY).await });
        let looking = Arc::clone(&servers);
        vital::start_task(async move { looking.keep_looking().await });
        Ok(Cluster::Shared(Shared::new(&options, servers, self.clock.read())))
    }
}

/// The runs before, which are over, since this process has the directory.
fn last_runs(data_dir: &DataDir) -> anyhow::Result<Vec<Incarnation>> {
    let last = data_dir.last_incarnations();
    let last = last.map_err(|error| error.of_setting("--data-dir"))?;
    Ok(last.into_iter().map(Incarnation).collect())
}

fn settings_of(config: &Config) -> Settings {
    Settings {
        lease: config.cluster.lease,
        node_grace: config.cluster.node_grace,
        restart_grace: config.timers.restart_grace,
        command_kept: COMMAND_KEPT,
        sessions_max: config.limits.sessions_per_user,
        without: &[],
    }
}

/// Host and port at which the other nodes reach this one; with TLS a URL.
pub(super) fn advertised(config: &Config, bound: SocketAddr) -> String {
    let own = || match config.tls() {
        Some(_) => format!("https://{bound}"),
        None => bound.to_string(),
    };
    config.cluster.advertise.clone().unwrap_or_else(own)
}

/// The name that was configured, else that of the host.
fn node_name(config: &Config) -> String {
    if let Some(name) = &config.node_name {
        return name.clone();
    }
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "node".into() } else { name }
}

/// A random number.
pub(super) fn random() -> std::io::Result<u64> {
    let mut number = [0; 8];
    getrandom::fill(&mut number)?;
    Ok(u64::from_le_bytes(number))
}

/// Starts the engine, and waits until it knows all that the cluster knows. If `stop` comes first: none.
pub(super) async fn start_engine(
    engine: &Arc<Engine>,
    startup: Startup,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<Option<Running>> {
    let running = engine.launch(startup).await.context("can't start a thread")?;
    let joined = async {
        loop {
            match tokio::time::timeout(SAY_EVERY, engine.joined()).await {
                Ok(joined) => return joined,
                Err(_) => tracing::warn!(
                    "waiting for Redis: nothing is accepted before all users of the other nodes are known"
                ),
            }
        }
    };
    tokio::select! {
        joined = joined => {
            joined?;
            Ok(Some(running))
        }
        () = stop => {
            super::stop_engine(running).await;
            Ok(None)
        }
    }
}
