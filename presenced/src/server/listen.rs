//! The listening socket, and the limit on open files that bounds how many connections it can accept.

use std::io;
use std::net::{SocketAddr, TcpListener};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the kernel completes for us while we are busy. A reconnect storm after a restart must fit, or clients
/// wait a second for the retransmission of their SYN; the kernel caps it at `net.core.somaxconn` (4096 by default).
const BACKLOG: i32 = 4096;

/// Binds and listens. Nothing is accepted yet.
///
/// # Errors
/// The address is taken, or not ours.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the TIME_WAIT of its predecessor's connections.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Raises the soft limit on open files to the hard limit, and returns the limit in effect.
pub(crate) fn raise_file_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(%error, "can't raise the limit on open files");
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// 90 % of the limit on open files: the rest is for the store, logs and connections that are being rejected.
pub(crate) fn default_max_connections(open_files: u64) -> usize {
    usize::try_from(open_files - open_files / 10).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_max_connections_leaves_a_tenth_of_the_files() {
        assert_eq!(default_max_connections(1024), 922);
        assert_eq!(default_max_connections(20_000), 18_000);
    }

    #[test]
    fn the_soft_file_limit_is_raised_to_the_hard_limit() {
        let limit = raise_file_limit();
        assert_eq!(Some(limit), getrlimit(Resource::Nofile).maximum.or(Some(u64::MAX)));
    }
}
