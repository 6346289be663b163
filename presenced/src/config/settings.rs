//! The table of all settings: each has its flag, environment variable, file key, default, help text, and the field it sets.
//! The help, the three sources and `--print-config` are derived from it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use presence::Rate;

use super::cluster::{self, ClusterSettings};
use super::sources::{RawSetting, RawSettings};
use super::tls::TlsSettings;
use super::values::{bytes, count, duration, nonzero_duration, size};
use super::{Config, ConfigError, Database, LogFormat};
use crate::auth::TrustedProxies;
use crate::limits::Limits;
use crate::postgres_url::PostgresUrl;
use crate::redis_url::RedisUrl;

/// The value of `trusted-proxy` that stands for its default.
const LOOPBACK: &str = "loopback";

/// The environment variable of `database-password-file`, which an import reads too.
pub(super) const PASSWORD_FILE_VARIABLE: &str = "PRESENCED_DATABASE_PASSWORD_FILE";

/// The settings that [`Config::reloaded`] takes over, beside the limits.
const RELOADED: [&str; 9] = [
    "tls-cert",
    "tls-key",
    "secret-file",
    "jwt-key",
    "jwt-issuer",
    "jwt-audience",
    "trusted-proxy",
    "allowed-origin",
    "log-level",
];

/// The names of all settings.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|setting| setting.name)
}

/// Whether a reload takes over the setting. Those of TLS only if the listeners speak it before and after.
pub(super) fn is_reloaded(name: &str, tls_stays: bool) -> bool {
    let is_limit = SETTINGS
        .iter()
        .any(|setting| setting.name == name && setting.heading == LIMIT);
    is_limit || RELOADED.contains(&name) && (tls_stays || !name.starts_with("tls-"))
}

/// Whether a setting has another value than its default. A file made by `--print-config` names the defaults too.
pub(super) fn is_changed(given: &BTreeMap<&'static str, Vec<String>>, name: &str) -> bool {
    let setting = SETTINGS.iter().find(|setting| setting.name == name);
    let default = setting.map_or("", |setting| setting.default);
    given.get(name).is_some_and(|texts| texts.as_slice() != [default])
}

/// How many values a setting has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    One,
    /// The values of all occurrences, as a list.
    Many,
    /// A flag without a value.
    Switch,
}

pub(super) struct Setting {
    /// The flag without its dashes, and the key in the file.
    pub(super) name: &'static str,
    /// The placeholder of the value in the help.
    pub(super) value: &'static str,
    /// The default as text; empty: none.
    pub(super) default: &'static str,
    /// The section of the help.
    pub(super) heading: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: Kind,
    /// Parses the texts and sets the field.
    set: fn(&mut Config, &[String]) -> Result<(), String>,
}

/// Builds a configuration from the given texts and the defaults.
pub(super) fn apply(raw: &RawSettings) -> Result<Config, ConfigError> {
    let mut config = blank();
    match &raw.home {
        Some(home) => config.data_dir.clone_from(home),
        None if raw.values.contains_key("data-dir") => {}
        None => {
            return Err(ConfigError(
                "no data directory: give --data-dir, or set XDG_STATE_HOME or HOME".into(),
            ));
        }
    }
    let texts = |given: &RawSetting| given.texts.clone();
    config.given = raw.values.iter().map(|(name, given)| (*name, texts(given))).collect();
    for setting in SETTINGS {
        match raw.values.get(setting.name) {
            Some(given) => (setting.set)(&mut config, &given.texts).map_err(|what| {
                let shown = |text| RedisUrl::shown(PostgresUrl::shown(text));
                let texts: Vec<&str> = given.texts.iter().map(|text| shown(text)).collect();
                let texts = texts.join(",");
                ConfigError(format!("--{} {texts:?} (from {}): {what}", setting.name, given.source))
            })?,
            None if !setting.default.is_empty() => (setting.set)(&mut config, &[setting.default.to_owned()])
                .map_err(|what| ConfigError(format!("the default of --{} is wrong: {what}", setting.name)))?,
            None => {}
        }
    }
    Ok(config)
}

