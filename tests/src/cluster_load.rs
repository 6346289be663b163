//! Many users spread over the nodes of a cluster, each watching some of the others: when each change was made, when it was
//! delivered where, and whether every watcher ends with the truth. All times are of one clock, that of this process.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use presence::wire::record::Record;
use presence::wire::rest::QueryResponse;
use presence::{Revision, Status};

use self::client::Client;
use crate::Daemon;
use crate::clock::Stopwatch;
use crate::connection_load::join_all;
use crate::wait::{Ticker, wait_until};

mod client;

/// The number of concurrent handshakes.
const HANDSHAKES: usize = 64;
/// Users of one query.
const QUERIED_TOGETHER: usize = 1_000;
/// Scatters the changes over the users: a prime that no number of them is a multiple of.
const STRIDE: usize = 7_919;

/// The id of the user with this number.
pub fn user(number: usize) -> String {
    format!("client-{number:05}")
}

/// The clients, until this is dropped. Client `n` is a user of its own on node `n mod nodes`.
#[derive(Debug)]
pub struct ClusterLoad {
    nodes: usize,
    watched: usize,
    clients: Vec<Client>,
    clock: Stopwatch,
    next: usize,
}

/// How long deliveries took, from the change at its client to the frame at a watcher.
#[derive(Debug, Default)]
pub struct Deliveries {
    /// To watchers on the node of the user, ascending.
    pub same_node: Vec<Duration>,
    /// To watchers on other nodes, ascending.
    pub other_nodes: Vec<Duration>,
}

impl ClusterLoad {
    /// Connects so many clients, in turns over the nodes, each watching the `watched` users after it: two thirds of them are
    /// on other nodes. Returns when all have their snapshot.
    pub async fn start(nodes: &[&Daemon], count: usize, watched: usize) -> Self {
        let clock = Stopwatch::start();
        let connecting = stream::iter(0..count).map(|number| async move {
            let users: Vec<String> = (1..=watched).map(|step| user((number + step) % count)).collect();
            let address = nodes[number % nodes.len()].address();
            Client::connect(address, number, &users, clock).await
        });
        let mut clients: Vec<Client> = connecting.buffer_unordered(HANDSHAKES).collect().await;
        clients.sort_by_key(|client| client.number);
        Self {
            nodes: nodes.len(),
            watched,
            clients,
            clock,
            next: 0,
        }
    }

    /// Makes so many changes a second for so long: every second node's worth of clients changes its activity, the others their
    /// custom status. Waits until each was told to its own client. How many there were.
    pub async fn change(&mut self, per_second: u32, during: Duration) -> usize {
        let (clock, mut ticker) = (Stopwatch::start(), Ticker::every(Duration::from_secs(1) / per_second));
        let mut made = 0;
        while clock.elapsed() < during {
            ticker.next().await;
            self.next = (self.next + STRIDE) % self.clients.len();
            made += usize::from(self.clients[self.next].change(self.clock.elapsed()));
        }
        wait_until("all changes are told to those who made them", async || {
            self.clients.iter().all(Client::is_settled).then_some(())
        })
        .await;
        made
    }

    /// Waits until every watcher was told what each user was told of itself last.
    pub async fn all_were_told(&self) {
        wait_until("every watcher was told of the last change", async || {
            let own: Vec<Option<Revision>> = self.clients.iter().map(Client::last_made).collect();
            let is_told = |client: &Client| {
                let mut watched = self.watched_by(client.number);
                watched.all(|of| client.last(of).map(|(revision, _)| revision) >= own[of])
            };
            self.clients.iter().all(is_told).then_some(())
        })
        .await;
    }

    /// Takes the deliveries so far.
    pub fn take_deliveries(&self) -> Deliveries {
        let made: Vec<_> = self.clients.iter().map(Client::take_made).collect();
        let mut deliveries = Deliveries::default();
        for (watcher, client) in self.clients.iter().enumerate() {
            for (of, revision, at) in client.take_told() {
                let Some(sent) = made[of].get(&revision) else { continue };
                let times = match watcher % self.nodes == of % self.nodes {
                    true => &mut deliveries.same_node,
                    false => &mut deliveries.other_nodes,
                };
                times.push(at.saturating_sub(*sent));
            }
        }
        deliveries.same_node.sort_unstable();
        deliveries.other_nodes.sort_unstable();
        deliveries
    }

    /// Waits until all nodes have the same of all clients' users, and each watcher was told that of all it watches.
    pub async fn all_have_the_truth(&self, nodes: &[&Daemon]) {
        wait_until("every watcher has the truth", async || {
            let mut truths = join_all(nodes.iter().map(|node| self.truth(node))).await;
            let truth = truths.pop()?;
            let is_told = |client: &Client| {
                let mut watched = self.watched_by(client.number);
                watched.all(|of| client.last(of) == Some(truth[of]))
            };
            let is_one = truths.iter().all(|other| *other == truth);
            (is_one && self.clients.iter().all(is_told)).then_some(())
        })
        .await;
    }

    fn watched_by(&self, number: usize) -> impl Iterator<Item = usize> {
        (1..=self.watched).map(move |step| (number + step) % self.clients.len())
    }

    async fn truth(&self, node: &Daemon) -> Vec<(Revision, Status)> {
        let users: Vec<String> = (0..self.clients.len()).map(user).collect();
        let mut truth = Vec::new();
        for some in users.chunks(QUERIED_TOGETHER) {
            let answer: QueryResponse = node.rest().query(some).await.ok();
            truth.extend(
                answer
                    .users
                    .iter()
                    .map(|record: &Record| (record.revision, record.status)),
            );
        }
        truth
    }
}

/// The value below which so many of a hundred are. The values are ascending.
pub fn percentile(ascending: &[Duration], percent: usize) -> Duration {
    let at = ascending.len() * percent / 100;
    ascending.get(at).or(ascending.last()).copied().unwrap_or_default()
}
