//! A look at each server of Redis every few seconds, for operators: whether it answers, and whether it is set up so that the
//! cluster can rely on it. Nothing that the node does follows from that.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use presence::wire::rest::RedisStats;
use redis::aio::MultiplexedConnection;
use redis::{ConnectionAddr, FromRedisValue, RedisError, Value};

use super::link::{CONNECTS_WITHIN, LinkError};
use super::server_info;
use super::servers::RedisServers;
use crate::clock::Stopwatch;
use crate::redis_url;

/// Between two looks. Who reads them asks every second or two.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// After so many looks, a minute, the servers are tried without credentials again: a server that lets such a client connect and do
/// nothing notes each one (`ACL LOG`).
const LOOKS_PER_TRIAL: u64 = 12;

impl RedisServers {
    /// Looks at the servers for ever; may be dropped at any time.
    pub(crate) async fn keep_looking(&self) {
        loop {
            self.look().await;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The servers at the last look; none before the first.
    pub(crate) fn seen(&self) -> Vec<RedisStats> {
        self.seen.lock().clone()
    }

    /// Looks at all servers now.
    pub(super) async fn look(&self) {
        let is_trial = self
            .looks
            .fetch_add(1, Ordering::Relaxed)
            .is_multiple_of(LOOKS_PER_TRIAL);
        let seen = match self.masters().await {
            Ok(masters) => join_all(masters.into_iter().map(|place| self.look_at(place, is_trial))).await,
            Err(error) => self.all_lost(&error),
        };
        self.note(seen);
    }

    /// None of the servers answers: what was known of them is shown as that.
    fn all_lost(&self, error: &LinkError) -> Vec<RedisStats> {
        let known = self.seen();
        let lost = match known.is_empty() {
            true => self.seeds().map(blank).collect(),
            false => known,
        };
        lost.into_iter()
            .map(|server| RedisStats {
                reachable: false,
                error: Some(error.to_string()),
                ..server
            })
            .collect()
    }

    /// Logs what an operator must do something about, once.
    fn note(&self, seen: Vec<RedisStats>) {
        let before = std::mem::replace(&mut *self.seen.lock(), seen.clone());
        let evicts = |server: &&RedisStats| server.info.as_ref().is_some_and(|info| info.evicts());
        for server in seen.iter().filter(evicts) {
            let is_known = before
                .iter()
                .filter(evicts)
                .any(|known| known.address == server.address);
            if !is_known {
                let policy = server.info.as_ref().map(|info| info.eviction_policy.as_str());
                tracing::warn!(
                    redis = server.address,
                    policy,
                    "this Redis removes keys when its memory is full, and with them all users of a partition: set \
                     maxmemory-policy to noeviction"
                );
            }
        }
    }

    /// Looks at the server there; at the only one without a place.
    async fn look_at(&self, place: Option<ConnectionAddr>, is_trial: bool) -> RedisStats {
        let Some(addr) = place.clone().or_else(|| self.seeds().next().cloned()) else {
            return RedisStats {
                error: Some(LinkError::NoServer.to_string()),
                ..blank(&ConnectionAddr::Tcp(String::new(), 0))
            };
        };
        let before = self
            .seen()
            .into_iter()
            .find(|known| known.address == redis_url::server_name(&addr));
        let public = is_public(&addr).await;
        let known = before.as_ref().filter(|known| known.public == public && !is_trial);
        let stats = RedisStats {
            public,
            needs_password: known.and_then(|known| known.needs_password),
            info: before.and_then(|before| before.info),
            ..blank(&addr)
        };
        match self.ask_all(place, stats.clone()).await {
            Ok(stats) => RedisStats {
                reachable: true,
                ..stats
            },
            Err(error) => RedisStats {
                error: Some(error.to_string()),
                ..stats
            },
        }
    }

    async fn ask_all(&self, place: Option<ConnectionAddr>, mut stats: RedisStats) -> Result<RedisStats, LinkError> {
        let client = self.client_at(place.clone())?;
        let asking = Stopwatch::start();
        let mut connection = self.connect(&client).await?;
        let info: Option<String> = ask(&mut connection, &["INFO"], &mut stats.denied).await?;
        stats.answer_seconds = asking.elapsed().as_secs_f64();
        let save: Option<Vec<String>> = ask(&mut connection, &["CONFIG", "GET", "save"], &mut stats.denied).await?;
        let saves = save.as_ref().and_then(|pair| pair.get(1));
        if let Some(info) = info {
            stats.info = Some(server_info::of(&info, saves.map(String::as_str)));
        }
        let settings = client.get_connection_info().redis_settings();
        let names_nobody = settings.username().is_none() && settings.password().is_none();
        if names_nobody {
            stats.needs_password = Some(false);
        } else if stats.needs_password.is_none() {
            stats.needs_password = self.keeps_strangers_out(place).await;
        }
        Ok(stats)
    }

    /// Whether the server does nothing for a client that names no user and no password; none if that can't be told.
    async fn keeps_strangers_out(&self, place: Option<ConnectionAddr>) -> Option<bool> {
        let tried = async {
            let mut connection = self.connect(&self.stranger_at(place)?).await?;
            redis::cmd("PING").query_async::<()>(&mut connection).await?;
            Ok::<_, LinkError>(())
        };
        match tried.await {
            Ok(()) => Some(false),
            // DENIED: protected mode keeps out who is not on that machine.
            Err(LinkError::Redis(error)) if matches!(error.code(), Some("NOAUTH" | "NOPERM" | "DENIED")) => Some(true),
            Err(_) => None,
        }
    }
}

/// A server of which nothing is known yet.
fn blank(addr: &ConnectionAddr) -> RedisStats {
    RedisStats {
        address: redis_url::server_name(addr),
        reachable: false,
        error: None,
        answer_seconds: 0.0,
        tls: matches!(addr, ConnectionAddr::TcpTls { .. }),
        public: false,
        needs_password: None,
        denied: Vec::new(),
        info: None,
    }
}

/// Asks for something that the server may not let this node know.
async fn ask<T: FromRedisValue>(
    connection: &mut MultiplexedConnection,
    words: &[&str],
    denied: &mut Vec<String>,
) -> Result<Option<T>, LinkError> {
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(*word);
    }
    let answer: Result<Value, RedisError> = command.query_async(connection).await;
    match answer {
        Ok(value) => Ok(Some(T::from_redis_value(value).map_err(RedisError::from)?)),
        // The user may not, or the command was renamed.
        Err(error) if matches!(error.code(), Some("NOPERM" | "ERR")) => {
            denied.extend(words.first().map(|word| (*word).to_owned()));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether one of the addresses of the server is one of the public Internet. A name that can't be looked up leads nowhere.
async fn is_public(addr: &ConnectionAddr) -> bool {
    let (ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. }) = addr else {
        return false;
    };
    let looking = tokio::net::lookup_host((host.as_str(), *port));
    match tokio::time::timeout(CONNECTS_WITHIN, looking).await {
        Ok(Ok(mut found)) => found.any(|address| is_of_internet(address.ip())),
        Ok(Err(_)) | Err(_) => false,
    }
}

/// Whether an address is one of the public Internet (RFC 6890): not loopback, private, of a link, shared (RFC 6598) or
/// unspecified.
fn is_of_internet(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let is_shared = ip.octets()[0] == 100 && ip.octets()[1] & 0b1100_0000 == 0b0100_0000;
            !(ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified() || is_shared)
        }
        IpAddr::V6(ip) => {
            !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_private_networks_are_not_public() {
        for (ip, is_public) in [
            ("127.0.0.1", false),
            ("10.1.2.3", false),
            ("172.16.0.1", false),
            ("172.32.0.1", true),
            ("192.168.7.1", false),
            ("169.254.0.9", false),
            ("100.64.0.1", false),
            ("100.128.0.1", true),
            ("8.8.8.8", true),
            ("::1", false),
            ("fd12::1", false),
            ("fe80::1", false),
            ("2001:4860::8888", true),
            ("::ffff:10.0.0.1", false),
            ("::ffff:8.8.8.8", true),
        ] {
            assert_eq!(is_of_internet(ip.parse().expect("an address")), is_public, "{ip}");
        }
    }
}
