//! Configuration. [`settings`] is the one table of settings, [`sources`] reads flags, environment and file, [`Config`] is the
//! parsed result. Nothing here opens a socket or creates a file.

mod cluster;
mod demo;
mod documents;
mod import;
mod print;
mod settings;
mod sources;
mod suggestion;
#[cfg(test)]
mod tests;
mod tls;
mod values;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::auth::{Origin, TrustedProxies};
use crate::limits::Limits;
use crate::postgres_url::PostgresUrl;
pub(crate) use cluster::ClusterSettings;
pub(crate) use import::ImportCommand;
use tls::TlsSettings;

/// An invalid configuration: one line that names what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ConfigError(pub(crate) String);

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum LogFormat {
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Where what must last is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Database {
    /// This file of SQLite.
    Sqlite(PathBuf),
    /// A database of a PostgreSQL server.
    Postgres(Box<PostgresUrl>),
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(file) => write!(f, "sqlite:{}", file.display()),
            Self::Postgres(url) => url.fmt(f),
        }
    }
}

/// The parsed configuration.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Address of REST and WebSocket.
    pub(crate) listen: SocketAddr,
    /// Address of `/metrics`, if not `listen`.
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// What the listeners serve TLS with.
    tls: TlsSettings,
    /// Directory of the daemon's files.
    pub(crate) data_dir: PathBuf,
    /// The database, if not the SQLite file in the data directory.
    pub(crate) database: Option<Database>,
    /// The file with the password for a PostgreSQL database.
    pub(crate) database_password_file: Option<PathBuf>,
    /// How the node shares its users with others.
    pub(crate) cluster: ClusterSettings,
    /// The node's name, if not that of the host.
    pub(crate) node_name: Option<String>,
    /// The internal secrets' file, if not in the data directory.
    pub(crate) secret_file: Option<PathBuf>,
    /// The files with the keys that verify users' tokens; none: the one in the data directory.
    pub(crate) jwt_keys: Vec<PathBuf>,
    /// Required `iss` of tokens.
    pub(crate) jwt_issuer: Option<String>,
    /// Required entry of the `aud` of tokens.
    pub(crate) jwt_audience: Option<String>,
    /// Proxies whose bare `x-user-id` is trusted.
    pub(crate) trusted_proxies: TrustedProxies,
    /// Origins of web pages that may call; none: the bound address.
    pub(crate) allowed_origins: Vec<Origin>,
    /// Grace periods and idleness.
    pub(crate) timers: presence::Timers,
    /// How long a connection may be silent before it is pinged.
    pub(crate) ping_interval: Duration,
    /// How long a client may take to answer a ping.
    pub(crate) ping_timeout: Duration,
    pub(crate) limits: Limits,
    pub(crate) log_format: LogFormat,
    /// The lowest level that is logged.
    pub(crate) log_level: tracing::Level,
    /// Allows addresses other than loopback without TLS or a trusted proxy.
    pub(crate) insecure: bool,
    /// Serves the demonstration page, on which anybody can be any user.
    pub(crate) demo: bool,
    /// The texts of the settings that were given, to tell on a reload which of them differ.
    given: BTreeMap<&'static str, Vec<String>>,
}

/// The settings of a reload that differ from those in effect.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct DifferentSettings {
    pub(crate) taken_over: Vec<&'static str>,
    /// Those that only a restart takes over.
    pub(crate) restart_needed: Vec<&'static str>,
}

/// What the command line requests.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Run the daemon.
    Run(Box<Config>),
    /// Copy a database into another one.
    Import(ImportCommand),
    /// Print this on stdout and exit with success.
    Print(String),
}

