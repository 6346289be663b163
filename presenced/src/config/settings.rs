//! Every setting, once: its flag, its variable, its key in the file, its default, its help, and what it sets. The help,
//! the three sources and `--print-config` are all made from this table.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use presence::Rate;

use super::limits::Limits;
use super::sources::Found;
use super::values::{bytes, count, duration, size, some_duration};
use super::{Config, ConfigError, LogFormat};

/// How a setting is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One value.
    One,
    /// A list.
    Many,
    /// On or off.
    Switch,
}

/// One setting.
pub(super) struct Setting {
    /// The flag without its dashes, and the key in the file.
    pub(super) name: &'static str,
    /// What stands for the value in the help.
    pub(super) value: &'static str,
    /// The default as it would be typed; empty: none.
    pub(super) default: &'static str,
    /// Under which heading of the help.
    pub(super) heading: &'static str,
    /// For the help.
    pub(super) help: &'static str,
    /// How it is given.
    pub(super) kind: Kind,
    /// Sets it.
    set: fn(&mut Config, &[String]) -> Result<(), String>,
}

/// Builds a configuration from what was typed and the defaults.
pub(super) fn apply(found: &Found) -> Result<Config, ConfigError> {
    let mut config = blank();
    match &found.home {
        Some(home) => config.data_dir.clone_from(home),
        None if found.values.contains_key("data-dir") => {}
        None => {
            return Err(ConfigError(
                "neither --data-dir nor XDG_STATE_HOME nor HOME says where to keep data".into(),
            ));
        }
    }
    for setting in SETTINGS {
        match found.values.get(setting.name) {
            Some(typed) => (setting.set)(&mut config, &typed.texts).map_err(|what| {
                let given = typed.texts.join(",");
                ConfigError(format!("--{} {given:?} (from {}): {what}", setting.name, typed.origin))
            })?,
            None if !setting.default.is_empty() => (setting.set)(&mut config, &[setting.default.to_owned()])
                .map_err(|what| ConfigError(format!("the default of --{} is wrong: {what}", setting.name)))?,
            None => {}
        }
    }
    Ok(config)
}

/// What the table fills.
fn blank() -> Config {
    Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        metrics_listen: None,
        data_dir: PathBuf::new(),
        database: None,
        secret_file: None,
        jwt_key: None,
        jwt_issuer: None,
        jwt_audience: None,
        trusted_proxies: Vec::new(),
        allowed_origins: Vec::new(),
        timers: presence::Timers {
            grace: Duration::ZERO,
            restart_grace: Duration::ZERO,
            idle_after: Duration::ZERO,
        },
        ping_interval: Duration::ZERO,
        ping_timeout: Duration::ZERO,
        limits: Limits::default(),
        log_format: LogFormat::Text,
        log_level: tracing::Level::INFO,
        insecure: false,
    }
}

fn only(texts: &[String]) -> Result<&str, String> {
    match texts {
        [text] => Ok(text),
        _ => Err("expected one value".into()),
    }
}

fn path(texts: &[String]) -> Result<Option<PathBuf>, String> {
    match only(texts)? {
        "" => Err("expected a path".into()),
        text => Ok(Some(PathBuf::from(text))),
    }
}

fn text(texts: &[String]) -> Result<Option<String>, String> {
    match only(texts)? {
        "" => Err("expected a text".into()),
        text => Ok(Some(text.to_owned())),
    }
}

fn address(texts: &[String]) -> Result<SocketAddr, String> {
    only(texts)?
        .parse()
        .map_err(|_| "expected an IP address and a port, such as 127.0.0.1:7420 or [::1]:0".into())
}

fn switch(texts: &[String]) -> Result<bool, String> {
    match only(texts)? {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("expected true or false".into()),
    }
}

fn database(texts: &[String]) -> Result<Option<PathBuf>, String> {
    match only(texts)?.strip_prefix("sqlite:") {
        Some(file) if !file.is_empty() => Ok(Some(PathBuf::from(file))),
        _ => Err("expected sqlite:FILE".into()),
    }
}

fn proxies(texts: &[String]) -> Result<Vec<ipnet::IpNet>, String> {
    let one = |text: &String| {
        let net = text
            .parse()
            .or_else(|_| text.parse::<std::net::IpAddr>().map(ipnet::IpNet::from));
        net.map_err(|_| format!("{text:?} is no network such as 10.0.0.0/8, and no address"))
    };
    texts.iter().map(one).collect()
}

