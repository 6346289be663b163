//! The settings of a node that shares its users with others through Redis.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::ConfigError;
use crate::auth::{Host, Origin};
use crate::redis_url::{RedisTransport, RedisUrl};

/// The most partitions: each costs a node two connections to Redis.
pub(super) const PARTITIONS_MAX: u16 = 64;
/// A tick is written every fifth of a lease: more often than five times a second they would cost more than the users' changes.
const LEASE_MIN: Duration = Duration::from_secs(1);
/// Users of a dead node are shown as present for so long.
const LEASE_MAX: Duration = Duration::from_secs(300);
/// More than that is all at once.
const DRAIN_RATE_MAX: NonZeroU32 = NonZeroU32::MIN.saturating_add(99_999);
/// The settings without effect on a node that is alone.
const OF_SEVERAL_NODES: [&str; 7] = [
    "redis-password-file",
    "redis-ca-file",
    "partitions",
    "advertise",
    "lease",
    "node-grace",
    "drain-rate",
];
/// The longest name of a node, in bytes: that of a host name.
const NODE_NAME_MAX: usize = 255;

/// What makes a node one of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClusterSettings {
    /// The servers of Redis; none: the node is alone.
    pub(crate) redis: Vec<RedisUrl>,
    /// The file with the password for Redis.
    pub(crate) password_file: Option<PathBuf>,
    /// Certificates in PEM that a server's may be signed with, if not those that the system trusts.
    pub(crate) ca_file: Option<PathBuf>,
    /// Host and port at which the other nodes reach this one, if not the bound address.
    pub(crate) advertise: Option<String>,
    /// Into how many partitions the users are split.
    pub(crate) partitions: u16,
    /// For how long a node may be silent.
    pub(crate) lease: Duration,
    /// For how long the sessions of a dead node count.
    pub(crate) node_grace: Duration,
    /// Connections closed per second while clients move to other nodes.
    pub(crate) drain_rate: NonZeroU32,
}

impl ClusterSettings {
    /// A value for the table of settings to fill.
    pub(super) const fn blank() -> Self {
        Self {
            redis: Vec::new(),
            password_file: None,
            ca_file: None,
            advertise: None,
            partitions: 0,
            lease: Duration::ZERO,
            node_grace: Duration::ZERO,
            drain_rate: NonZeroU32::MIN,
        }
    }

    /// Checks the relations between values. `is_changed` tells whether a setting has another value than its default.
    pub(super) fn check(&self, is_changed: impl Fn(&str) -> bool) -> Result<(), ConfigError> {
        let fail = |text: &str| Err(ConfigError(text.into()));
        let Some(first) = self.redis.first() else {
            return match OF_SEVERAL_NODES.into_iter().find(|name| is_changed(name)) {
                Some(name) => fail(&format!(
                    "--{name} is of no use without --redis: this node would be alone"
                )),
                None => Ok(()),
            };
        };
        if first.user.is_some() && self.password_file.is_none() {
            return fail("a user in the address of --redis needs a password: name its file with --redis-password-file");
        }
        if self.ca_file.is_some() && first.transport != RedisTransport::Tls {
            return fail("--redis-ca-file is of no use without TLS: begin the address of --redis with rediss://");
        }
        let way = |url: &RedisUrl| (url.user.clone(), url.database, url.transport);
        if self.redis.iter().any(|url| way(url) != way(first)) {
            return fail(
                "the addresses of --redis must have the same scheme, user and database: they are those of one Redis Cluster",
            );
        }
        if self.redis.len() > 1 && first.database != 0 {
            return fail("a Redis Cluster has the database 0 alone: leave the number out of --redis");
        }
        Ok(())
    }
}

/// The servers of Redis.
pub(super) fn redis(texts: &[String]) -> Result<Vec<RedisUrl>, String> {
    // An empty text is how a flag or a variable names none.
    let named = texts.iter().filter(|text| !text.is_empty());
    named.map(|text| RedisUrl::parse(text)).collect()
}

/// Host and port at which other nodes reach this one, of a URL; with its scheme if that is `https`.
pub(super) fn advertise(text: &str) -> Result<String, String> {
    let expected = || "expected http://HOST:PORT, where the other nodes reach this one".to_owned();
    let origin: Origin = text.strip_suffix('/').unwrap_or(text).parse().map_err(|_| expected())?;
    let Origin::Of { scheme, host, port } = origin else {
        return Err(expected());
    };
    match (scheme.as_str(), host, port) {
        (_, Host::Address(address), _) if address.is_unspecified() => Err(format!(
            "no node is reached at {address}: name an address of this machine that the others reach"
        )),
        ("http", host, Some(port @ 1..)) => Ok(format!("{host}:{port}")),
        ("https", host, Some(port @ 1..)) => Ok(format!("https://{host}:{port}")),
        _ => Err(expected()),
    }
}

/// A number of partitions.
pub(super) fn partitions(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(number @ 1..=PARTITIONS_MAX) => Ok(number),
        _ => Err(format!("expected a whole number from 1 to {PARTITIONS_MAX}")),
    }
}

/// The duration of a lease.
pub(super) fn lease(text: &str) -> Result<Duration, String> {
    let lease = super::values::duration(text)?;
    match (LEASE_MIN..=LEASE_MAX).contains(&lease) {
        true => Ok(lease),
        false => Err("must be from 1s to 300s".into()),
    }
}

/// A number of connections per second.
pub(super) fn drain_rate(text: &str) -> Result<NonZeroU32, String> {
    match text.parse() {
        Ok(rate) if rate <= DRAIN_RATE_MAX => Ok(rate),
        _ => Err(format!("expected a whole number from 1 to {DRAIN_RATE_MAX}")),
    }
}

/// The name of a node.
pub(super) fn node_name(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty() && text.len() <= NODE_NAME_MAX && !text.chars().any(char::is_control);
    match is_name && text.trim() == text {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "expected 1 to {NODE_NAME_MAX} bytes without control characters and without white space at the ends"
        )),
    }
}
