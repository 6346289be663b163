//! A TCP socket with TLS over it, with the calls of a plain one: the delivery writes and the connection's task reads, each without
//! waiting. Everything that was encrypted has left, or a write says that the socket is full: so who counts what waits for a
//! socket, and for how long, finds the same as without TLS.

use std::fmt;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::TlsMachine;
use super::machine::RECORD_PLAIN_MAX_BYTES;
use crate::tcp;

/// What has become of the bytes that a socket was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SentBytes {
    /// All that were written.
    pub(crate) written: u64,
    /// How many of them the peer has not acknowledged.
    pub(crate) unacknowledged: u64,
}

/// An encrypted connection whose handshake is done.
pub(crate) struct TlsSocket {
    tcp: TcpStream,
    state: Mutex<State>,
}

struct State {
    machine: TlsMachine,
    /// The first byte of the next write is encrypted already: it was kept back so that the socket counts as full until the
    /// record that it belongs to has left.
    has_first_byte: bool,
}

impl fmt::Debug for TlsSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TlsSocket").field(&self.tcp).finish_non_exhaustive()
    }
}

impl TlsSocket {
    pub(super) fn new(tcp: TcpStream, machine: TlsMachine) -> Self {
        Self {
            tcp,
            state: Mutex::new(State {
                machine,
                has_first_byte: false,
            }),
        }
    }

    /// The socket below.
    pub(crate) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// Reads what is there; `WouldBlock` if nothing is, 0 at the end.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let machine = &mut self.state.lock().machine;
        loop {
            if machine.has_plain() {
                return Ok(machine.take_plain(buffer));
            }
            if machine.has_ended() {
                return Ok(0);
            }
            let read = machine.read(|room| tcp::try_read(&self.tcp, room));
            // An answer to a change of keys, or why the connection fails; what does not fit leaves with the next write.
            let _ = flush(&self.tcp, machine);
            if read? == 0 {
                machine.end();
            }
        }
    }

    /// Ready when there is something to read, or the end. One task alone may wait for that.
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.has_decrypted() {
            true => Poll::Ready(Ok(())),
            false => self.tcp.poll_read_ready(context),
        }
    }

    /// Whether bytes, or the peer's end, wait to be read.
    pub(crate) fn has_unread(&self) -> bool {
        self.has_decrypted() || tcp::has_unread(&self.tcp)
    }

    fn has_decrypted(&self) -> bool {
        let machine = &self.state.lock().machine;
        machine.has_plain() || machine.has_ended()
    }

    /// How many encrypted bytes there were, and how many of them the peer has not acknowledged.
    pub(crate) fn sent(&self) -> SentBytes {
        let machine = &self.state.lock().machine;
        SentBytes {
            written: machine.encrypted(),
            unacknowledged: machine.outgoing().len() as u64 + tcp::unacknowledged(&self.tcp),
        }
    }

    /// Writes what fits, a record at most; `WouldBlock` if nothing does. The rest must be what is written next.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let State {
            machine,
            has_first_byte,
        } = &mut *self.state.lock();
        flush(&self.tcp, machine)?;
        if bytes.is_empty() {
            return Ok(0);
        }
        if std::mem::take(has_first_byte) {
            return Ok(1);
        }
        let count = bytes.len().min(RECORD_PLAIN_MAX_BYTES);
        machine.encrypt(bytes.get(..count).unwrap_or_default())?;
        match flush(&self.tcp, machine) {
            Ok(()) => Ok(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                *has_first_byte = true;
                match count - 1 {
                    0 => Err(error),
                    taken => Ok(taken),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Closes one or both directions. If it is only that of writing, the peer is told that nothing was cut off.
    pub(crate) fn shutdown(&self, how: Shutdown) {
        if how == Shutdown::Write {
            let machine = &mut self.state.lock().machine;
            if machine.outgoing().is_empty() {
                let _ = machine.say_goodbye().and_then(|()| flush(&self.tcp, machine));
            }
        }
        // A socket that the client has closed already can't be shut down, and need not be.
        drop(socket2::SockRef::from(&self.tcp).shutdown(how));
    }

    /// Encrypted bytes that wait for the socket.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.state.lock().machine.outgoing().len()
    }

    /// Bytes of memory that its buffers have.
    #[cfg(test)]
    pub(super) fn buffered_capacity(&self) -> usize {
        self.state.lock().machine.buffered_capacity()
    }

    fn poll_flushed(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match flush(&self.tcp, &mut self.state.lock().machine) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.tcp.poll_write_ready(context))?,
                flushed => return Poll::Ready(flushed),
            }
        }
    }
}

/// Sends what is encrypted; `WouldBlock` if the socket does not take all of it.
pub(super) fn flush(tcp: &TcpStream, machine: &mut TlsMachine) -> io::Result<()> {
    while !machine.outgoing().is_empty() {
        match tcp::send(tcp, machine.outgoing()) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => machine.note_sent(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl AsyncRead for TlsSocket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_readable(context))?;
            match self.try_read(buffer.initialize_unfilled()) {
                Ok(count) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for TlsSocket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.tcp.poll_write_ready(context))?,
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flushed(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flushed(context))?;
        self.shutdown(Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}
