//! Three daemons on one PostgreSQL and one Redis.

use std::sync::{Arc, LazyLock};

use presence::Status;
use presence::wire::record::{Record, Update};
use serde_json::json;
use tempfile::TempDir;

use crate::connection_load::join_all;
use crate::daemon::{Daemon, Setup, home_with_secret};
use crate::postgres_server::PostgresServer;
use crate::proxy::Proxy;
use crate::redis_server::RedisServer;
use crate::rest::Rest;
use crate::wait::{wait_until, within_deadline};
use crate::websocket::{Socket, shows};

mod comparison;

/// The partitions of a cluster with short timers: more than one, few enough to look at all.
const FEW_PARTITIONS: usize = 4;

/// The partitions of a cluster whose flags name no number.
const DEFAULT_PARTITIONS: usize = 16;

/// The fields and values of several hashes.
const READ_HASHES: &str = "local all = {} for _, key in ipairs(KEYS) do \
                           for _, word in ipairs(redis.call('HGETALL', key)) do table.insert(all, word) end end return all";

/// The nodes, with what they share.
#[derive(Debug)]
pub struct Cluster {
    pub a: Daemon,
    pub b: Daemon,
    pub c: Daemon,
    /// The links of the nodes to Redis, in order of their start; none if they have no proxies.
    links: Vec<Proxy>,
    redis: Arc<RedisServer>,
    /// The number of the database of Redis.
    database: usize,
    /// The URL of the database of PostgreSQL.
    postgres: String,
    /// The name of it.
    rows: String,
    partitions: usize,
}

impl Cluster {
    /// Starts three nodes with these further flags on servers that other tests use too.
    pub async fn start(flags: &[&str]) -> Self {
        static REDIS: LazyLock<Arc<RedisServer>> = LazyLock::new(|| Arc::new(RedisServer::start(&[])));
        Self::start_on(PostgresServer::shared(), Arc::clone(&REDIS), flags).await
    }

    /// Starts three nodes with these further flags on a new database of each server.
    pub async fn start_on(postgres: &PostgresServer, redis: Arc<RedisServer>, flags: &[&str]) -> Self {
        Self::start_split(postgres, redis, FEW_PARTITIONS, flags).await
    }

    /// Starts three nodes with all defaults on a new database of each server.
    pub async fn start_with_defaults(postgres: &PostgresServer, redis: Arc<RedisServer>) -> Self {
        Self::start_split(postgres, redis, DEFAULT_PARTITIONS, &[]).await
    }

    async fn start_split(
        postgres: &PostgresServer,
        redis: Arc<RedisServer>,
        partitions: usize,
        flags: &[&str],
    ) -> Self {
        let rows = postgres.create_database();
        let postgres = postgres.url(&rows);
        let database = redis.new_database();
        let url = redis.url(database);
        let number = partitions.to_string();
        let flags = [&["--partitions", &number], flags].concat();
        let partitions = partitions_of(&flags);
        let start = async |name| node(name, &postgres, &url, &flags).start_in(home()).await;
        let (a, b, c) = tokio::join!(start("a"), start("b"), start("c"));
        Self {
            a,
            b,
            c,
            links: Vec::new(),
            redis,
            database,
            postgres,
            rows,
            partitions,
        }
    }

    /// Starts three nodes with all defaults but these flags, each on a port that stays the same, with a proxy between it and
    /// Redis.
    pub async fn start_linked(postgres: &PostgresServer, redis: Arc<RedisServer>, flags: &[&str]) -> Self {
        let rows = postgres.create_database();
        let url = postgres.url(&rows);
        Self::start_linked_at(url, rows, redis, flags).await
    }

    /// The same on the database of this name that the URL leads to.
    pub async fn start_linked_at(postgres: String, rows: String, redis: Arc<RedisServer>, flags: &[&str]) -> Self {
        let database = redis.new_database();
        let start = async |name| {
            let link = Proxy::start(&redis.socket_path()).await;
            let node = node(name, &postgres, &link.url(database), flags);
            (node.on_fixed_port().start_in(home()).await, link)
        };
        let ((a, of_a), (b, of_b), (c, of_c)) = tokio::join!(start("a"), start("b"), start("c"));
        Self {
            a,
            b,
            c,
            links: vec![of_a, of_b, of_c],
            redis,
            database,
            postgres,
            rows,
            partitions: partitions_of(flags),
        }
    }

