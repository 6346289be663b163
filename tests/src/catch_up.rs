//! What one node has acknowledged, another may show a moment later. A client behind a load balancer may be sent to that one: a test
//! that asks on another connection waits until all nodes behind the address have read the log to its end.
//!
//! A node asks for entries after it has applied those before; Redis lets it wait if there are none. So when all of them wait,
//! all have seen everything.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

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

static BEHIND: Mutex<BTreeMap<SocketAddr, Followers>> = Mutex::new(BTreeMap::new());

/// These stand behind this address from now on.
pub fn register(address: SocketAddr, followers: Followers) {
    BEHIND.lock().unwrap().insert(address, followers);
}

/// Nobody stands behind this address any more.
pub fn unregister(address: SocketAddr) {
    BEHIND.lock().unwrap().remove(&address);
}

/// Waits until all nodes behind the address have read the log, if they are several. Not for nodes that are gone, or that are about
/// to connect: then the test sees what there is. A node that is connected and does not read fails it.
pub async fn catch_up(address: SocketAddr) {
    let followers = BEHIND.lock().unwrap().get(&address).cloned();
    let Some(followers) = followers else { return };
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
