//! The socket of a connection: TCP, or for tests a pair of buffers whose room the test decides.

use std::io;
use std::net::Shutdown;

use tokio::net::TcpStream;

/// The socket of a connection. Nothing here blocks.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    #[cfg(test)]
    Memory(memory::MemorySocket),
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
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

    /// Waits until there is something to read, or the end.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.readable().await,
            #[cfg(test)]
            Self::Memory(socket) => socket.readable().await,
        }
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
            Self::Tcp(stream) => stream.try_write(bytes),
            #[cfg(test)]
            Self::Memory(socket) => socket.try_write(bytes),
        }
    }

    /// Waits until a write may take something.
    pub(super) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.writable().await,
            #[cfg(test)]
            Self::Memory(socket) => socket.writable().await,
        }
    }
}

/// A socket in memory: one buffer for what the daemon writes, one for what it reads.
#[cfg(test)]
pub(crate) mod memory {
    use std::collections::VecDeque;
    use std::io;
    use std::net::Shutdown;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tokio::sync::Notify;

    /// The daemon's end.
    #[derive(Debug)]
    pub(crate) struct MemorySocket(Arc<Pipe>);

    /// The client's end.
    #[derive(Debug, Clone)]
    pub(crate) struct MemoryPeer(Arc<Pipe>);

    #[derive(Debug)]
    struct Pipe {
        buffers: Mutex<Buffers>,
        changed: Notify,
    }

    #[derive(Debug)]
    struct Buffers {
        to_client: VecDeque<u8>,
        /// How many bytes `to_client` holds at most.
        room: usize,
        to_daemon: VecDeque<u8>,
        is_write_closed: bool,
        is_read_closed: bool,
    }

    /// A connected pair; the client takes `room` bytes before it must read.
    pub(crate) fn pair(room: usize) -> (MemorySocket, MemoryPeer) {
        let pipe = Arc::new(Pipe {
            buffers: Mutex::new(Buffers {
                to_client: VecDeque::new(),
                room,
                to_daemon: VecDeque::new(),
                is_write_closed: false,
                is_read_closed: false,
            }),
            changed: Notify::new(),
        });
        (MemorySocket(Arc::clone(&pipe)), MemoryPeer(pipe))
    }

    impl Pipe {
        async fn until(&self, is_so: impl Fn(&Buffers) -> bool) {
            loop {
                let changed = self.changed.notified();
                if is_so(&self.buffers.lock()) {
                    return;
                }
                changed.await;
            }
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

        pub(super) async fn readable(&self) -> io::Result<()> {
            let is_readable = |buffers: &Buffers| !buffers.to_daemon.is_empty() || buffers.is_read_closed;
            self.0.until(is_readable).await;
            Ok(())
        }

        pub(super) fn has_unread(&self) -> bool {
            let buffers = self.0.buffers.lock();
            !buffers.to_daemon.is_empty() || buffers.is_read_closed
        }

        pub(super) fn shutdown(&self, how: Shutdown) {
            let mut buffers = self.0.buffers.lock();
            buffers.is_write_closed |= matches!(how, Shutdown::Write | Shutdown::Both);
            buffers.is_read_closed |= matches!(how, Shutdown::Read | Shutdown::Both);
            drop(buffers);
            self.0.changed.notify_waiters();
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
            drop(buffers);
            self.0.changed.notify_waiters();
            Ok(count)
        }

        pub(super) async fn writable(&self) -> io::Result<()> {
            self.0
                .until(|buffers| buffers.is_write_closed || buffers.to_client.len() < buffers.room)
                .await;
            Ok(())
        }
    }

    impl MemoryPeer {
        /// Takes everything that the daemon has sent.
        pub(crate) fn take(&self) -> Vec<u8> {
            let taken = self.0.buffers.lock().to_client.drain(..).collect();
            self.0.changed.notify_waiters();
            taken
        }
    }
}