/// Reads the command line, the environment and the file that they name.
///
/// # Errors
/// One line that names the key, the value or the relation that is wrong.
pub(crate) fn load(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Outcome, ConfigError> {
    let environment: Vec<(OsString, OsString)> = environment.into_iter().collect();
    let raw = match sources::read(arguments, &environment)? {
        sources::CommandLine::Values(raw) => raw,
        sources::CommandLine::Import(command) => return Ok(Outcome::Import(command)),
        sources::CommandLine::Text(text) => return Ok(Outcome::Print(text)),
    };
    let config = settings::apply(&raw)?;
    config.check()?;
    if raw.is_print_config {
        return Ok(Outcome::Print(print::print(&raw)));
    }
    Ok(Outcome::Run(Box::new(config)))
}

impl Config {
    /// The database that holds: the one given, else the file in the data directory.
    pub(crate) fn database(&self) -> Database {
        let own = || Database::Sqlite(self.data_dir.join("presence.db"));
        self.database.clone().unwrap_or_else(own)
    }

    /// This configuration with what a running daemon can take over of `new`, and the names of the settings that differ.
    ///
    /// # Errors
    /// The two together contradict each other.
    pub(crate) fn reloaded(&self, new: Self) -> Result<(Self, DifferentSettings), ConfigError> {
        let differs = |name: &&'static str| self.given.get(name) != new.given.get(name);
        let tls_stays = self.tls().is_some() == new.tls().is_some();
        let (taken_over, restart_needed) = settings::names()
            .filter(differs)
            .partition(|name| settings::is_reloaded(name, tls_stays));
        let different = DifferentSettings {
            taken_over,
            restart_needed,
        };
        let mut given = self.given.clone();
        for name in &different.taken_over {
            match new.given.get(name) {
                Some(texts) => drop(given.insert(name, texts.clone())),
                None => drop(given.remove(name)),
            }
        }
        let reloaded = Self {
            given,
            tls: if tls_stays { new.tls } else { self.tls.clone() },
            secret_file: new.secret_file,
            jwt_keys: new.jwt_keys,
            jwt_issuer: new.jwt_issuer,
            jwt_audience: new.jwt_audience,
            trusted_proxies: new.trusted_proxies,
            allowed_origins: new.allowed_origins,
            limits: new.limits,
            log_level: new.log_level,
            ..self.clone()
        };
        reloaded.check()?;
        Ok((reloaded, different))
    }

    /// The listeners without TLS that others than this machine may reach: flag and address.
    pub(crate) fn exposed_listeners(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        let listeners = [
            ("--listen", Some(self.listen)),
            ("--metrics-listen", self.metrics_listen),
        ];
        let addresses = listeners
            .into_iter()
            .filter_map(|(flag, address)| Some((flag, address?)));
        let is_encrypted = self.tls().is_some();
        addresses.filter(move |(_, address)| !is_encrypted && !address.ip().to_canonical().is_loopback())
    }

    /// Checks the relations between values.
    fn check(&self) -> Result<(), ConfigError> {
        let fail = |text: &str| Err(ConfigError(text.into()));
        if self.ping_timeout >= self.ping_interval {
            return fail("--ping-timeout must be shorter than --ping-interval");
        }
        if self.timers.grace > self.timers.restart_grace {
            return fail("--grace must not be longer than --restart-grace");
        }
        if self.timers.idle_after <= self.ping_interval {
            return fail("--idle-after must be longer than --ping-interval");
        }
        if self.database_password_file.is_some() && !matches!(self.database, Some(Database::Postgres(_))) {
            return fail(
                "--database-password-file is of no use without a PostgreSQL database: name one with --database postgres://…",
            );
        }
        tls::check(&self.tls)?;
        demo::check(self)?;
        self.cluster.check(|name| settings::is_changed(&self.given, name))?;
        let may_be_open = self.trusted_proxies.has_named() || self.insecure;
        let open = self.exposed_listeners().find(|_| !may_be_open);
        if let Some((flag, _)) = open {
            return fail(&format!(
                "{flag} is not loopback: serve TLS with --tls-cert and --tls-key, name the proxy in front with --trusted-proxy, or \
                 accept the risk with --insecure"
            ));
        }
        Ok(())
    }
}
