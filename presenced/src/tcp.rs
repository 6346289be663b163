//! Calls on a TCP socket that tokio does not have, or that cost less than tokio's. Nothing here blocks, and nothing is kept.

use std::io::{self, Read as _};

use tokio::io::Interest;
use tokio::net::TcpStream;

/// Straight to the socket, which almost always has room: what tokio knows of it lies elsewhere in memory. Where there is none, tokio
/// must find that too, to wait for it.
#[cfg(target_os = "linux")]
#[inline]
pub(crate) fn send(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    use rustix::io::Errno;
    use rustix::net::SendFlags;
    match rustix::net::send(stream, bytes, SendFlags::NOSIGNAL) {
        Err(Errno::WOULDBLOCK) => stream.try_write(bytes),
        sent => Ok(sent?),
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn send(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    stream.try_write(bytes)
}

/// `TcpStream::try_read`, which a read that did not fill the buffer is the last one of until more arrives: epoll announces what
/// arrives after the read, so another one now would ask the system for nothing. An end has no such bound: it stays readable.
#[inline]
pub(crate) fn try_read(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
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

/// Whether bytes, or the peer's end, wait in the socket.
pub(crate) fn has_unread(stream: &TcpStream) -> bool {
    let mut byte = [std::mem::MaybeUninit::uninit()];
    socket2::SockRef::from(stream).peek(&mut byte).is_ok()
}

/// `SIOCOUTQ`: what TCP holds, sent or not, until it is acknowledged; 0 where the system can't tell.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline]
pub(crate) fn unacknowledged(stream: &TcpStream) -> u64 {
    use rustix::ioctl::{Getter, Opcode, ioctl};
    const SIOCOUTQ: Opcode = 0x5411;
    #[expect(unsafe_code, reason = "no safe call asks a socket for its send queue")]
    // SAFETY: SIOCOUTQ writes one int to where its argument points, and the getter holds one.
    let bytes = unsafe { ioctl(stream, Getter::<SIOCOUTQ, std::ffi::c_int>::new()) };
    bytes.map_or(0, |bytes| u64::try_from(bytes).unwrap_or(0))
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
pub(crate) fn unacknowledged(_stream: &TcpStream) -> u64 {
    0
}
