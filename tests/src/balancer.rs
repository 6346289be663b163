//! A load balancer in front of several nodes: it spreads TCP connections over them in turn, passes over a node that accepts
//! none, and hands on bytes, half-closes and resets as they are.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::catch_up::{self, Followers};

/// What it holds of a connection in each direction stays small, so that a peer that stops reading is noticed as without it.
const BUFFER_BYTES: usize = 16 * 1024;

/// It ends, with all its connections, when it is dropped.
#[derive(Debug)]
pub struct Balancer {
    address: SocketAddr,
    task: AbortHandle,
}

impl Balancer {
    /// Listens at this address for the nodes at those, which read the log over these connections.
    ///
    /// # Errors
    /// Nobody can listen there.
    pub async fn start(listen: &str, nodes: Vec<SocketAddr>, followers: Followers) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        catch_up::register(address, nodes.clone(), followers);
        let task = tokio::spawn(serve(listener, Arc::new(nodes))).abort_handle();
        Ok(Self { address, task })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        catch_up::unregister(self.address);
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, nodes: Arc<Vec<SocketAddr>>) {
    let turn = Arc::new(AtomicUsize::new(0));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((client, _)) = accepted {
                    let (nodes, turn) = (Arc::clone(&nodes), Arc::clone(&turn));
                    connections.spawn(async move { carry(client, &nodes, &turn).await });
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Joins a client to the node whose turn it is, until both directions have ended.
async fn carry(mut client: TcpStream, nodes: &[SocketAddr], turn: &AtomicUsize) {
    let Some(mut node) = next_node(nodes, turn).await else {
        reset(&client);
        return;
    };
    let _ = SockRef::from(&client).set_send_buffer_size(BUFFER_BYTES);
    let _ = client.set_nodelay(true);
    let carried = {
        let (from_client, to_client) = client.split();
        let (from_node, to_node) = node.split();
        tokio::try_join!(copy(from_client, to_node), copy(from_node, to_client))
    };
    if carried.is_err() {
        reset(&client);
        reset(&node);
    }
}

/// A connection to the next node that accepts one.
async fn next_node(nodes: &[SocketAddr], turn: &AtomicUsize) -> Option<TcpStream> {
    for _ in nodes {
        let next = turn.fetch_add(1, Ordering::Relaxed) % nodes.len();
        if let Ok(node) = connect(nodes[next]).await {
            return Some(node);
        }
    }
    None
}

async fn connect(node: SocketAddr) -> io::Result<TcpStream> {
    let socket = match node {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_recv_buffer_size(BUFFER_BYTES as u32)?;
    socket.set_nodelay(true)?;
    socket.connect(node).await
}

/// Hands on what one side sends, and its end. One that takes no more has said why in the other direction, or will.
async fn copy(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<()> {
    let mut bytes = vec![0; BUFFER_BYTES];
    loop {
        let read = from.read(&mut bytes).await?;
        if read == 0 {
            return to.shutdown().await.or(Ok(()));
        }
        if to.write_all(&bytes[..read]).await.is_err() {
            return Ok(());
        }
    }
}

/// The peer sees a reset instead of an end.
fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO));
}
