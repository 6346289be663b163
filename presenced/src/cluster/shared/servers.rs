//! The servers of Redis: one, or the masters of a Redis Cluster, which share the partitions. Where a partition is, the servers
//! themselves say; it is asked again when one of them can't be reached or says that a partition has moved.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use presence::wire::rest::RedisStats;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, RedisError,
    TlsCertificates, Value,
};

use super::keys::{Keys, META};
use super::link::{AnswerTimes, Link, LinkError};
use crate::data_dir::{self, DataDirError};
use crate::redis_url::RedisUrl;

/// How Redis is reached.
#[derive(Debug, Clone, Default)]
pub(crate) struct RedisOptions {
    /// At least one: the server, or some of a Redis Cluster. All have the same user and kind of connection.
    pub(crate) urls: Vec<RedisUrl>,
    /// Certificates in PEM that a server's may be signed with; none: those that the system trusts.
    pub(crate) root_certificates: Option<Vec<u8>>,
    /// The file with the password, read at each connection.
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) times: AnswerTimes,
}

/// The servers, as far as they are known.
pub(crate) struct RedisServers {
    /// The servers that the operator named, for people.
    names: String,
    /// The same servers.
    seeds: Vec<ConnectionInfo>,
    root_certificates: Option<Vec<u8>>,
    password_file: Option<PathBuf>,
    times: AnswerTimes,
    /// Which of them is asked first.
    first_seed: AtomicUsize,
    /// Where each partition is; empty before it was asked.
    places: Mutex<HashMap<u16, ConnectionAddr>>,
    /// The servers at the last look.
    pub(super) seen: Mutex<Vec<RedisStats>>,
    /// How many looks there were.
    pub(super) looks: AtomicU64,
}

impl RedisServers {
    /// # Errors
    /// An address that is none.
    pub(crate) fn new(options: &RedisOptions) -> Result<Self, LinkError> {
        let seeds = options.urls.iter().map(|url| Ok(url.as_str().into_connection_info()?));
        let names: Vec<String> = options.urls.iter().map(ToString::to_string).collect();
        Ok(Self {
            names: names.join(", "),
            seeds: seeds.collect::<Result<_, LinkError>>()?,
            root_certificates: options.root_certificates.clone(),
            password_file: options.password_file.clone(),
            times: options.times,
            first_seed: AtomicUsize::new(0),
            places: Mutex::default(),
            seen: Mutex::default(),
            looks: AtomicU64::new(0),
        })
    }

    /// The servers that the operator named, for people.
    pub(crate) fn names(&self) -> &str {
        &self.names
    }

    /// A new connection about a partition, to the server that has it.
    pub(super) async fn open(&self, partition: u16) -> Result<Link, LinkError> {
        let known = self.places.lock().get(&partition).cloned();
        let place = match known {
            Some(place) => Some(place),
            None => self.find(&Keys::of(partition).state).await?,
        };
        if let Some(place) = &place {
            self.places.lock().insert(partition, place.clone());
        }
        let opened = Link::open(&self.client_at(place)?, Keys::of(partition), self.times).await;
        if opened.is_err() {
            self.lose(partition);
        }
        opened
    }

    /// A new connection to the server that has what all partitions share.
    pub(super) async fn connect_to_meta(&self) -> Result<MultiplexedConnection, LinkError> {
        let place = self.find(META).await?;
        self.connect(&self.client_at(place)?).await
    }

    pub(super) async fn connect(&self, client: &redis::Client) -> Result<MultiplexedConnection, LinkError> {
        connect(client, self.times).await
    }

    /// The servers that the operator named.
    pub(super) fn seeds(&self) -> impl Iterator<Item = &ConnectionAddr> {
        self.seeds.iter().map(ConnectionInfo::addr)
    }

    pub(super) fn client_at(&self, place: Option<ConnectionAddr>) -> Result<redis::Client, LinkError> {
        self.client(self.seed_at(place)?)
    }

    fn seed_at(&self, place: Option<ConnectionAddr>) -> Result<ConnectionInfo, LinkError> {
        let seed = self.seeds.first().ok_or(LinkError::NoServer)?.clone();
        Ok(match place {
            Some(place) => seed.set_addr(place),
            None => seed,
        })
    }

    /// The partition can't be reached where it was: the next connection about it asks where it is, first a server that was not
    /// asked last. A master that has lost the others does not know that another one has its place.
    pub(super) fn lose(&self, partition: u16) {
        self.places.lock().remove(&partition);
        self.first_seed.fetch_add(1, Ordering::Relaxed);
    }

