//! The socket of an HTTP connection, and what its use says about where the connection is between two requests. hyper has one
//! limit, on the time for a request head, and counts it from the response before.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::upgrades::PendingUpgrade;
use crate::tls::Transport;

/// Where an HTTP connection is. Only the connection's own task changes it.
#[derive(Default)]
pub(super) struct HttpExchange {
    /// Counts up when a request begins and when its response is made, so it is odd while the router works.
    count: AtomicU64,
    /// Bytes of the next request have arrived.
    has_begun: AtomicBool,
    /// Writes that the socket took.
    writes: AtomicU64,
    /// The socket takes no more of the response.
    is_blocked: AtomicBool,
    /// What is written from now on is kept for who takes the socket over.
    is_held: AtomicBool,
    /// What follows once the response to a handshake is made.
    upgrade: Mutex<Option<PendingUpgrade>>,
}

/// What an HTTP connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HttpPhase {
    /// The rest of a request head; also for the first request, of which nothing need have arrived.
    Head {
        /// Tells this head from the one before.
        exchange: u64,
    },
    /// The router, or a client that does not read.
    Response,
    /// The next request.
    Idle {
        /// Grows while a response is still being written.
        writes: u64,
    },
}

impl HttpExchange {
    /// A request head is complete. How many requests and responses there were before.
    pub(super) fn begin(&self) -> u64 {
        self.has_begun.store(false, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    /// The response is made.
    pub(super) fn respond(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// The response is that to a handshake. It is not sent: whoever takes the socket over sends it with its first frame, in one
    /// write instead of two.
    pub(super) fn upgrade(&self, pending: PendingUpgrade) {
        self.is_held.store(true, Ordering::Relaxed);
        *self.upgrade.lock() = Some(pending);
    }

    /// What follows now that HTTP is over.
    pub(super) fn take_upgrade(&self) -> Option<PendingUpgrade> {
        self.upgrade.lock().take()
    }

    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub(super) fn phase(&self) -> HttpPhase {
        let exchange = self.count();
        if !exchange.is_multiple_of(2) || self.is_blocked.load(Ordering::Relaxed) {
            return HttpPhase::Response;
        }
        if exchange == 0 || self.has_begun.load(Ordering::Relaxed) {
            return HttpPhase::Head { exchange };
        }
        HttpPhase::Idle {
            writes: self.writes.load(Ordering::Relaxed),
        }
    }

    fn note_read(&self) {
        if self.count().is_multiple_of(2) {
            self.has_begun.store(true, Ordering::Relaxed);
        }
    }

    fn note_write(&self, written: &Poll<io::Result<usize>>) {
        self.is_blocked.store(written.is_pending(), Ordering::Relaxed);
        if written.is_ready() {
            self.writes.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The socket of an HTTP connection.
pub(super) struct HttpStream {
    socket: Transport,
    exchange: Arc<HttpExchange>,
    /// What was written and not sent.
    held: Vec<u8>,
}

impl HttpStream {
    pub(super) fn new(socket: Transport, exchange: Arc<HttpExchange>) -> Self {
        Self {
            socket,
            exchange,
            held: Vec::new(),
        }
    }

    /// The socket, once the connection is upgraded, and what was written and not sent.
    pub(super) fn into_parts(self) -> (Transport, Vec<u8>) {
        (self.socket, self.held)
    }

    /// Keeps what is written, if it is not to be sent.
    fn hold(&mut self, parts: &[IoSlice<'_>]) -> Option<usize> {
        if !self.exchange.is_held.load(Ordering::Relaxed) {
            return None;
        }
        let before = self.held.len();
        parts.iter().for_each(|part| self.held.extend_from_slice(part));
        Some(self.held.len() - before)
    }
}

impl AsyncRead for HttpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.exchange.note_read();
        }
        read
    }
}

impl AsyncWrite for HttpStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(held) = self.hold(&[IoSlice::new(bytes)]) {
            return Poll::Ready(Ok(held));
        }
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.exchange.note_write(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(held) = self.hold(parts) {
            return Poll::Ready(Ok(held));
        }
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, parts);
        self.exchange.note_write(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    fn is_head(exchange: &HttpExchange) -> bool {
        matches!(exchange.phase(), HttpPhase::Head { .. })
    }

    fn is_idle(exchange: &HttpExchange) -> bool {
        matches!(exchange.phase(), HttpPhase::Idle { .. })
    }

    #[test]
    fn a_connection_waits_for_heads_and_is_idle_between_them() {
        let exchange = HttpExchange::default();
        assert!(is_head(&exchange), "nothing has arrived, and a head is awaited");
        exchange.note_read();
        let first = exchange.phase();
        assert!(is_head(&exchange));
        exchange.begin();
        assert_eq!(exchange.phase(), HttpPhase::Response);
        exchange.note_read();
        assert_eq!(exchange.phase(), HttpPhase::Response);
        exchange.respond();
        assert!(is_idle(&exchange), "what arrived meanwhile was the body");
        exchange.note_read();
        assert!(is_head(&exchange));
        assert_ne!(exchange.phase(), first, "another head, with a time of its own");
    }

    #[tokio::test]
    async fn the_response_to_a_handshake_is_not_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        let exchange = Arc::new(HttpExchange::default());
        let mut stream = HttpStream::new(socket.into(), Arc::clone(&exchange));
        stream.write_all(b"before").await.unwrap();
        exchange.upgrade(PendingUpgrade {
            upgrade: hyper::upgrade::on(hyper::Request::new(())),
            start: Box::new(|_| ()),
        });
        stream.write_all(b"101").await.unwrap();
        let parts = [IoSlice::new(b" Switching"), IoSlice::new(b" Protocols")];
        assert_eq!(stream.write_vectored(&parts).await.unwrap(), 20);
        let (socket, held) = stream.into_parts();
        assert_eq!(held, b"101 Switching Protocols");
        drop(socket);
        let mut sent = Vec::new();
        client.read_to_end(&mut sent).await.unwrap();
        assert_eq!(sent, b"before");
    }

    #[test]
    fn a_response_that_is_being_written_is_not_idle_time() {
        let exchange = HttpExchange::default();
        exchange.begin();
        exchange.respond();
        let made = exchange.phase();
        exchange.note_write(&Poll::Ready(Ok(1)));
        assert!(is_idle(&exchange));
        assert_ne!(exchange.phase(), made, "the idle time begins anew");
        exchange.note_write(&Poll::Pending);
        assert_eq!(exchange.phase(), HttpPhase::Response, "the client does not read");
        exchange.note_write(&Poll::Ready(Ok(1)));
        assert!(is_idle(&exchange));
    }
}
