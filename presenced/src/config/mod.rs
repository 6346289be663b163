//! Configuration. What can be set stands once, in [`settings`]; where a value was typed (flag, environment, file) is found
//! in [`sources`]; what it means is [`Config`]. Nothing here opens a socket or makes a file.

pub(crate) mod limits;
mod print;
mod settings;
mod sources;
#[cfg(test)]
mod tests;
mod values;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::auth::Origin;
use limits::Limits;

/// What stops a start before anything was done: one line that names what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ConfigError(pub(crate) String);

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For collectors, one object a line.
    Json,
}

/// Everything that can be set, with what it means.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Where REST and WebSocket are served.
    pub(crate) listen: SocketAddr,
    /// Where `/metrics` is served, if not there.
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Where the daemon keeps its files.
    pub(crate) data_dir: PathBuf,
    /// The SQLite file, if not in the data directory.
    pub(crate) database: Option<PathBuf>,
    /// The internal secrets' file, if not in the data directory.
    pub(crate) secret_file: Option<PathBuf>,
    /// The key that verifies users' tokens, if not in the data directory.
    pub(crate) jwt_key: Option<PathBuf>,
    /// What a token's `iss` must be.
    pub(crate) jwt_issuer: Option<String>,
    /// What a token's `aud` must contain.
    pub(crate) jwt_audience: Option<String>,
    /// Peers whose bare `x-user-id` is believed; none named: loopback.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Browsers' pages that may call; none named: the bound address.
    pub(crate) allowed_origins: Vec<Origin>,
    /// Grace and idleness.
    pub(crate) timers: presence::Timers,
    /// How often silent connections are pinged.
    pub(crate) ping_interval: Duration,
    /// How long the answer may take.
    pub(crate) ping_timeout: Duration,
    /// What a client may use.
    pub(crate) limits: Limits,
    /// How log lines look.
    pub(crate) log_format: LogFormat,
    /// Which are written.
    pub(crate) log_level: tracing::Level,
    /// Whether to serve more than loopback without TLS or a named proxy.
    pub(crate) insecure: bool,
}

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Run with this.
    Run(Box<Config>),
    /// Print this on stdout and end well.
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
    let found = match sources::read(arguments, &environment)? {
        sources::Read::Values(found) => found,
        sources::Read::Help(text) => return Ok(Outcome::Print(text)),
    };
    let config = settings::apply(&found)?;
    config.check()?;
    if found.is_print_config {
        return Ok(Outcome::Print(print::print(&found)));
    }
    Ok(Outcome::Run(Box::new(config)))
}

impl Config {
    /// The SQLite file.
    pub(crate) fn database_path(&self) -> PathBuf {
        self.database
            .clone()
            .unwrap_or_else(|| self.data_dir.join("presence.db"))
    }

    /// Relations between values.
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
        let is_open = |address: SocketAddr| !address.ip().to_canonical().is_loopback();
        if is_open(self.listen) && self.trusted_proxies.is_empty() && !self.insecure {
            return fail(
                "--listen is not loopback: name the proxy in front with --trusted-proxy, or accept the risk with --insecure",
            );
        }
        if self.metrics_listen.is_some_and(is_open) && self.trusted_proxies.is_empty() && !self.insecure {
            return fail(
                "--metrics-listen is not loopback: name the proxy in front with --trusted-proxy, or accept the risk with --insecure",
            );
        }
        Ok(())
    }
}
