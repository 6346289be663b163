//! The set-up of every scenario: three nodes with links to a Redis of their own, recorders and pollers on each, and users.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use presence::Status;
use presence::wire::record::Record;
use presence::wire::rest::QueryResponse;
use presence_tests::clock::Stopwatch;
use presence_tests::cluster::Cluster;
use presence_tests::poller::Poller;
use presence_tests::postgres_server::PostgresServer;
use presence_tests::process::{Process, raise_file_limit};
use presence_tests::recorder::Recorders;
use presence_tests::redis_server::RedisServer;
use presence_tests::wait::{DEADLINE, let_time_pass, wait_until_right, within};
use presence_tests::{Daemon, Socket};

use crate::stored::all_are_stored;

/// How often each node is asked of all users.
const POLL: Duration = Duration::from_secs(1);
/// Handshakes at once.
const HANDSHAKES: usize = 16;
/// The flags of each node: the clients of a test have one address.
const FLAGS: [&str; 2] = ["--connections-per-address", "4000"];
/// For how long nothing happens before all nodes must answer the same.
const QUIET: Duration = Duration::from_secs(10);

/// So many seconds.
pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Users of this name, numbered.
pub(crate) fn named(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{name}-{number}")).collect()
}

/// What a scenario is played on.
pub(crate) struct Scene {
    pub(crate) cluster: Cluster,
    pub(crate) recorders: Recorders,
    /// The server at the start.
    pub(crate) redis_process: Process,
    pollers: BTreeMap<&'static str, Poller>,
}

impl Scene {
    /// Starts the nodes a, b and c with a Redis that has these further settings, and a recorder of each.
    pub(crate) async fn start(redis: &[&str]) -> Self {
        raise_file_limit();
        let redis = Arc::new(RedisServer::start(redis));
        let cluster = Cluster::start_linked(PostgresServer::shared(), redis, &FLAGS).await;
        let nodes = [("a", &cluster.a), ("b", &cluster.b), ("c", &cluster.c)];
        let recorders = Recorders::start(Stopwatch::start(), &nodes).await;
        Self {
            redis_process: cluster.redis().process(),
            cluster,
            recorders,
            pollers: BTreeMap::new(),
        }
    }

    /// Starts one more node, with a recorder.
    pub(crate) async fn start_further(&mut self, name: &str) -> Daemon {
        let node = self.cluster.start_further(name, &FLAGS).await;
        self.recorders.add(name, &node).await;
        node
    }

    /// Reads all these users on every node from now on.
    pub(crate) fn poll(&mut self, users: &[String]) {
        for (name, node) in [("a", &self.cluster.a), ("b", &self.cluster.b), ("c", &self.cluster.c)] {
            let poller = Poller::start(self.recorders.clock(), name, node, users, POLL);
            self.pollers.insert(name, poller);
        }
    }

    pub(crate) fn poller(&self, node: &str) -> &Poller {
        &self.pollers[node]
    }

    /// The time since the scene began.
    pub(crate) fn now(&self) -> Duration {
        self.recorders.now()
    }

    /// Waits until so long after the scene began.
    pub(crate) async fn until(&self, at: Duration) {
        let_time_pass(at.saturating_sub(self.now())).await;
    }

    /// Waits until all recorders show all these users as ONLINE.
    pub(crate) async fn all_are_online(&self, users: &[String]) {
        self.recorders.all_show(users, Status::Online, seconds(30)).await;
    }

    /// What is asserted of every scenario, once it is over, and that Redis and PostgreSQL have what is told.
    pub(crate) async fn all_is_well(&self, nodes: &[&Daemon], users: &[String]) {
        all_is_well(&self.recorders, nodes, users).await;
        all_are_stored(&self.cluster, PostgresServer::shared(), users).await;
    }

    /// Waits until the set for other services has these users alone.
    pub(crate) async fn online_is(&self, users: impl IntoIterator<Item = &String>) {
        let mut users: Vec<&str> = users.into_iter().map(String::as_str).collect();
        users.sort_unstable();
        self.cluster.online_is(&users).await;
    }
}

/// What is asserted of every scenario, once it is over: revisions grew, and after 10 s of quiet these nodes answer the same of
/// these users, byte for byte but for `now`.
pub(crate) async fn all_is_well(recorders: &Recorders, nodes: &[&Daemon], users: &[String]) {
    recorders.revisions_grew();
    let_time_pass(QUIET).await;
    Cluster::is_same_everywhere(nodes, users).await;
    recorders.revisions_grew();
}

/// Waits until all nodes answer the same of each of these users.
pub(crate) async fn all_show_the_same(cluster: &Cluster, users: &[String]) {
    wait_until_right("all nodes show the same", DEADLINE, async || {
        let [a, b, c] = cluster.nodes();
        let (a, b, c) = (
            records(a, users).await,
            records(b, users).await,
            records(c, users).await,
        );
        let all = a.iter().zip(&b).zip(&c);
        let differ: Vec<_> = all.filter(|((a, b), c)| a != b || b != c).collect();
        (!differ.is_empty()).then(|| format!("{differ:#?}"))
    })
    .await;
}

/// What the node answers of these users.
pub(crate) async fn records(node: &Daemon, users: &[String]) -> Vec<Record> {
    let mut all = Vec::new();
    for some in users.chunks(1_000) {
        let answer: QueryResponse = node.rest().query(some).await.ok();
        all.extend(answer.users);
    }
    all
}

/// Connects each of the users to the node.
pub(crate) async fn connect(node: &Daemon, users: &[String]) -> Vec<Socket> {
    let connecting = stream::iter(users).map(|user| node.socket(user));
    let connected = connecting.buffered(HANDSHAKES).collect();
    within("all are connected", seconds(60), connected).await
}