    /// Asks the configured servers where a key is, one after the other; none if there is one server alone.
    async fn find(&self, key: &str) -> Result<Option<ConnectionAddr>, LinkError> {
        let mut last = LinkError::NoServer;
        let first = self.first_seed.load(Ordering::Relaxed) % self.seeds.len().max(1);
        let (later, sooner) = self.seeds.split_at(first);
        for seed in sooner.iter().chain(later) {
            match self.ask(seed, key).await {
                Ok(None) if self.seeds.len() > 1 => return Err(LinkError::NoCluster),
                Ok(place) => return Ok(place),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn ask(&self, seed: &ConnectionInfo, key: &str) -> Result<Option<ConnectionAddr>, LinkError> {
        let mut connection = self.connect(&self.client(seed.clone())?).await?;
        let mut slot_of = redis::cmd("CLUSTER");
        slot_of.arg("KEYSLOT").arg(key);
        let slot: i64 = match slot_of.query_async(&mut connection).await {
            Ok(slot) => slot,
            // A server alone: it has no slots, and says so with an error of the general kind.
            Err(error) if error.code() == Some("ERR") => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let slots: Vec<Value> = redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut connection).await?;
        let master = slots.into_iter().find_map(|range| master_of(range, slot));
        let (host, port) = master.ok_or(LinkError::NoServer)?;
        Ok(Some(at(seed.addr(), host, port)))
    }

    /// The masters of the cluster, as the first server that answers knows them; one without a place if it is a server alone.
    pub(super) async fn masters(&self) -> Result<Vec<Option<ConnectionAddr>>, LinkError> {
        let mut last = LinkError::NoServer;
        for seed in &self.seeds {
            match self.masters_by(seed).await {
                Ok(masters) => return Ok(masters),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn masters_by(&self, seed: &ConnectionInfo) -> Result<Vec<Option<ConnectionAddr>>, LinkError> {
        let mut connection = self.connect(&self.client(seed.clone())?).await?;
        let asked = redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut connection).await;
        let slots: Vec<Value> = match asked {
            Ok(slots) => slots,
            // A server alone.
            Err(error) if error.code() == Some("ERR") => return Ok(vec![None]),
            Err(error) => return Err(RedisError::into(error)),
        };
        let masters: BTreeSet<(String, u16)> = slots.into_iter().filter_map(master_of_range).map(|one| one.1).collect();
        let places = masters
            .into_iter()
            .map(|(host, port)| Some(at(seed.addr(), host, port)));
        Ok(places.collect())
    }

    fn client(&self, info: ConnectionInfo) -> Result<redis::Client, LinkError> {
        let info = match &self.password_file {
            Some(file) => {
                let password = data_dir::password(file)?;
                let redis = info.redis_settings().clone();
                let password = String::from_utf8(password).map_err(|_| DataDirError::Invalid {
                    path: file.clone(),
                    what: "must hold a password in UTF-8",
                })?;
                let redis = redis.set_password(password);
                info.set_redis_settings(redis)
            }
            None => info,
        };
        self.client_of(info)
    }

    /// A client that names no user and no password.
    pub(super) fn stranger_at(&self, place: Option<ConnectionAddr>) -> Result<redis::Client, LinkError> {
        let seed = self.seed_at(place)?;
        self.client_of(seed.set_redis_settings(RedisConnectionInfo::default()))
    }

    fn client_of(&self, info: ConnectionInfo) -> Result<redis::Client, LinkError> {
        let is_tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        let client = match is_tls {
            true => {
                let certificates = TlsCertificates {
                    client_tls: None,
                    root_cert: self.root_certificates.clone(),
                };
                redis::Client::build_with_tls(info, certificates)
            }
            false => redis::Client::open(info),
        };
        Ok(client?)
    }
}

/// A connection on which every answer has its time.
pub(super) async fn connect(client: &redis::Client, times: AnswerTimes) -> Result<MultiplexedConnection, LinkError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(times.connects_within))
        .set_response_timeout(Some(times.answers_within));
    Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
}

/// The master of a range of slots, if the slot is in it.
fn master_of(range: Value, slot: i64) -> Option<(String, u16)> {
    let (slots, master) = master_of_range(range)?;
    slots.contains(&slot).then_some(master)
}

/// A range of slots with host and port of its master: `[first, last, [host, port, …], …]`.
fn master_of_range(range: Value) -> Option<(RangeInclusive<i64>, (String, u16))> {
    let Value::Array(parts) = range else { return None };
    let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = parts.as_slice() else {
        return None;
    };
    let (host, port) = match master.as_slice() {
        [Value::BulkString(host), Value::Int(port), ..] => (String::from_utf8(host.clone()).ok()?, port),
        // The server does not know its own name: it is where we asked.
        [Value::Nil, Value::Int(port), ..] => (String::new(), port),
        _ => return None,
    };
    Some((*first..=*last, (host, u16::try_from(*port).ok()?)))
}

/// The address of a server of the cluster, reached in the same way as the one that was asked.
fn at(asked: &ConnectionAddr, host: String, port: u16) -> ConnectionAddr {
    let known = match asked {
        ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host.clone(),
        _ => String::new(),
    };
    let host = if host.is_empty() || host == "?" { known } else { host };
    match asked {
        ConnectionAddr::TcpTls {
            insecure, tls_params, ..
        } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host, port),
    }
}
