//! Three daemons on one PostgreSQL and one Redis.

use std::sync::{Arc, LazyLock};

use presence::Status;
use presence::wire::record::{Record, Update};
use serde_json::json;

use crate::connection_load::join_all;
use crate::daemon::{Daemon, Setup};
use crate::postgres_server::PostgresServer;
use crate::redis_server::RedisServer;
use crate::wait::{wait_until, within_deadline};
use crate::websocket::{Socket, shows};

/// The partitions of a cluster under test: more than one, few enough to look at all.
const PARTITIONS: usize = 4;

/// The nodes, with what they share.
#[derive(Debug)]
pub struct Cluster {
    pub a: Daemon,
    pub b: Daemon,
    pub c: Daemon,
    redis: Arc<RedisServer>,
    database: usize,
}

impl Cluster {
    /// Starts three nodes with these further flags on servers that other tests use too.
    pub async fn start(flags: &[&str]) -> Self {
        static REDIS: LazyLock<Arc<RedisServer>> = LazyLock::new(|| Arc::new(RedisServer::start(&[])));
        Self::start_on(PostgresServer::shared(), Arc::clone(&REDIS), flags).await
    }

    /// Starts three nodes with these further flags on a new database of each server.
    pub async fn start_on(postgres: &PostgresServer, redis: Arc<RedisServer>, flags: &[&str]) -> Self {
        let postgres = postgres.url(&postgres.create_database());
        let database = redis.new_database();
        let url = redis.url(database);
        let node = async |name: &str| {
            let partitions = PARTITIONS.to_string();
            let shared = ["--database", &postgres, "--redis", &url, "--partitions", &partitions];
            let all = [shared.as_slice(), &["--node-name", name], flags].concat();
            Setup::new(&all).start().await
        };
        let (a, b, c) = tokio::join!(node("a"), node("b"), node("c"));
        Self {
            a,
            b,
            c,
            redis,
            database,
        }
    }

    pub fn nodes(&self) -> [&Daemon; 3] {
        [&self.a, &self.b, &self.c]
    }

    pub fn redis(&self) -> &RedisServer {
        &self.redis
    }

    /// Runs a command in the nodes' database of Redis.
    pub fn command(&self, words: &[&str]) -> String {
        self.redis.command(self.database, words)
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
        wait_until(&what, async || {
            let mut records = join_all(nodes.iter().map(|node| async {
                let record = node.rest().record(user).await;
                same_for_all(record)
            }))
            .await;
            let first = records.pop()?;
            (first.status == status && !first.stale && records.iter().all(|record| *record == first)).then_some(first)
        })
        .await
    }

    /// Waits until the set that other services read has these users alone.
    pub async fn online_is(&self, users: &[&str]) {
        let what = format!("{users:?} are in the set of those who are present");
        wait_until(&what, async || {
            let mut found: Vec<String> = (0..PARTITIONS).flat_map(|number| self.online_in(number)).collect();
            found.sort();
            (found == users).then_some(())
        })
        .await;
    }

    fn online_in(&self, number: usize) -> Vec<String> {
        let key = format!("presence:{{{number}}}:online");
        let members = self.command(&["SMEMBERS", &key]);
        members.split_whitespace().map(str::to_owned).collect()
    }

    /// How many nodes are registered in each partition.
    pub fn registrations(&self) -> Vec<usize> {
        let in_partition = |number: usize| {
            let key = format!("presence:{{{number}}}:state");
            let fields = self.command(&["HKEYS", &key]);
            fields.lines().filter(|field| field.starts_with("\u{1}n")).count()
        };
        (0..PARTITIONS).map(in_partition).collect()
    }
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