fn origins(texts: &[String]) -> Result<Vec<crate::auth::Origin>, String> {
    let one = |text: &String| {
        text.parse()
            .map_err(|_| format!("{text:?} is no origin such as https://chat.example.org"))
    };
    texts.iter().map(one).collect()
}

fn level(texts: &[String]) -> Result<tracing::Level, String> {
    match only(texts)? {
        "error" => Ok(tracing::Level::ERROR),
        "warn" => Ok(tracing::Level::WARN),
        "info" => Ok(tracing::Level::INFO),
        "debug" => Ok(tracing::Level::DEBUG),
        "trace" => Ok(tracing::Level::TRACE),
        _ => Err("expected error, warn, info, debug or trace".into()),
    }
}

fn format(texts: &[String]) -> Result<LogFormat, String> {
    match only(texts)? {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("expected text or json".into()),
    }
}

fn amount(rate: &mut Rate, texts: &[String]) -> Result<(), String> {
    rate.amount = count(only(texts)?)?;
    Ok(())
}

fn burst(rate: &mut Rate, texts: &[String]) -> Result<(), String> {
    rate.burst = count(only(texts)?)?;
    Ok(())
}

fn both(rate: &mut Rate, texts: &[String]) -> Result<(), String> {
    amount(rate, texts)?;
    burst(rate, texts)
}

/// A row of the table: its field is set from a parsed value.
macro_rules! row {
    ($heading:expr, $kind:ident, $name:literal, $value:literal, $default:literal, $help:literal, |$config:ident, $texts:ident| $set:expr) => {
        Setting {
            name: $name,
            value: $value,
            default: $default,
            heading: $heading,
            help: $help,
            kind: Kind::$kind,
            set: |$config, $texts| {
                $set;
                Ok(())
            },
        }
    };
}

const PLACE: &str = "Where";
const ACCESS: &str = "Who may call";
const TIME: &str = "Timers";
const LIMIT: &str = "Limits";
const LOG: &str = "Logs";

