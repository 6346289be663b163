//! A socket in memory, for tests: one buffer for what the daemon writes, one for what it reads.

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
