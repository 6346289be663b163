//! How a daemon under test is started: its flags, what it listens on, and the servers that it shares.

use std::ffi::OsString;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use super::{Daemon, StartFailure};
use crate::binaries;
use crate::catch_up::Followers;
use crate::ports::free_port;
use crate::postgres_server::PostgresServer;
use crate::redis_cluster::RedisCluster;
use crate::redis_server::RedisServer;
use crate::topology::Topology;

/// The names of the nodes of one daemon, where it is several.
pub(super) const NODES: [&str; 3] = ["a", "b", "c"];
/// The partitions of several nodes: more than one, and few enough for many tests at a time.
pub(super) const PARTITIONS: usize = 4;

/// The configuration of a daemon under test.
#[derive(Debug, Clone)]
pub struct Setup {
    program: PathBuf,
    flags: Vec<String>,
    environment: Vec<(&'static str, OsString)>,
    pub(super) listen: String,
    pub(super) log: LogTarget,
}

/// The destination of a daemon's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogTarget {
    /// Collected, and printed when the test fails.
    Kept,
    /// A pipe that is never read.
    NeverRead,
    /// A pipe whose reading end is closed.
    Closed,
}

impl Setup {
    /// Uses these flags beside those of the fixture.
    pub fn new(flags: &[&str]) -> Self {
        Self {
            program: binaries::presenced().to_owned(),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            environment: Vec::new(),
            listen: "127.0.0.1:0".to_owned(),
            log: LogTarget::Kept,
        }
    }

    /// Listens on a port that stays the same over restarts.
    pub fn on_fixed_port(mut self) -> Self {
        self.listen = format!("127.0.0.1:{}", free_port());
        self
    }

    /// Listens on this address.
    pub fn listening_on(mut self, address: &str) -> Self {
        self.listen = address.to_owned();
        self
    }

    /// Sets a variable of the environment.
    pub fn with_variable(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// Sends the log elsewhere.
    pub fn logging_to(mut self, log: LogTarget) -> Self {
        self.log = log;
        self
    }

    /// Starts another program than the default build.
    pub fn program(mut self, program: &Path) -> Self {
        self.program = program.to_owned();
        self
    }

    /// Starts the daemon on a new data directory.
    pub async fn start(self) -> Daemon {
        self.start_in(Arc::new(new_home())).await
    }

    /// Starts the daemon on the data directory in `home`.
    pub async fn start_in(self, home: Arc<TempDir>) -> Daemon {
        let mut daemon = self.daemon(home);
        daemon.start_again().await;
        daemon
    }

    /// A daemon that was not started yet.
    pub(super) fn daemon(self, home: Arc<TempDir>) -> Daemon {
        Daemon {
            setup: self,
            home,
            running: None,
            log: Arc::default(),
        }
    }

    /// Starts the daemon on a new data directory.
    ///
    /// # Errors
    /// The output of a daemon that exited instead of listening.
    pub async fn try_start(self) -> Result<Daemon, StartFailure> {
        let mut daemon = self.daemon(Arc::new(new_home()));
        daemon.try_start_again().await.map(|()| daemon)
    }

    /// Whether the tests are run on PostgreSQL, and no flag of this daemon names another database.
    pub(super) fn is_on_postgres(&self) -> bool {
        let is_wanted = is_postgres_named() || self.topology().nodes() > 1;
        is_wanted && !self.flags.iter().any(|flag| flag.starts_with("--database"))
    }

    /// What it is: as the tests are run, unless a flag of this daemon names a cluster, or one node of several.
    pub(super) fn topology(&self) -> Topology {
        let names = |name: &str| self.flags.iter().any(|flag| flag.starts_with(name));
        let wanted = Topology::wanted();
        match names("--redis") || (names("--node-name") && wanted.nodes() > 1) {
            true => Topology::Alone,
            false => wanted,
        }
    }

    /// Whether it shares its users through Redis.
    pub(super) fn is_in_cluster(&self) -> bool {
        self.topology() != Topology::Alone || self.flags.iter().any(|flag| flag.starts_with("--redis"))
    }

    /// The connections to the log of several nodes with this home.
    pub(super) fn followers(&self, home: &Path) -> Followers {
        let (sockets, database) = match self.topology() {
            Topology::RedisCluster => {
                let cluster = RedisCluster::of(home);
                let sockets = cluster.servers().iter().map(RedisServer::socket_path);
                (sockets.collect(), 0)
            }
            Topology::Alone | Topology::OneNode | Topology::ThreeNodes => {
                let redis = RedisServer::shared();
                (vec![redis.socket_path()], redis.database_of(home))
            }
        };
        Followers {
            sockets,
            database,
            count: NODES.len() * PARTITIONS,
        }
    }

    /// The command that starts the node with this number.
    pub(super) fn command(&self, home: &Path, number: usize) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home)
            .envs(self.environment.iter().cloned());
        let is_alone = self.topology().nodes() == 1;
        command
            .arg("--listen")
            .arg(if is_alone { &self.listen } else { "127.0.0.1:0" })
            .arg("--data-dir")
            .arg(state_of(home, number))
            .args(&self.flags);
        if self.is_on_postgres() {
            command.args(["--database", &PostgresServer::shared().url_of(home)]);
        }
        match self.topology() {
            Topology::Alone => {}
            Topology::OneNode | Topology::ThreeNodes => {
                command.args(["--redis", &RedisServer::shared().url_of(home)]);
            }
            Topology::RedisCluster => {
                command.args(RedisCluster::of(home).flags());
            }
        }
        if !is_alone {
            command.args(["--node-name", NODES[number], "--partitions", &PARTITIONS.to_string()]);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .current_dir(home);
        command
    }
}

fn is_postgres_named() -> bool {
    std::env::var_os("PRESENCE_TEST_STORE").is_some_and(|store| store == "postgres")
}

/// The data directory of the node with this number.
pub(super) fn state_of(home: &Path, number: usize) -> PathBuf {
    match number {
        0 => home.join("state"),
        number => home.join(format!("state-{}", NODES[number])),
    }
}

/// A new directory that holds a data directory.
pub(super) fn new_home() -> TempDir {
    tempfile::Builder::new().prefix("presence-test-").tempdir().unwrap()
}

/// The same with an internal secret, which the first start does not make then.
pub(crate) fn home_with_secret(secret: &str) -> TempDir {
    let home = new_home();
    let state = state_of(home.path(), 0);
    DirBuilder::new().mode(0o700).create(&state).unwrap();
    // The nodes of a cluster accept the same tokens of users too.
    for name in ["secret", "jwt-key"] {
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(state.join(name));
        writeln!(file.unwrap(), "{name}-{secret}").unwrap();
    }
    home
}
