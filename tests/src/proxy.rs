//! A TCP proxy between one node and its Redis whose link can be held or cut, each way by itself.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Bytes that are read at once, and kept of each way of a connection while it is held; the rest is kept by the system.
const BUFFER_BYTES: usize = 65_536;

/// What a link does with the bytes of one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Delivers them, those that were kept first.
    Pass,
    /// Keeps them, and the ends of connections too, until they may pass.
    Hold,
    /// Loses them: connections are reset, those that are made as well.
    Cut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    ToServer,
    ToNode,
}

/// What both ways of a link do.
#[derive(Debug, Clone, Copy)]
struct Flows {
    to_server: Flow,
    to_node: Flow,
    /// How often all connections were lost.
    losses: u64,
}

impl Flows {
    fn of(self, way: Way) -> Flow {
        match way {
            Way::ToServer => self.to_server,
            Way::ToNode => self.to_node,
        }
    }

    /// Whether a connection that began after so many losses is lost.
    fn has_lost(self, losses: u64) -> bool {
        self.losses != losses || self.to_server == Flow::Cut || self.to_node == Flow::Cut
    }
}

/// The proxy, until this is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    flows: watch::Sender<Flows>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a loopback port of its own for a server on this Unix socket, and lets all pass.
    pub async fn start(server: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let flows = watch::Sender::new(Flows {
            to_server: Flow::Pass,
            to_node: Flow::Pass,
            losses: 0,
        });
        let accepting = tokio::spawn(accept(listener, server.to_owned(), flows.subscribe()));
        Self {
            address,
            flows,
            accepting,
        }
    }

    /// The URL of a database of the server through the proxy.
    pub fn url(&self, database: usize) -> String {
        format!("redis://{}/{database}", self.address)
    }

    /// Both ways do this from now on.
    pub fn set(&self, flow: Flow) {
        self.set_each(flow, flow);
    }

    /// Each way does this from now on.
    pub fn set_each(&self, to_server: Flow, to_node: Flow) {
        self.flows.send_modify(|flows| {
            flows.to_server = to_server;
            flows.to_node = to_node;
        });
    }

    /// Loses what is held, with all connections; goes on as before with new ones.
    pub fn drop_held(&self) {
        self.flows.send_modify(|flows| flows.losses += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.set(Flow::Cut);
    }
}

async fn accept(listener: TcpListener, server: PathBuf, flows: watch::Receiver<Flows>) {
    while let Ok((node, _)) = listener.accept().await {
        tokio::spawn(connect(node, server.clone(), flows.clone()));
    }
}

/// One connection, to its end.
async fn connect(mut node: TcpStream, server: PathBuf, flows: watch::Receiver<Flows>) {
    let losses = flows.borrow().losses;
    let server = UnixStream::connect(server).await;
    let (Ok(mut server), Ok(())) = (server, node.set_nodelay(true)) else {
        return reset(&node);
    };
    let has_lost = {
        let (from_node, to_node) = node.split();
        let (from_server, to_server) = server.split();
        let ways = async {
            tokio::try_join!(
                deliver(from_node, to_server, Way::ToServer, flows.clone()),
                deliver(from_server, to_node, Way::ToNode, flows.clone()),
            )
        };
        let mut flows = flows.clone();
        tokio::select! {
            // First: what is lost must not pass at the same moment.
            biased;
            _ = flows.wait_for(|flows| flows.has_lost(losses)) => true,
            ended = ways => ended.is_err(),
        }
    };
    if has_lost {
        reset(&node);
    }
}

/// Delivers what comes from one side to the other while it may pass, and then its end.
async fn deliver(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    way: Way,
    mut flows: watch::Receiver<Flows>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        if flows.wait_for(|flows| flows.of(way) == Flow::Pass).await.is_err() {
            return Ok(());
        }
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}

/// Lets the end of a connection be a reset.
fn reset(node: &TcpStream) {
    SockRef::from(node).set_linger(Some(Duration::ZERO)).ok();
}
