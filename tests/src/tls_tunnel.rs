//! The client's side of TLS as a port: what connects there reaches the daemon over TLS, so that clients that know nothing of it test
//! the daemon's TLS too. It reads no faster than its client does.

use std::net::SocketAddr;

use socket2::SockRef;
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

/// Bytes that are read at once, and kept while a client does not read.
const BUFFER_BYTES: usize = 4096;
/// What the system holds of each connection, in bytes, so that a daemon's writes soon block.
const RECEIVE_BYTES: usize = 64 * 1024;

/// The port, until this is dropped.
#[derive(Debug)]
pub struct TlsTunnel {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl TlsTunnel {
    /// Leads to the daemon at this address.
    pub async fn start(daemon: SocketAddr, connector: TlsConnector) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(carry(client, daemon, connector.clone()));
            }
        });
        Self { address, accepting }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for TlsTunnel {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Whatever goes wrong ends the connection, as the client sees.
async fn carry(mut client: TcpStream, daemon: SocketAddr, connector: TlsConnector) -> Option<()> {
    client.set_nodelay(true).ok()?;
    let tcp = TcpStream::connect(daemon).await.ok()?;
    tcp.set_nodelay(true).ok()?;
    SockRef::from(&tcp).set_recv_buffer_size(RECEIVE_BYTES).ok()?;
    let name = ServerName::try_from("localhost").ok()?;
    let mut encrypted = connector.connect(name, tcp).await.ok()?;
    copy_bidirectional_with_sizes(&mut client, &mut encrypted, BUFFER_BYTES, BUFFER_BYTES)
        .await
        .ok()?;
    Some(())
}
