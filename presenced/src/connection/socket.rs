//! The socket of a connection: TCP, or for tests a pair of buffers whose room the test decides.

use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::task::{Context, Poll};

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
            Self::Tcp(stream) => stream.try_read(buffer),
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
    use tokio::io::AsyncReadExt;
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

/// A socket in memory: one buffer for what the daemon writes, one for what it reads.
#[cfg(test)]
pub(crate) mod memory {
    use std::collections::VecDeque;
    use std::io;
    use std::net::Shutdown;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use parking_lot::{Mutex, MutexGuard};

    /// The daemon's end.
    #[derive(Debug)]
    pub(crate) struct MemorySocket(Arc<Pipe>);

    /// The client's end.
    #[derive(Debug, Clone)]
    pub(crate) struct MemoryPeer(Arc<Pipe>);

    #[derive(Debug)]
    struct Pipe {
        buffers: Mutex<Buffers>,
    }

    #[derive(Debug)]
    struct Buffers {
        to_client: VecDeque<u8>,
        /// How many bytes `to_client` holds at most.
        room: usize,
        /// Whether bytes count as acknowledged only once the client takes them.
        is_acknowledged_late: bool,
        to_daemon: VecDeque<u8>,
        is_write_closed: bool,
        is_read_closed: bool,
        /// Who waits for a change.
        waiting: Vec<Waker>,
    }

    /// A connected pair; the client takes `room` bytes before it must read.
    pub(crate) fn pair(room: usize) -> (MemorySocket, MemoryPeer) {
        let pipe = Arc::new(Pipe {
            buffers: Mutex::new(Buffers {
                to_client: VecDeque::new(),
                room,
                is_acknowledged_late: false,
                to_daemon: VecDeque::new(),
                is_write_closed: false,
                is_read_closed: false,
                waiting: Vec::new(),
            }),
        });
        (MemorySocket(Arc::clone(&pipe)), MemoryPeer(pipe))
    }

    impl Pipe {
        fn poll_until(&self, context: &Context<'_>, is_so: impl Fn(&Buffers) -> bool) -> Poll<io::Result<()>> {
            let mut buffers = self.buffers.lock();
            if is_so(&buffers) {
                return Poll::Ready(Ok(()));
            }
            buffers.waiting.push(context.waker().clone());
            Poll::Pending
        }

        fn wake(mut buffers: MutexGuard<'_, Buffers>) {
            let waiting = std::mem::take(&mut buffers.waiting);
            drop(buffers);
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    impl MemorySocket {
        pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
            let mut buffers = self.0.buffers.lock();
            if buffers.to_daemon.is_empty() && !buffers.is_read_closed {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let count = buffer.len().min(buffers.to_daemon.len());
            for (place, byte) in buffer.iter_mut().zip(buffers.to_daemon.drain(..count)) {
                *place = byte;
            }
            Ok(count)
        }

        pub(super) fn poll_readable(&self, context: &Context<'_>) -> Poll<io::Result<()>> {
            let is_readable = |buffers: &Buffers| !buffers.to_daemon.is_empty() || buffers.is_read_closed;
            self.0.poll_until(context, is_readable)
        }

        pub(super) fn has_unread(&self) -> bool {
            let buffers = self.0.buffers.lock();
            !buffers.to_daemon.is_empty() || buffers.is_read_closed
        }

        pub(super) fn unacknowledged(&self) -> u64 {
            let buffers = self.0.buffers.lock();
            let held = if buffers.is_acknowledged_late {
                buffers.to_client.len()
            } else {
                0
            };
            held as u64
        }

        pub(super) fn shutdown(&self, how: Shutdown) {
            let mut buffers = self.0.buffers.lock();
            buffers.is_write_closed |= matches!(how, Shutdown::Write | Shutdown::Both);
            buffers.is_read_closed |= matches!(how, Shutdown::Read | Shutdown::Both);
            Pipe::wake(buffers);
        }

        pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
            let mut buffers = self.0.buffers.lock();
            if buffers.is_write_closed {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let count = bytes.len().min(buffers.room.saturating_sub(buffers.to_client.len()));
            if count == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            buffers.to_client.extend(bytes.iter().take(count));
            Pipe::wake(buffers);
            Ok(count)
        }

        pub(super) fn poll_writable(&self, context: &Context<'_>) -> Poll<io::Result<()>> {
            let has_room = |buffers: &Buffers| buffers.is_write_closed || buffers.to_client.len() < buffers.room;
            self.0.poll_until(context, has_room)
        }
    }

    impl MemoryPeer {
        /// From now on bytes count as acknowledged only once they are taken, as over a slow link.
        pub(crate) fn acknowledge_late(&self) {
            self.0.buffers.lock().is_acknowledged_late = true;
        }

        /// Takes up to `count` bytes of what the daemon has sent.
        pub(crate) fn take_some(&self, count: usize) -> Vec<u8> {
            let mut buffers = self.0.buffers.lock();
            let count = count.min(buffers.to_client.len());
            let taken = buffers.to_client.drain(..count).collect();
            Pipe::wake(buffers);
            taken
        }

        /// Takes everything that the daemon has sent.
        pub(crate) fn take(&self) -> Vec<u8> {
            let mut buffers = self.0.buffers.lock();
            let taken = buffers.to_client.drain(..).collect();
            Pipe::wake(buffers);
            taken
        }
    }
}
