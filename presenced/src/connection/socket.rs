//! The socket of a connection: TCP, or for tests a pair of buffers whose room the test decides.

#[cfg(test)]
pub(crate) mod memory;

use std::future::poll_fn;
use std::io::{self, Read as _};
use std::net::Shutdown;
use std::task::{Context, Poll};

use tokio::io::Interest;
use tokio::net::TcpStream;

/// The socket of a connection. Nothing here blocks.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
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
        let options = socket2::SockRef::from(&stream);
        // A socket that the client has reset already takes no options, and need not.
        let _ = options.set_send_buffer_size(SEND_BUFFER_BYTES);
        #[cfg(target_os = "linux")]
        let _ = options.set_tcp_notsent_lowat(NOT_SENT_MAX_BYTES);
        Self::Tcp(stream)
    }
}

impl Socket {
    /// Reads what is there; `WouldBlock` if nothing is, 0 at the end.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => try_read(stream, buffer),
            #[cfg(test)]
            Self::Memory(socket) => socket.try_read(buffer),
        }
    }

    /// Ready when there is something to read, or the end. One task alone may wait for that.
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(context),
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
            Self::Tcp(stream) => {
                let mut byte = [std::mem::MaybeUninit::uninit()];
                socket2::SockRef::from(stream).peek(&mut byte).is_ok()
            }
            #[cfg(test)]
            Self::Memory(socket) => socket.has_unread(),
        }
    }

    /// How many bytes that were written the peer has not acknowledged; 0 where the system can't tell.
    pub(super) fn unacknowledged(&self) -> u64 {
        match self {
            Self::Tcp(stream) => unacknowledged(stream),
            #[cfg(test)]
            Self::Memory(socket) => socket.unacknowledged(),
        }
    }

    /// Closes one or both directions.
    pub(crate) fn shutdown(&self, how: Shutdown) {
        match self {
            // A socket that the client has closed already can't be shut down, and need not be.
            Self::Tcp(stream) => drop(socket2::SockRef::from(stream).shutdown(how)),
            #[cfg(test)]
            Self::Memory(socket) => socket.shutdown(how),
        }
    }

    /// Writes what fits; `WouldBlock` if nothing does.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => send(stream, bytes),
            #[cfg(test)]
            Self::Memory(socket) => socket.try_write(bytes),
        }
    }

    /// Ready when a write may take something. One task alone may wait for that.
    pub(super) fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(context),
            #[cfg(test)]
            Self::Memory(socket) => socket.poll_writable(context),
        }
    }
}

/// Straight to the socket, which almost always has room: what tokio knows of it lies elsewhere in memory. Where there is none, tokio
/// must find that too, to wait for it.
#[cfg(target_os = "linux")]
fn send(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    use rustix::io::Errno;
    use rustix::net::SendFlags;
    match rustix::net::send(stream, bytes, SendFlags::NOSIGNAL) {
        Err(Errno::WOULDBLOCK) => stream.try_write(bytes),
        sent => Ok(sent?),
    }
}

#[cfg(not(target_os = "linux"))]
fn send(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    stream.try_write(bytes)
}

/// `TcpStream::try_read`, which a read that did not fill the buffer is the last one of until more arrives: epoll announces what
/// arrives after the read, so another one now would ask the system for nothing. An end has no such bound: it stays readable.
fn try_read(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    let read = stream.try_io(Interest::READABLE, || {
        count = (&*socket2::SockRef::from(stream)).read(buffer)?;
        match is_drained(count, buffer.len()) {
            // tokio takes this for a socket that must be waited for, unless it was announced again meanwhile.
            true => Err(io::ErrorKind::WouldBlock.into()),
            false => Ok(count),
        }
    });
    match read {
        Err(error) if count == 0 => Err(error),
        _ => Ok(count),
    }
}

/// Whether a read of so many bytes into so much room has left nothing. Known of epoll, which tells of changes.
const fn is_drained(count: usize, room: usize) -> bool {
    cfg!(target_os = "linux") && 0 < count && count < room
}

/// `SIOCOUTQ`: what TCP holds, sent or not, until it is acknowledged.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
fn unacknowledged(stream: &TcpStream) -> u64 {
    use rustix::ioctl::{Getter, Opcode, ioctl};
    const SIOCOUTQ: Opcode = 0x5411;
    #[expect(unsafe_code, reason = "no safe call asks a socket for its send queue")]
    // SAFETY: SIOCOUTQ writes one int to where its argument points, and the getter holds one.
    let bytes = unsafe { ioctl(stream, Getter::<SIOCOUTQ, std::ffi::c_int>::new()) };
    bytes.map_or(0, |bytes| u64::try_from(bytes).unwrap_or(0))
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
fn unacknowledged(_stream: &TcpStream) -> u64 {
    0
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
        let unacknowledged = socket.unacknowledged();
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
            while socket.unacknowledged() > 0 {
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
