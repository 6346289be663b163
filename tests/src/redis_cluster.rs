//! A Redis Cluster of a test's own on this machine: three masters that share the slots, and a replica of each where a test lets a
//! master fail. Nodes reach it over TCP, tests over the sockets of its servers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Stopwatch;
use crate::ports::free_port;
use crate::redis_server::RedisServer;
use crate::wait::{DEADLINE, next_look, next_look_of_thread, wait_until};

const SLOTS: usize = 16_384;
/// The masters at first; as many replicas may follow.
pub const MASTERS: usize = 3;
/// How long a master may be silent before its replica takes its place: long for a busy machine, and so that everyone has seen
/// for a while that the master is gone.
const NODE_TIMEOUT_MILLIS: usize = 5_000;

/// When the servers have given up a failover by hand (5 s).
const MANUAL_FAILOVER_WITHIN: Duration = Duration::from_secs(6);

/// Whether each master has a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replicas {
    None,
    One,
}

/// The servers: the masters first.
#[derive(Debug)]
pub struct RedisCluster {
    servers: Vec<RedisServer>,
    ports: Vec<u16>,
    /// The partitions whose slots were moved, with the master that has each now.
    moved: Mutex<BTreeMap<usize, usize>>,
}

impl RedisCluster {
    /// Starts the servers and makes them one cluster.
    pub fn start(replicas: Replicas) -> Self {
        let count = match replicas {
            Replicas::None => MASTERS,
            Replicas::One => 2 * MASTERS,
        };
        let mut cluster = Self {
            servers: Vec::new(),
            ports: Vec::new(),
            moved: Mutex::default(),
        };
        for _ in 0..count {
            cluster.add_server();
        }
        for index in 0..MASTERS {
            let (first, last) = (SLOTS * index / MASTERS, SLOTS * (index + 1) / MASTERS - 1);
            cluster.command(
                index,
                &["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()],
            );
        }
        cluster.until_all("all servers know each other", |cluster, index| {
            let info = cluster.command(index, &["CLUSTER", "INFO"]);
            info.contains("cluster_state:ok") && info.contains(&format!("cluster_known_nodes:{count}"))
        });
        for index in MASTERS..count {
            let master = cluster.id_of(index - MASTERS);
            cluster.command(index, &["CLUSTER", "REPLICATE", &master]);
        }
        cluster.until_all("all replicas follow their masters", |cluster, index| {
            index < MASTERS
                || cluster
                    .command(index, &["INFO", "replication"])
                    .contains("master_link_status:up")
        });
        cluster
    }

    /// The cluster of the daemons with this home: of nobody else as long as that is there.
    pub fn of(home: &Path) -> Arc<Self> {
        if let Some(cluster) = Clusters::lock().used.get(home) {
            return Arc::clone(cluster);
        }
        // Not while the lock is held: others would wait for this start, or fail with it.
        let free = Clusters::lock().take_free();
        let cluster = match free {
            Some(cluster) => {
                cluster.flush();
                cluster
            }
            None => Arc::new(Self::start(Replicas::One)),
        };
        Clusters::lock().used.insert(home.to_owned(), Arc::clone(&cluster));
        cluster
    }

    fn add_server(&mut self) {
        let (port, bus) = (free_port(), free_port());
        let settings = [
            ["--port", &port.to_string()],
            ["--bind", "127.0.0.1"],
            ["--cluster-enabled", "yes"],
            ["--cluster-port", &bus.to_string()],
            ["--cluster-node-timeout", &NODE_TIMEOUT_MILLIS.to_string()],
            ["--repl-diskless-sync-delay", "0"],
            // One master that fails stops its own partitions alone.
            ["--cluster-require-full-coverage", "no"],
        ];
        self.servers.push(RedisServer::start(settings.as_flattened()));
        self.ports.push(port);
        // As `redis-cli --cluster create` does: masters of one epoch first have to agree on others, in which they vote for nobody.
        let (last, epoch) = (self.servers.len() - 1, self.servers.len().to_string());
        assert_eq!(self.command(last, &["CLUSTER", "SET-CONFIG-EPOCH", &epoch]), "OK");
        self.command(
            0,
            &["CLUSTER", "MEET", "127.0.0.1", &port.to_string(), &bus.to_string()],
        );
    }

    /// The flags of a node that uses it.
    pub fn flags(&self) -> Vec<String> {
        let urls = self.ports[..MASTERS]
            .iter()
            .map(|port| format!("redis://127.0.0.1:{port}"));
        urls.flat_map(|url| ["--redis".to_owned(), url]).collect()
    }

    /// Runs a command on one server. What it answers, as people read it.
    pub fn command(&self, server: usize, words: &[&str]) -> String {
        self.servers[server].command(0, words)
    }

    /// The servers, masters first.
    pub fn servers(&self) -> &[RedisServer] {
        &self.servers
    }

    /// The number that the other servers know a server by.
    pub fn id_of(&self, server: usize) -> String {
        self.command(server, &["CLUSTER", "MYID"])
    }

    /// Removes all users.
    pub fn flush(&self) {
        for index in (0..self.servers.len()).filter(|index| self.is_master(*index)) {
            self.command(index, &["FLUSHALL"]);
        }
    }

    fn is_master(&self, server: usize) -> bool {
        self.command(server, &["ROLE"]).starts_with("master")
    }

    /// The replica of whichever server has the partition takes its place, while so many nodes use it. Returns when all of them are
    /// registered there, in a new epoch.
    pub async fn fail_over_partition(&self, partition: usize, nodes: usize) {
        let home = self.home_of(partition);
        let pair = [home, home + MASTERS];
        let [before, next] = if self.is_master(home) { pair } else { [pair[1], pair[0]] };
        let state = format!("presence:{{{partition}}}:state");
        let epoch = |server: usize| self.command(server, &["HGET", &state, "\u{1}e"]);
        let left = epoch(before);
        self.until_replica(next).await;
        self.fail_over(next).await;
        self.until_replica(before).await;
        wait_until("all nodes are registered at the new master", async || {
            let fields = self.command(next, &["HKEYS", &state]);
            let registered = fields.lines().filter(|field| field.starts_with("\u{1}n")).count();
            (epoch(next) != left && registered == nodes).then_some(())
        })
        .await;
    }

    /// Which of the first masters had the partition, or the one that it was moved to.
    pub fn home_of(&self, partition: usize) -> usize {
        if let Some(home) = self.moved.lock().unwrap().get(&partition) {
            return *home;
        }
        let slot: usize = self.slot_of(partition).parse().expect("a slot");
        (0..MASTERS)
            .find(|index| slot < SLOTS * (index + 1) / MASTERS)
            .expect("a master of each slot")
    }

    fn slot_of(&self, partition: usize) -> String {
        self.command(0, &["CLUSTER", "KEYSLOT", &format!("presence:{{{partition}}}:state")])
    }

    /// Begins to move the slot of a partition to another master.
    pub fn begin_move(&self, partition: usize, to: usize) {
        let (slot, from) = (self.slot_of(partition), self.home_of(partition));
        for (server, state, other) in [(to, "IMPORTING", from), (from, "MIGRATING", to)] {
            let set = ["CLUSTER", "SETSLOT", &slot, state, &self.id_of(other)];
            assert_eq!(self.command(server, &set), "OK");
        }
    }

    /// Moves these keys of the partition, as far as there are such.
    pub fn move_keys(&self, partition: usize, names: &[&str], to: usize) {
        for name in names {
            let key = format!("presence:{{{partition}}}:{name}");
            let port = self.ports[to].to_string();
            let migrate = ["MIGRATE", "127.0.0.1", &port, &key, "0", "5000"];
            let answer = self.command(self.home_of(partition), &migrate);
            assert!(["OK", "NOKEY"].contains(&answer.as_str()), "{key}: {answer}");
        }
    }

    /// The slot has no key left where it was: the other master has it from now on.
    pub fn end_move(&self, partition: usize, to: usize) {
        let (slot, from) = (self.slot_of(partition), self.home_of(partition));
        assert_eq!(self.command(from, &["CLUSTER", "COUNTKEYSINSLOT", &slot]), "0");
        let id = self.id_of(to);
        for server in [to, from] {
            assert_eq!(self.command(server, &["CLUSTER", "SETSLOT", &slot, "NODE", &id]), "OK");
        }
        self.moved.lock().unwrap().insert(partition, to);
    }

    /// Waits until a server is a master, as it sees itself.
    pub async fn until_master(&self, server: usize) {
        let waiting = Stopwatch::start();
        while !self.is_master(server) {
            if waiting.elapsed() > DEADLINE {
                let nodes = self.command(server, &["CLUSTER", "NODES"]);
                let link = self.command(server, &["INFO", "replication"]);
                panic!("timeout: a replica does not take the place of its master\n{nodes}\n{link}");
            }
            next_look().await;
        }
    }

    /// Makes a replica the master as an operator does, again if the servers could not agree in time.
    pub async fn fail_over(&self, replica: usize) {
        let mut asked: Option<Stopwatch> = None;
        wait_until("the replica becomes the master", async || {
            if asked.is_none_or(|asked| asked.elapsed() > MANUAL_FAILOVER_WITHIN) {
                self.command(replica, &["CLUSTER", "FAILOVER"]);
                asked = Some(Stopwatch::start());
            }
            let role = self.command(replica, &["ROLE"]);
            role.starts_with("master").then_some(())
        })
        .await;
    }

    /// Waits until a server is a replica that has all of its master.
    pub async fn until_replica(&self, server: usize) {
        wait_until("the server follows its master", async || {
            let info = self.command(server, &["INFO", "replication"]);
            let is_replica = info.contains("role:slave") && info.contains("master_link_status:up");
            is_replica.then_some(())
        })
        .await;
    }

    fn until_all(&self, what: &str, is_so: impl Fn(&Self, usize) -> bool) {
        let waiting = Stopwatch::start();
        for index in 0..self.servers.len() {
            while !is_so(self, index) {
                assert!(waiting.elapsed() < DEADLINE, "timeout: {what}");
                next_look_of_thread();
            }
        }
    }
}

/// The clusters of the daemons of a process.
struct Clusters {
    used: BTreeMap<PathBuf, Arc<RedisCluster>>,
}

impl Clusters {
    fn lock() -> MutexGuard<'static, Self> {
        static ALL: Mutex<Clusters> = Mutex::new(Clusters { used: BTreeMap::new() });
        ALL.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cluster of a home that is gone.
    fn take_free(&mut self) -> Option<Arc<RedisCluster>> {
        let gone = self.used.keys().find(|home| !home.exists()).cloned()?;
        self.used.remove(&gone)
    }
}
