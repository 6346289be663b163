//! What a node does before it takes part: it waits until Redis answers, and looks whether it can be used at all.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use presence::replication::NodeInfo;
use presence::wire::rest::RedisInfo;
use redis::{ConnectionAddr, ErrorKind, RedisError};
use tokio_rustls::rustls::Error as TlsError;

use super::link::LinkError;
use super::meta::{Difference, SharedFacts};
use super::rivals::OwnNode;
use super::server_info;
use super::servers::RedisServers;
use crate::clock::Stopwatch;
use crate::data_dir::DataDirError;

/// Between two attempts to reach Redis.
const TRY_EVERY: Duration = Duration::from_millis(500);
/// How often it is said that Redis is waited for.
const SAY_EVERY: Duration = Duration::from_secs(30);

/// Why a node can't use its Redis: waiting is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnusableRedis {
    #[error("--redis-password-file: {0}")]
    Password(DataDirError),
    /// The server does not let this node in, or the node can't ask it: what it said, and what helps.
    #[error("{error}: {advice}")]
    Refused { error: LinkError, advice: &'static str },
    #[error("Redis {version} is too old: 7.0 or newer is needed, or Valkey")]
    TooOld { version: String },
    /// The other nodes have something else in common.
    #[error(transparent)]
    Differs(#[from] Difference),
    /// A node with this name is alive.
    #[error(
        "another node with the name {name:?} is running, at {address} (version {version}): stop it, or give this one another --node-name"
    )]
    NameTaken {
        name: String,
        address: String,
        version: String,
    },
    /// Another node is alive, and the database is an SQLite file.
    #[error(
        "the node {name:?} is running, at {address} (version {version}), on a copy of this SQLite database: several nodes need one of PostgreSQL, see --database"
    )]
    NotAlone {
        name: String,
        address: String,
        version: String,
    },
}

/// How one attempt ended that found nothing to use.
enum Failed {
    /// It may be there later.
    Unavailable(LinkError),
    Unusable(UnusableRedis),
}

impl From<LinkError> for Failed {
    fn from(error: LinkError) -> Self {
        match (advice(&error), error) {
            (_, LinkError::Password(error)) => Self::Unusable(UnusableRedis::Password(error)),
            (Some(advice), error) => Self::Unusable(UnusableRedis::Refused { error, advice }),
            (None, error) => Self::Unavailable(error),
        }
    }
}

impl RedisServers {
    /// Waits until Redis answers and the other nodes agree, and says so in the log.
    ///
    /// # Errors
    /// It can't be used, or not by this node.
    pub(crate) async fn reach(&self, facts: &SharedFacts, own: OwnNode<'_>) -> Result<(), UnusableRedis> {
        let waiting = Stopwatch::start();
        let mut told = None;
        loop {
            let error = match self.try_reach(facts, own).await {
                Ok(()) => return Ok(()),
                Err(Failed::Unusable(error)) => return Err(error),
                Err(Failed::Unavailable(error)) => error,
            };
            let elapsed = waiting.elapsed();
            if told.is_none_or(|told| elapsed.saturating_sub(told) >= SAY_EVERY) {
                told = Some(elapsed);
                tracing::warn!(
                    redis = self.names(),
                    %error,
                    hint = self.tls_hint(&error),
                    waited_s = elapsed.as_secs(),
                    "waiting for Redis: nothing is accepted before it answers"
                );
            }
            tokio::time::sleep(TRY_EVERY).await;
        }
    }

    async fn try_reach(&self, facts: &SharedFacts, own: OwnNode<'_>) -> Result<(), Failed> {
        let info = self.server_info().await?;
        if info.is_too_old() {
            let version = info.redis_version;
            return Err(Failed::Unusable(UnusableRedis::TooOld { version }));
        }
        let agreed = self.agree(facts).await?;
        agreed.map_err(|difference| Failed::Unusable(difference.into()))?;
        if let Some(NodeInfo {
            name, address, version, ..
        }) = self.living_rival(own).await?
        {
            return Err(Failed::Unusable(match name == own.name {
                true => UnusableRedis::NameTaken { name, address, version },
                false => UnusableRedis::NotAlone { name, address, version },
            }));
        }
        tracing::info!(
            redis = self.names(),
            kind = info.kind,
            version = info.version,
            "reached Redis"
        );
        Ok(())
    }

    /// What an error may mean that looks as if the one side had TLS and the other none. A server without it waits for the end of
    /// a command, one with it drops a connection that begins with none.
    pub(super) fn tls_hint(&self, error: &LinkError) -> Option<&'static str> {
        let LinkError::Redis(error) = error else {
            return None;
        };
        let has_tls = |seed| matches!(seed, &ConnectionAddr::TcpTls { .. });
        match (
            self.seeds().any(has_tls),
            error.is_timeout(),
            error.is_connection_dropped(),
        ) {
            (true, true, _) => Some("if this port has no TLS, the address begins with redis://"),
            (false, _, true) if !error.is_connection_refusal() => {
                Some("if this port has TLS, the address begins with rediss://")
            }
            _ => None,
        }
    }

    async fn server_info(&self) -> Result<RedisInfo, LinkError> {
        let mut connection = self.connect_to_meta().await?;
        let info: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await?;
        Ok(server_info::of(&info, None))
    }
}

/// Whether the server's certificate is not one to take.
fn is_of_certificate(error: &RedisError) -> bool {
    // The library has it in a box of its own.
    let boxed = error
        .source()
        .and_then(|source| source.downcast_ref::<Arc<dyn Error + Send + Sync>>());
    let io = boxed.and_then(|boxed| boxed.downcast_ref::<io::Error>());
    let inner = io.and_then(io::Error::get_ref);
    let tls = inner.and_then(|inner| inner.downcast_ref::<TlsError>());
    matches!(tls, Some(TlsError::InvalidCertificate(_)))
}

/// What helps against an error that waiting does not help against.
fn advice(error: &LinkError) -> Option<&'static str> {
    let redis = match error {
        LinkError::NoCluster => return Some("name one server alone, or the masters of a Redis Cluster"),
        LinkError::Redis(redis) => redis,
        LinkError::Password(_) | LinkError::Moved(_) | LinkError::NoServer | LinkError::Unexpected(_) => return None,
    };
    if is_of_certificate(redis) {
        return Some("look at --redis-ca-file, and at the host in the address");
    }
    match (redis.kind(), redis.code()) {
        (ErrorKind::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS")) => {
            Some("look at the user of --redis and at --redis-password-file")
        }
        (ErrorKind::InvalidClientConfig, _) => Some("look at --redis and --redis-ca-file"),
        (_, Some("NOPERM")) => Some("the user needs all commands on the keys presence:*, and INFO, CLUSTER and SCRIPT"),
        (_, Some("ERR")) => Some("look at --redis: it must be a server of Redis 7.0 or newer"),
        _ => None,
    }
}
