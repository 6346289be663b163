//! The handshake of a connection that was accepted, from its first byte. How long it may take is the server's to decide.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::rustls::ServerConfig;

use super::socket::flush;
use super::{TlsMachine, TlsSocket};
use crate::tcp;

/// What the first byte of a client that speaks TLS is: the type of a record with a handshake.
const HANDSHAKE_RECORD: u8 = 22;

/// What a connection is told that is rejected before its handshake: a record with a fatal alert, `access_denied`.
pub(crate) const REJECTION: [u8; 7] = [21, 3, 3, 0, 2, 2, 49];

/// Why a connection has no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AcceptError {
    /// The first bytes are those of an HTTP request.
    #[error("the client speaks HTTP without TLS")]
    PlainHttp(TcpStream),
    #[error("the first byte is not that of a TLS handshake")]
    NotTls,
    /// The client left, or the handshake failed.
    #[error("{0}")]
    Failed(#[from] io::Error),
}

/// Does the handshake. Cancel safe: the connection is closed.
pub(crate) async fn accept(config: Arc<ServerConfig>, tcp: TcpStream) -> Result<TlsSocket, AcceptError> {
    let mut first = [0];
    // Garbage and plain requests cost no state of TLS.
    match (tcp.peek(&mut first).await?, first) {
        (0, _) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        (_, [HANDSHAKE_RECORD]) => {}
        (_, [b'A'..=b'Z']) => return Err(AcceptError::PlainHttp(tcp)),
        _ => return Err(AcceptError::NotTls),
    }
    let mut machine = TlsMachine::new(config).map_err(io::Error::other)?;
    loop {
        match flush(&tcp, &mut machine) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tcp.writable().await?;
                continue;
            }
            flushed => flushed?,
        }
        if !machine.is_handshaking() {
            return Ok(TlsSocket::new(tcp, machine));
        }
        if machine.has_ended() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        match machine.read(|room| tcp::try_read(&tcp, room)) {
            Ok(0) => machine.end(),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => tcp.readable().await?,
            Err(error) => {
                // Why, if there is room for that.
                let _ = flush(&tcp, &mut machine);
                return Err(error.into());
            }
        }
    }
}