    /// Starts one more node with a link, which is the last one then.
    pub async fn start_further(&mut self, name: &str, flags: &[&str]) -> Daemon {
        let link = Proxy::start(&self.redis.socket_path()).await;
        let node = node(name, &self.postgres, &link.url(self.database), flags);
        self.links.push(link);
        node.on_fixed_port().start_in(home()).await
    }

    /// Starts one more node that listens there, of a cluster that has no links.
    pub async fn start_listening_on(&self, address: &str, name: &str, flags: &[&str]) -> Daemon {
        let partitions = self.partitions.to_string();
        let flags = [&["--partitions", &partitions], flags].concat();
        let node = node(name, &self.postgres, &self.redis.url(self.database), &flags);
        node.listening_on(address).start_in(home()).await
    }

    /// The link of the node of this number, by the order of their start, to Redis.
    pub fn link(&self, number: usize) -> &Proxy {
        &self.links[number]
    }

    /// The name of the database of PostgreSQL.
    pub fn rows(&self) -> &str {
        &self.rows
    }

    pub fn nodes(&self) -> [&Daemon; 3] {
        [&self.a, &self.b, &self.c]
    }

    pub fn redis(&self) -> &RedisServer {
        &self.redis
    }

    /// The number of the nodes' database of Redis.
    pub fn database(&self) -> usize {
        self.database
    }

    /// Over how many partitions the users are split.
    pub fn partitions(&self) -> usize {
        self.partitions
    }

    /// Runs a command in the nodes' database of Redis.
    pub fn command(&self, words: &[&str]) -> String {
        self.redis.command(self.database, words)
    }

    /// The same in a thread of its own: while it takes, timers of the test go on, so what is waited for may be timed.
    pub async fn ask(&self, words: &[&str]) -> String {
        let (redis, database) = (Arc::clone(&self.redis), self.database);
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let asked = tokio::task::spawn_blocking(move || {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            redis.command(database, &words)
        });
        asked.await.unwrap()
    }

    /// An observer of everybody on each of these nodes.
    pub async fn observers(nodes: &[&Daemon]) -> Observers {
        let observer = async |node: &Daemon| {
            let mut socket = node.observer().await;
            socket.snapshot(json!({"type": "watchAll"})).await;
            let unread = Vec::new();
            Observer { socket, unread }
        };
        Observers(join_all(nodes.iter().map(|node| observer(node))).await)
    }

    /// Waits until these nodes show the user the same, with one revision and this status.
    pub async fn agree(nodes: &[&Daemon], user: &str, status: Status) -> Record {
        let what = format!("all nodes show {user} as {status}");
        let rests: Vec<Rest> = nodes.iter().map(|node| node.rest()).collect();
        wait_until(&what, async || {
            let mut records = join_all(rests.iter().map(async |rest| same_for_all(rest.record(user).await))).await;
            let first = records.pop()?;
            (first.status == status && !first.stale && records.iter().all(|record| *record == first)).then_some(first)
        })
        .await
    }

    /// Waits until the set that other services read has these users alone.
    pub async fn online_is(&self, users: &[&str]) {
        let what = format!("{users:?} are in the set of those who are present");
        wait_until(&what, async || {
            let members = self.of_all(&["SUNION"], "online").await;
            let mut found: Vec<&str> = members.split_whitespace().collect();
            found.sort_unstable();
            (found == users).then_some(())
        })
        .await;
    }

    /// What a command answers that takes the keys of this name of all partitions.
    pub async fn of_all(&self, command: &[&str], name: &str) -> String {
        let keys = (0..self.partitions).map(|number| format!("presence:{{{number}}}:{name}"));
        let words: Vec<String> = command.iter().map(|word| (*word).to_owned()).chain(keys).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.ask(&words).await
    }

    /// Waits until the custom statuses that other services read are these, in order of the users, and no others.
    pub async fn custom_statuses_are(&self, custom: &[(&str, &str)]) {
        let what = format!("{custom:?} are the custom statuses that other services read");
        let count = self.partitions.to_string();
        wait_until(&what, async || {
            let fields = self.of_all(&["EVAL", READ_HASHES, &count], "custom-status").await;
            let words: Vec<&str> = fields.split_whitespace().collect();
            let mut found: Vec<(&str, &str)> = words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
            found.sort_unstable();
            (found == custom).then_some(())
        })
        .await;
    }