/// A configuration for the table to fill.
fn blank() -> Config {
    Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        metrics_listen: None,
        tls: TlsSettings::default(),
        data_dir: PathBuf::new(),
        database: None,
        database_password_file: None,
        cluster: ClusterSettings::blank(),
        node_name: None,
        secret_file: None,
        jwt_keys: Vec::new(),
        jwt_issuer: None,
        jwt_audience: None,
        trusted_proxies: TrustedProxies::Loopback,
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
        demo: false,
        given: BTreeMap::new(),
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

fn paths(texts: &[String]) -> Result<Vec<PathBuf>, String> {
    let one = |text: &String| match text.is_empty() {
        true => Err("expected a path".into()),
        false => Ok(PathBuf::from(text)),
    };
    texts.iter().map(one).collect()
}

fn text(texts: &[String]) -> Result<Option<String>, String> {
    match only(texts)? {
        "" => Err("expected a value".into()),
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

pub(super) fn database(texts: &[String]) -> Result<Option<Database>, String> {
    let text = only(texts)?;
    if PostgresUrl::is_one(text) {
        return PostgresUrl::parse(text).map(|url| Some(Database::Postgres(Box::new(url))));
    }
    match text.strip_prefix("sqlite:") {
        Some(file) if !file.is_empty() => Ok(Some(Database::Sqlite(PathBuf::from(file)))),
        _ => Err("expected sqlite:FILE or postgres://[USER@]HOST[:PORT]/DATABASE".into()),
    }
}

fn proxies(texts: &[String]) -> Result<TrustedProxies, String> {
    if texts == [LOOPBACK] {
        return Ok(TrustedProxies::Loopback);
    }
    let one = |text: &String| {
        let net = text
            .parse()
            .or_else(|_| text.parse::<std::net::IpAddr>().map(ipnet::IpNet::from));
        net.map_err(|_| match text.as_str() {
            LOOPBACK => "loopback stands alone: name 127.0.0.0/8 and ::1 beside others".to_owned(),
            _ => format!("{text:?} is neither a network such as 10.0.0.0/8 nor an IP address"),
        })
    };
    // An empty text is how a flag or a variable names nobody.
    let named = texts.iter().filter(|text| !text.is_empty());
    named.map(one).collect::<Result<_, _>>().map(TrustedProxies::Named)
}

fn origins(texts: &[String]) -> Result<Vec<crate::auth::Origin>, String> {
    let one = |text: &String| {
        text.parse()
            .map_err(|_| format!("{text:?} is not an origin such as https://chat.example.org"))
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

const ADDRESS: &str = "Addresses and files";
const CLUSTER: &str = "Cluster";
const ACCESS: &str = "Authentication";
const TIME: &str = "Timers";
const LIMIT: &str = "Limits";
const LOG: &str = "Logging";

/// Every setting, in the order of the help.
#[rustfmt::skip]
pub(super) const SETTINGS: &[Setting] = &[
    row!(ADDRESS, One, "listen", "ADDR", "127.0.0.1:7420", "Address for REST and WebSocket; port 0 picks a free port", |c, t| c.listen = address(t)?),
    row!(ADDRESS, One, "metrics-listen", "ADDR", "", "Separate address for /metrics [default: the address of --listen]", |c, t| c.metrics_listen = Some(address(t)?)),
    row!(ADDRESS, One, "tls-cert", "FILE", "", "File with the daemon's certificate in PEM, followed by those that signed it: the listeners speak TLS alone", |c, t| c.tls.certificate = path(t)?),
    row!(ADDRESS, One, "tls-key", "FILE", "", "File with the private key of that certificate in PEM, which others must not be able to read", |c, t| c.tls.key = path(t)?),
    row!(ADDRESS, One, "data-dir", "DIR", "", "Directory of the daemon's files, used by one process at a time [default: $XDG_STATE_HOME/presenced, else ~/.local/state/presenced]", |c, t| c.data_dir = path(t)?.unwrap_or_default()),
    row!(ADDRESS, One, "database", "URL", "", "Database URL: sqlite:FILE, or postgres://USER@HOST/DATABASE without a password [default: sqlite:DATA_DIR/presence.db]", |c, t| c.database = database(t)?),
    row!(ADDRESS, One, "database-password-file", "FILE", "", "File with the password for a PostgreSQL database, read at each connection", |c, t| c.database_password_file = path(t)?),
    row!(CLUSTER, Many, "redis", "URL", "", "Redis that several nodes share, or where other services read who is present: redis://USER@HOST:PORT/DATABASE without a password, rediss:// for TLS, redis+unix:///PATH; several addresses are those of one Redis Cluster [default: none, the node is alone]", |c, t| c.cluster.redis = cluster::redis(t)?),
    row!(CLUSTER, One, "redis-password-file", "FILE", "", "File with the password for Redis, read at each connection", |c, t| c.cluster.password_file = path(t)?),
    row!(CLUSTER, One, "redis-ca-file", "FILE", "", "File with the certificates, in PEM, that may sign those of rediss:// servers [default: those that the system trusts]", |c, t| c.cluster.ca_file = path(t)?),
    row!(CLUSTER, One, "partitions", "N", "16", "Into how many partitions the users are split in Redis, 1 to 64; the same on all nodes, and fixed by the first start", |c, t| c.cluster.partitions = cluster::partitions(only(t)?)?),
    row!(CLUSTER, One, "node-name", "NAME", "", "Name of this node; no two of a cluster may have the same [default: the name of the host]", |c, t| c.node_name = Some(cluster::node_name(only(t)?)?)),
    row!(CLUSTER, One, "advertise", "URL", "", "Where the other nodes reach this one: http://HOST:PORT, or https:// with TLS [default: the bound address, which leads nowhere if --listen is 0.0.0.0, [::] or, from other machines, loopback]", |c, t| c.cluster.advertise = Some(cluster::advertise(only(t)?)?)),
    row!(CLUSTER, One, "lease", "TIME", "15s", "How long a node may be silent before the others declare it dead", |c, t| c.cluster.lease = cluster::lease(only(t)?)?),
    row!(CLUSTER, One, "node-grace", "TIME", "12s", "How long the sessions of a node that was declared dead still count", |c, t| c.cluster.node_grace = duration(only(t)?)?),
    row!(CLUSTER, One, "drain-rate", "N", "500", "Connections closed per second while clients move to other nodes: at a stop, and at presencectl drain", |c, t| c.cluster.drain_rate = cluster::drain_rate(only(t)?)?),
    row!(ACCESS, One, "secret-file", "FILE", "", "File with the internal secret; two lines are two valid secrets, for rotation [default: DATA_DIR/secret, created at the first start]", |c, t| c.secret_file = path(t)?),
    row!(ACCESS, Many, "jwt-key", "FILE", "", "Files with the keys that verify users' tokens: a PEM public key (RS256, ES256 or EdDSA, by the type of key), a JSON Web Key Set, or the text of an HS256 secret [default: DATA_DIR/jwt-key, created at the first start]", |c, t| c.jwt_keys = paths(t)?),
    row!(ACCESS, One, "jwt-issuer", "TEXT", "", "Required iss claim of users' tokens", |c, t| c.jwt_issuer = text(t)?),
    row!(ACCESS, One, "jwt-audience", "TEXT", "", "Required entry of the aud claim of users' tokens", |c, t| c.jwt_audience = text(t)?),
    row!(ACCESS, Many, "trusted-proxy", "CIDR", "loopback", "Proxies whose x-user-id and X-Forwarded-For headers are trusted; an empty value trusts nobody. loopback is this machine, unless a header shows that a proxy is in between", |c, t| c.trusted_proxies = proxies(t)?),
    row!(ACCESS, Many, "allowed-origin", "ORIGIN", "", "Origins of web pages that may open a WebSocket and use a user's REST calls [default: the bound address]", |c, t| c.allowed_origins = origins(t)?),
    row!(ACCESS, Switch, "insecure", "", "", "Listen on a non-loopback address without TLS and without --trusted-proxy", |c, t| c.insecure = switch(t)?),
    row!(ACCESS, Switch, "demo", "", "", "Serve a demonstration page at /demo, on which anybody on this machine can be any user; only on loopback, with the generated JWT key, on a node that is alone", |c, t| c.demo = switch(t)?),
    row!(TIME, One, "grace", "TIME", "5s", "How long a lost session still counts", |c, t| c.timers.grace = duration(only(t)?)?),
    row!(TIME, One, "restart-grace", "TIME", "30s", "How long sessions still count after a restart of the daemon", |c, t| c.timers.restart_grace = duration(only(t)?)?),
    row!(TIME, One, "idle-after", "TIME", "300s", "How long after its last report of activity a connection becomes idle", |c, t| c.timers.idle_after = nonzero_duration(only(t)?)?),
    row!(TIME, One, "ping-interval", "TIME", "25s", "How long a connection may be silent before it is pinged", |c, t| c.ping_interval = nonzero_duration(only(t)?)?),
    row!(TIME, One, "ping-timeout", "TIME", "10s", "How long a client may take to answer a ping", |c, t| c.ping_timeout = nonzero_duration(only(t)?)?),
    row!(LIMIT, One, "max-connections", "N", "", "Open connections of all kinds [default: 90 % of the limit on open files]", |c, t| c.limits.max_connections = Some(size(only(t)?)?)),
    row!(LIMIT, One, "kept-for-websockets", "N", "", "Connections that only WebSockets may take [default: an eighth of --max-connections]", |c, t| c.limits.kept_for_websockets = Some(size(only(t)?)?)),
    row!(LIMIT, One, "connections-per-address", "N", "", "Open connections of one client address [default: a quarter of --max-connections]", |c, t| c.limits.connections_per_address = Some(size(only(t)?)?)),
    row!(LIMIT, One, "unauthenticated-connections", "N", "", "Open connections on which nobody authenticated; beyond, the oldest is closed [default: a quarter of --max-connections]", |c, t| c.limits.unauthenticated_connections = Some(size(only(t)?)?)),
    row!(LIMIT, One, "max-message", "BYTES", "16KiB", "Longest WebSocket message from a client", |c, t| c.limits.message_bytes = bytes(only(t)?)?),
    row!(LIMIT, One, "max-body", "BYTES", "64KiB", "Longest body of a REST request", |c, t| c.limits.body_bytes = bytes(only(t)?)?),
    row!(LIMIT, One, "max-query-body", "BYTES", "1MiB", "Longest body of POST /api/presence/query", |c, t| c.limits.query_bytes = bytes(only(t)?)?),
    row!(LIMIT, One, "handshake-timeout", "TIME", "5s", "How long a client may take to send a request head, from its first byte", |c, t| c.limits.handshake_timeout = nonzero_duration(only(t)?)?),
    row!(LIMIT, One, "http-idle-timeout", "TIME", "5s", "How long an HTTP connection may be idle between two requests", |c, t| c.limits.http_idle_timeout = nonzero_duration(only(t)?)?),
    row!(LIMIT, One, "message-timeout", "TIME", "10s", "How long a message or body may stay unfinished", |c, t| c.limits.message_timeout = nonzero_duration(only(t)?)?),
    row!(LIMIT, One, "write-timeout", "TIME", "30s", "How long a client may acknowledge nothing of what it was sent before the connection is closed", |c, t| c.limits.write_timeout = nonzero_duration(only(t)?)?),
    row!(LIMIT, One, "sessions-per-user", "N", "32", "WebSocket connections of one user", |c, t| c.limits.sessions_per_user = size(only(t)?)?),
    row!(LIMIT, One, "reports-per-user", "N", "32", "Reported sessions of one user", |c, t| c.limits.reports_per_user = size(only(t)?)?),
    row!(LIMIT, One, "watched-per-connection", "N", "5000", "Users that one connection may watch", |c, t| c.limits.watched_per_connection = size(only(t)?)?),
    row!(LIMIT, One, "watched-per-user", "N", "40000", "Users that all connections of one user may watch", |c, t| c.limits.watched_per_user = size(only(t)?)?),
    row!(LIMIT, One, "choices-per-10s", "N", "20", "Custom statuses that one user sets, and changes that it publishes, in ten seconds", |c, t| both(&mut c.limits.custom_statuses, t)?),
    row!(LIMIT, One, "lookups-per-second", "N", "5000", "User ids that one user may watch, query or read per second", |c, t| amount(&mut c.limits.lookups, t)?),
    row!(LIMIT, One, "lookups-burst", "N", "20000", "User ids that one user may watch, query or read in one burst", |c, t| burst(&mut c.limits.lookups, t)?),
    row!(LIMIT, One, "messages-per-second", "N", "30", "Messages per second of one connection", |c, t| amount(&mut c.limits.messages, t)?),
    row!(LIMIT, One, "messages-burst", "N", "100", "Messages of one connection in one burst", |c, t| burst(&mut c.limits.messages, t)?),
    row!(LIMIT, One, "bytes-per-second", "BYTES", "64KiB", "Bytes per second of one connection", |c, t| c.limits.bytes.amount = bytes(only(t)?)? as u64),
    row!(LIMIT, One, "bytes-burst", "BYTES", "1MiB", "Bytes of one connection in one burst", |c, t| c.limits.bytes.burst = bytes(only(t)?)? as u64),
    row!(LIMIT, One, "bad-messages-per-minute", "N", "10", "Malformed messages per minute of one connection", |c, t| both(&mut c.limits.bad_messages, t)?),
    row!(LIMIT, One, "handshakes-per-second", "N", "50", "Handshakes per second of one client address", |c, t| amount(&mut c.limits.handshakes, t)?),
    row!(LIMIT, One, "handshakes-burst", "N", "200", "Handshakes of one client address in one burst", |c, t| burst(&mut c.limits.handshakes, t)?),
    row!(LIMIT, One, "failed-logins-per-minute", "N", "10", "Failed logins per minute of one client address", |c, t| both(&mut c.limits.failed_logins, t)?),
    row!(LOG, One, "log-format", "FORMAT", "text", "Format of the log on stderr: text or json", |c, t| c.log_format = format(t)?),
    row!(LOG, One, "log-level", "LEVEL", "info", "Lowest level that is logged: error, warn, info, debug or trace", |c, t| c.log_level = level(t)?),
];