/// Every setting, in the order of the help.
#[rustfmt::skip]
pub(super) const SETTINGS: &[Setting] = &[
    row!(PLACE, One, "listen", "ADDR", "127.0.0.1:7420", "Where REST and WebSocket are served; port 0 picks one", |c, t| c.listen = address(t)?),
    row!(PLACE, One, "metrics-listen", "ADDR", "", "Moves /metrics there", |c, t| c.metrics_listen = Some(address(t)?)),
    row!(PLACE, One, "data-dir", "DIR", "", "Where the daemon keeps its files, one process at a time [default: $XDG_STATE_HOME/presenced, else ~/.local/state/presenced]", |c, t| c.data_dir = path(t)?.unwrap_or_default()),
    row!(PLACE, One, "database", "URL", "", "The database, sqlite:FILE [default: sqlite:DATA_DIR/presence.db]", |c, t| c.database = database(t)?),
    row!(ACCESS, One, "secret-file", "FILE", "", "The internal secret; two lines are two valid ones, for rotation [default: DATA_DIR/secret, made at the first start]", |c, t| c.secret_file = path(t)?),
    row!(ACCESS, One, "jwt-key", "FILE", "", "Verifies users' tokens: a PEM public key (RS256, ES256 or EdDSA, as the key is), or the text of an HS256 secret [default: DATA_DIR/jwt-key, made at the first start]", |c, t| c.jwt_key = path(t)?),
    row!(ACCESS, One, "jwt-issuer", "TEXT", "", "What a token's iss must be", |c, t| c.jwt_issuer = text(t)?),
    row!(ACCESS, One, "jwt-audience", "TEXT", "", "What a token's aud must contain", |c, t| c.jwt_audience = text(t)?),
    row!(ACCESS, Many, "trusted-proxy", "CIDR", "", "Peers whose bare x-user-id and X-Forwarded-For are believed [default: loopback]", |c, t| c.trusted_proxies = proxies(t)?),
    row!(ACCESS, Many, "allowed-origin", "ORIGIN", "", "Pages that may open a WebSocket and call the user's REST calls [default: the bound address]", |c, t| c.allowed_origins = origins(t)?),
    row!(ACCESS, Switch, "insecure", "", "", "Serve more than loopback without TLS or a named proxy", |c, t| c.insecure = switch(t)?),
    row!(TIME, One, "grace", "TIME", "5s", "For how long lost sessions still count", |c, t| c.timers.grace = duration(only(t)?)?),
    row!(TIME, One, "restart-grace", "TIME", "30s", "For how long sessions still count after a restart", |c, t| c.timers.restart_grace = duration(only(t)?)?),
    row!(TIME, One, "idle-after", "TIME", "300s", "After how long without a report of activity a connection that made one is idle", |c, t| c.timers.idle_after = some_duration(only(t)?)?),
    row!(TIME, One, "ping-interval", "TIME", "25s", "After how long without a frame a connection is pinged", |c, t| c.ping_interval = some_duration(only(t)?)?),
    row!(TIME, One, "ping-timeout", "TIME", "10s", "How long the answer to a ping may take", |c, t| c.ping_timeout = some_duration(only(t)?)?),
    row!(LIMIT, One, "max-connections", "N", "", "Connections of all kinds [default: 90 % of the limit on open files]", |c, t| c.limits.max_connections = Some(size(only(t)?)?)),
    row!(LIMIT, One, "max-message", "BYTES", "16KiB", "Longest message of a client", |c, t| c.limits.message_bytes = bytes(only(t)?)?),
    row!(LIMIT, One, "max-body", "BYTES", "64KiB", "Longest body of a REST call", |c, t| c.limits.body_bytes = bytes(only(t)?)?),
    row!(LIMIT, One, "max-query-body", "BYTES", "256KiB", "Longest body of POST /api/presence/query", |c, t| c.limits.query_bytes = bytes(only(t)?)?),
    row!(LIMIT, One, "handshake-timeout", "TIME", "5s", "How long a client may take over its request head", |c, t| c.limits.handshake_timeout = some_duration(only(t)?)?),
    row!(LIMIT, One, "message-timeout", "TIME", "10s", "How long a message may stay unfinished", |c, t| c.limits.message_timeout = some_duration(only(t)?)?),
    row!(LIMIT, One, "write-timeout", "TIME", "30s", "How long a write may make no progress", |c, t| c.limits.write_timeout = some_duration(only(t)?)?),
    row!(LIMIT, One, "sessions-per-user", "N", "32", "Connections of one user", |c, t| c.limits.sessions_per_user = size(only(t)?)?),
    row!(LIMIT, One, "reports-per-user", "N", "32", "Reports of one user", |c, t| c.limits.reports_per_user = size(only(t)?)?),
    row!(LIMIT, One, "watched-per-connection", "N", "5000", "Users one connection may watch", |c, t| c.limits.watched_per_connection = size(only(t)?)?),
    row!(LIMIT, One, "choices-per-10s", "N", "20", "Choices of one user in ten seconds", |c, t| both(&mut c.limits.choices, t)?),
    row!(LIMIT, One, "messages-per-second", "N", "30", "Messages of one connection a second", |c, t| amount(&mut c.limits.messages, t)?),
    row!(LIMIT, One, "messages-burst", "N", "100", "Messages of one connection at once", |c, t| burst(&mut c.limits.messages, t)?),
    row!(LIMIT, One, "bytes-per-second", "BYTES", "64KiB", "Bytes of one connection a second", |c, t| c.limits.bytes.amount = bytes(only(t)?)? as u64),
    row!(LIMIT, One, "bytes-burst", "BYTES", "1MiB", "Bytes of one connection at once", |c, t| c.limits.bytes.burst = bytes(only(t)?)? as u64),
    row!(LIMIT, One, "bad-messages-per-minute", "N", "10", "Messages of one connection that are refused as malformed", |c, t| both(&mut c.limits.bad_messages, t)?),
    row!(LIMIT, One, "handshakes-per-second", "N", "50", "Handshakes of one client address a second", |c, t| amount(&mut c.limits.handshakes, t)?),
    row!(LIMIT, One, "handshakes-burst", "N", "200", "Handshakes of one client address at once", |c, t| burst(&mut c.limits.handshakes, t)?),
    row!(LIMIT, One, "failed-logins-per-minute", "N", "10", "Failed logins of one client address a minute", |c, t| both(&mut c.limits.failed_logins, t)?),
    row!(LOG, One, "log-format", "FORMAT", "text", "text or json, to stderr", |c, t| c.log_format = format(t)?),
    row!(LOG, One, "log-level", "LEVEL", "info", "error, warn, info, debug or trace", |c, t| c.log_level = level(t)?),
];