    /// How many nodes are registered in each partition.
    pub fn registrations(&self) -> Vec<usize> {
        let in_partition = |number: usize| {
            let key = format!("presence:{{{number}}}:state");
            let fields = self.command(&["HKEYS", &key]);
            fields.lines().filter(|field| field.starts_with("\u{1}n")).count()
        };
        (0..self.partitions).map(in_partition).collect()
    }
}

/// How many partitions nodes with these flags have.
fn partitions_of(flags: &[&str]) -> usize {
    let mut named = flags.iter().skip_while(|flag| **flag != "--partitions").skip(1);
    named
        .next()
        .map_or(DEFAULT_PARTITIONS, |number| number.parse().unwrap())
}

/// A node of a cluster, not started yet.
fn node(name: &str, postgres: &str, redis: &str, flags: &[&str]) -> Setup {
    let shared = ["--database", postgres, "--redis", redis, "--node-name", name];
    Setup::new(&[shared.as_slice(), flags].concat())
}

/// The home of a node that has the same internal secret as the others.
fn home() -> Arc<TempDir> {
    static SECRET: LazyLock<String> = LazyLock::new(|| format!("{:032x}", getrandom::u64().unwrap()));
    Arc::new(home_with_secret(&SECRET))
}

/// What nodes tell the same of: not the times of a present user, which move on the node of the connection first.
fn same_for_all(record: Record) -> Record {
    let is_present = record.status != Status::Offline;
    Record {
        last_seen: record.last_seen.filter(|_| !is_present),
        last_active: record.last_active.filter(|_| !is_present),
        ..record
    }
}

/// One observer of everybody on each of some nodes.
#[derive(Debug)]
pub struct Observers(Vec<Observer>);

#[derive(Debug)]
struct Observer {
    socket: Socket,
    /// What it was told and the test has not asked for.
    unread: Vec<Update>,
}

impl Observers {
    /// Waits until each was told that the user has this status. All that each was told of the user since the test last asked,
    /// up to this.
    pub async fn told(&mut self, user: &str, status: Status) -> Vec<Vec<Record>> {
        let what = format!("{user} is told to be {status}");
        let told = self.0.iter_mut().map(async |observer| {
            let updates = observer.until(&what, user, |update| shows(update, user, status)).await;
            updates.into_iter().filter_map(record).collect()
        });
        join_all(told).await
    }

    /// Waits until each was told that the user was forgotten.
    pub async fn told_removal(&mut self, user: &str) {
        let is_removal = |update: &Update| matches!(update, Update::Removed(_));
        let told = self
            .0
            .iter_mut()
            .map(|observer| observer.until("a removal", user, is_removal));
        join_all(told).await;
    }

    /// The user has had this status and changes to the other one: nobody is told of a third one before.
    pub async fn told_only(&mut self, user: &str, had: Status, gets: Status) {
        for told in self.told(user, gets).await {
            let last = told.len() - 1;
            assert!(told[..last].iter().all(|record| record.status == had), "{told:?}");
            assert!(
                told.windows(2).all(|pair| pair[0].revision < pair[1].revision),
                "revisions grow: {told:?}"
            );
        }
    }
}

impl Observer {
    /// Waits for an update of the user that fits. All updates of the user up to this one.
    async fn until(&mut self, what: &str, user: &str, fits: impl Fn(&Update) -> bool) -> Vec<Update> {
        let is_of_user = |update: &Update| update.user_id().as_str() == user;
        let found = async {
            let mut looked_at = 0;
            loop {
                let fitting = |update: &Update| is_of_user(update) && fits(update);
                if let Some(found) = self.unread[looked_at..].iter().position(fitting) {
                    return looked_at + found;
                }
                looked_at = self.unread.len();
                self.unread.extend(self.socket.next_updates().await);
            }
        };
        let found = within_deadline(what, found).await;
        let (read, unread) = std::mem::take(&mut self.unread)
            .into_iter()
            .enumerate()
            .partition::<Vec<_>, _>(|(index, update)| *index <= found && is_of_user(update));
        let updates = |indexed: Vec<(usize, Update)>| indexed.into_iter().map(|(_, update)| update).collect();
        self.unread = updates(unread);
        updates(read)
    }
}

fn record(update: Update) -> Option<Record> {
    match update {
        Update::Record(record) => Some(record),
        Update::Removed(_) => None,
    }
}
