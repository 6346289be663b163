//! The socket of a connection: TCP, TLS over it, or for tests a pair of buffers whose room the test decides.

#[cfg(test)]
pub(crate) mod memory;

use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::task::{Context, Poll};

use tokio::net::TcpStream;

use crate::tcp;
use crate::tls::{SentBytes, TlsSocket, Transport};

/// The socket of a connection. Nothing here blocks.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    /// Boxed: a plain connection must not be larger for it.
    Tls(Box<TlsSocket>),
    #[cfg(test)]
    Memory(memory::MemorySocket),
}

/// The most that the kernel holds of one connection, sent and unacknowledged, in bytes: one long frame. (Linux doubles it, for
/// its own bookkeeping.) At a round trip of 200 ms that is 300 KiB a second, ten times what a phone on a slow link takes. What
/// does not fit waits in the outbox, where changes of one user are one.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// How much of that may be unsent before the socket counts as full, in bytes: enough that the link does not run dry while the
/// connection's task is woken.
const NOT_SENT_MAX_BYTES: u32 = 16 * 1024;

impl From<TcpStream> for Socket {
    /// Bounds what the kernel holds of the connection.
    fn from(stream: TcpStream) -> Self {
        bound_send_buffer(&stream);
        Self::Tcp(stream)
    }
}

impl From<Transport> for Socket {
    /// Bounds what the kernel holds of the connection.
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Plain(stream) => stream.into(),
            Transport::Tls(socket) => {
                bound_send_buffer(socket.tcp());
                Self::Tls(socket)
            }
        }
    }
}

fn bound_send_buffer(stream: &TcpStream) {
    let options = socket2::SockRef::from(stream);
    // A socket that the client has reset already takes no options, and need not.
    let _ = options.set_send_buffer_size(SEND_BUFFER_BYTES);
    #[cfg(target_os = "linux")]
    let _ = options.set_tcp_notsent_lowat(NOT_SENT_MAX_BYTES);
}

