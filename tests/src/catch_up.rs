//! What one node has acknowledged, another may show a moment later. A client behind a load balancer may be sent to that one: a test
//! that asks on another connection waits until all nodes behind the address have read the log to its end.
//!
//! A node asks for entries after it has applied those before; Redis lets it wait if there are none. So when all of them wait,
//! all have seen everything that is in the log. What a node has answered as `stale` is not there yet.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;

use presence::Revision;
use presence::wire::record::Record;
use reqwest::Client;
use serde::Deserialize as _;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::rest::{client, percent, send_without_deadline};
use crate::wait::{next_look, within_deadline};

/// The nodes behind one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followers {
    /// The sockets of the servers of Redis.
    pub sockets: Vec<PathBuf>,
    /// The number of their database.
    pub database: usize,
    /// How many connections wait for the log when all nodes have read it.
    pub count: usize,
}

/// What stands behind one address.
#[derive(Debug, Clone)]
struct Behind {
    nodes: Vec<SocketAddr>,
    followers: Followers,
    /// Users of whom the log may lack what a node has answered.
    stale: BTreeSet<String>,
}

static BEHIND: Mutex<BTreeMap<SocketAddr, Behind>> = Mutex::new(BTreeMap::new());

/// These stand behind this address from now on.
pub fn register(address: SocketAddr, nodes: Vec<SocketAddr>, followers: Followers) {
    let behind = Behind {
        nodes,
        followers,
        stale: BTreeSet::new(),
    };
    BEHIND.lock().unwrap().insert(address, behind);
}

/// One that stands behind this address, perhaps, has answered with this record.
pub(crate) fn note_answer(address: SocketAddr, record: &Record) {
    if let Some(behind) = BEHIND.lock().unwrap().get_mut(&address).filter(|_| record.stale) {
        behind.stale.insert(record.user_id.as_str().to_owned());
    }
}

/// Nobody stands behind this address any more.
pub fn unregister(address: SocketAddr) {
    BEHIND.lock().unwrap().remove(&address);
}

/// Waits until the log has what the nodes behind the address have answered, and all have read it, if they are several. Not for nodes
/// that are gone, or that are about to connect: then the test sees what there is. A node that is connected and does not read fails it.
pub async fn catch_up(address: SocketAddr) {
    let behind = BEHIND.lock().unwrap().get(&address).cloned();
    let Some(Behind { followers, stale, .. }) = behind else {
        return;
    };
    for user in &stale {
        until_logged(address, user).await;
    }
    if let Some(behind) = BEHIND.lock().unwrap().get_mut(&address) {
        behind.stale.retain(|user| !stale.contains(user));
    }
    let have_read = async {
        while let Some(connections) = followers.connections().await {
            if connections.waiting >= followers.count || !connections.is_complete(followers.count) {
                return;
            }
            next_look().await;
        }
    };
    within_deadline("all nodes have read the log", have_read).await;
}

/// Waits until the log has what the nodes at the address have said of the user. The revision that it has there.
pub(crate) async fn until_logged(address: SocketAddr, user: &str) -> Revision {
    let behind = BEHIND.lock().unwrap().get(&address).cloned();
    let nodes = behind.map_or(vec![address], |behind| behind.nodes);
    let (client, mut last) = (client(), Revision::NEVER);
    for node in nodes {
        let logged = async {
            loop {
                match record(&client, node, user).await {
                    Some(record) if record.stale => next_look().await,
                    record => break record.map_or(Revision::NEVER, |record| record.revision),
                }
            }
        };
        last = last.max(within_deadline("the log has what was answered", logged).await);
    }
    last
}

/// The record as another user sees it; none if the node is gone.
async fn record(client: &Client, node: SocketAddr, user: &str) -> Option<Record> {
    let path = format!("http://{node}/api/presence/{}", percent(user));
    let answer = send_without_deadline(client.get(path).header("x-user-id", "catch-up")).await;
    Record::deserialize(&answer.ok()?.body).ok()
}

/// The connections of the nodes to Redis.
#[derive(Debug, Default)]
struct Connections {
    all: usize,
    /// Those on which Redis lets a node wait.
    waiting: usize,
}

impl Connections {
    /// Whether each node has one that writes beside each that waits; else one of them is going away.
    fn is_complete(&self, followers: usize) -> bool {
        self.all >= 2 * followers
    }
}

impl Followers {
    async fn connections(&self) -> Option<Connections> {
        let mut connections = Connections::default();
        for socket in &self.sockets {
            let clients = clients(socket).await?;
            for client in clients.lines().filter(|client| self.is_of_node(client)) {
                connections.all += 1;
                connections.waiting += usize::from(field(client, "flags").contains('b'));
            }
        }
        Some(connections)
    }

    fn is_of_node(&self, client: &str) -> bool {
        field(client, "db") == self.database.to_string()
    }
}

/// What the list of connections says of one.
fn field<'a>(client: &'a str, name: &str) -> &'a str {
    let mut fields = client.split(' ').filter_map(|field| field.split_once('='));
    fields.find(|(key, _)| *key == name).map_or("", |(_, value)| value)
}

/// The connections of a server, one a line; none if it does not answer.
async fn clients(socket: &PathBuf) -> Option<String> {
    let mut stream = BufReader::new(UnixStream::connect(socket).await.ok()?);
    stream.write_all(b"CLIENT LIST TYPE normal\r\n").await.ok()?;
    let mut length = String::new();
    stream.read_line(&mut length).await.ok()?;
    let length = length.trim().strip_prefix('$')?.parse().ok()?;
    let mut list = vec![0; length];
    stream.read_exact(&mut list).await.ok()?;
    String::from_utf8(list).ok()
}