impl Socket {
    /// Reads what is there; `WouldBlock` if nothing is, 0 at the end.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => tcp::try_read(stream, buffer),
            Self::Tls(socket) => socket.try_read(buffer),
            #[cfg(test)]
            Self::Memory(socket) => socket.try_read(buffer),
        }
    }

    /// Ready when there is something to read, or the end. One task alone may wait for that.
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(context),
            Self::Tls(socket) => socket.poll_readable(context),
            #[cfg(test)]
            Self::Memory(socket) => socket.poll_readable(context),
        }
    }

    /// Waits for [`Self::poll_readable`].
    pub(crate) async fn readable(&self) -> io::Result<()> {
        poll_fn(|context| self.poll_readable(context)).await
    }

    /// Whether bytes, or the peer's end, wait to be read.
    pub(crate) fn has_unread(&self) -> bool {
        match self {
            Self::Tcp(stream) => tcp::has_unread(stream),
            Self::Tls(socket) => socket.has_unread(),
            #[cfg(test)]
            Self::Memory(socket) => socket.has_unread(),
        }
    }

    /// How many bytes the peer has not acknowledged, of how many that were sent: `written`, or those that TLS made of them. 0
    /// where the system can't tell.
    pub(super) fn sent(&self, written: u64) -> SentBytes {
        let unacknowledged = match self {
            Self::Tcp(stream) => tcp::unacknowledged(stream),
            Self::Tls(socket) => return socket.sent(),
            #[cfg(test)]
            Self::Memory(socket) => socket.unacknowledged(),
        };
        SentBytes {
            written,
            unacknowledged,
        }
    }

    /// Closes one or both directions.
    pub(crate) fn shutdown(&self, how: Shutdown) {
        match self {
            // A socket that the client has closed already can't be shut down, and need not be.
            Self::Tcp(stream) => drop(socket2::SockRef::from(stream).shutdown(how)),
            Self::Tls(socket) => socket.shutdown(how),
            #[cfg(test)]
            Self::Memory(socket) => socket.shutdown(how),
        }
    }

    /// Writes what fits; `WouldBlock` if nothing does.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => tcp::send(stream, bytes),
            Self::Tls(socket) => socket.try_write(bytes),
            #[cfg(test)]
            Self::Memory(socket) => socket.try_write(bytes),
        }
    }

    /// Ready when a write may take something. One task alone may wait for that.
    pub(super) fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(context),
            Self::Tls(socket) => socket.tcp().poll_write_ready(context),
            #[cfg(test)]
            Self::Memory(socket) => socket.poll_writable(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use socket2::{Domain, SockRef, Type};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A daemon's socket, and its client, whose kernel takes `room` bytes before it reads.
    async fn pair(room: usize) -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        client.set_recv_buffer_size(room).unwrap();
        client.connect(&address.into()).unwrap();
        client.set_nonblocking(true).unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        (Socket::from(accepted), TcpStream::from_std(client.into()).unwrap())
    }

    /// Writes until the socket is full, and counts the bytes.
    fn fill(socket: &Socket) -> u64 {
        let mut written = 0;
        while let Ok(count) = socket.try_write(&[7; 1000]) {
            written += count as u64;
        }
        written
    }

    #[tokio::test]
    async fn a_socket_that_is_not_read_holds_little() {
        let (socket, _client) = pair(4096).await;
        poll_fn(|context| socket.poll_writable(context)).await.unwrap();
        let written = fill(&socket);
        assert!((8_000..100_000).contains(&written), "{written}");
        let unacknowledged = socket.sent(written).unacknowledged;
        assert!((1..=written).contains(&unacknowledged), "{unacknowledged} of {written}");
    }

    #[tokio::test]
    async fn a_client_that_reads_acknowledges_everything() {
        let (socket, mut client) = pair(4096).await;
        poll_fn(|context| socket.poll_writable(context)).await.unwrap();
        let written = fill(&socket);
        let mut all = vec![0; usize::try_from(written).unwrap()];
        let reading = client.read_exact(&mut all);
        tokio::time::timeout(Duration::from_secs(20), reading)
            .await
            .unwrap()
            .unwrap();
        let acknowledging = async {
            while socket.sent(0).unacknowledged > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), acknowledging)
            .await
            .unwrap();
    }

    /// Reads what arrives first, into more room than it takes. Whether nothing is read any more until something else arrives.
    async fn reads_once() -> bool {
        let (socket, mut client) = pair(4096).await;
        client.write_all(b"pong").await.unwrap();
        let mut buffer = [0; 16];
        loop {
            socket.readable().await.unwrap();
            match socket.try_read(&mut buffer) {
                Ok(count) => break assert_eq!(&buffer[..count], b"pong"),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
        poll_fn(|context| Poll::Ready(socket.poll_readable(context).is_pending())).await
    }

    #[tokio::test]
    async fn a_socket_that_was_read_to_its_end_is_not_read_again() {
        // The system may announce the same bytes twice.
        let mut is_so = false;
        for _ in 0..100 {
            is_so |= reads_once().await;
        }
        assert!(is_so);
    }

    #[tokio::test]
    async fn bytes_that_a_full_read_leaves_are_read_without_another_event() {
        for _ in 0..20 {
            let (socket, mut client) = pair(4096).await;
            client.write_all(b"sixteen bytes...").await.unwrap();
            let mut read = Vec::new();
            let reading = async {
                while read.len() < 16 {
                    socket.readable().await.unwrap();
                    let mut buffer = [0; 5];
                    match socket.try_read(&mut buffer) {
                        Ok(count) => read.extend_from_slice(&buffer[..count]),
                        Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                    }
                }
            };
            tokio::time::timeout(Duration::from_secs(20), reading).await.unwrap();
            assert_eq!(read, b"sixteen bytes...");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_byte_and_no_end_is_missed_after_a_short_read() {
        const ALL: usize = 20_000;
        let (socket, mut client) = pair(4096).await;
        // Each byte is on its way at once, also between a read and what tokio makes of it.
        client.set_nodelay(true).unwrap();
        let sending = tokio::spawn(async move {
            for number in 0..ALL {
                client.write_all(&[number as u8]).await.unwrap();
                if number % 7 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        });
        let mut read = Vec::new();
        let reading = async {
            loop {
                socket.readable().await.unwrap();
                // Both reads that fill the room and reads that don't.
                let mut buffer = [0; 5];
                match socket.try_read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => read.extend_from_slice(&buffer[..count]),
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), reading).await.unwrap();
        sending.await.unwrap();
        assert!(read.into_iter().eq((0..ALL).map(|number| number as u8)));
    }

    #[tokio::test]
    async fn a_full_socket_is_writable_once_the_client_has_read() {
        let (socket, mut client) = pair(4096).await;
        for _ in 0..3 {
            let writable = poll_fn(|context| socket.poll_writable(context));
            tokio::time::timeout(Duration::from_secs(20), writable)
                .await
                .unwrap()
                .unwrap();
            let mut all = vec![0; usize::try_from(fill(&socket)).unwrap()];
            let is_full = poll_fn(|context| Poll::Ready(socket.poll_writable(context).is_pending()));
            assert!(is_full.await, "tokio knows that nothing fits");
            let reading = client.read_exact(&mut all);
            tokio::time::timeout(Duration::from_secs(20), reading)
                .await
                .unwrap()
                .unwrap();
        }
    }

    #[tokio::test]
    async fn a_socket_has_a_bounded_send_buffer() {
        let (socket, _client) = pair(4096).await;
        let Socket::Tcp(stream) = &socket else {
            panic!("a TCP socket")
        };
        assert_eq!(SockRef::from(stream).tcp_notsent_lowat().unwrap(), NOT_SENT_MAX_BYTES);
        assert!(SockRef::from(stream).send_buffer_size().unwrap() <= 2 * SEND_BUFFER_BYTES);
    }
}
