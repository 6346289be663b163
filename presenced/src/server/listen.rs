//! The listening socket, and the limit on open files that bounds how many connections it can accept.

use std::io;
use std::net::{SocketAddr, TcpListener};

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the kernel completes for us while we are busy. A reconnect storm after a restart must fit, or clients
/// wait a second for the retransmission of their SYN; the kernel caps it at `net.core.somaxconn` (4096 by default).
const BACKLOG: i32 = 4096;

/// An address that is ours, and where clients are told that nobody listens until somebody does.
#[derive(Debug)]
pub(crate) struct BoundAddress(Socket);

impl BoundAddress {
    /// Takes the address.
    ///
    /// # Errors
    /// The address is taken, or not one of this machine.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // A restart must not wait for the TIME_WAIT of its predecessor's connections.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        // A response is one small write; waiting for the client's ACK of the one before would delay it by 40 ms. Accepted sockets
        // inherit it.
        socket.set_tcp_nodelay(true)?;
        socket.bind(&address.into())?;
        Ok(Self(socket))
    }

    /// The address, with the port that was chosen if none was named.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        let not_inet = || io::Error::other("not an address of the internet protocol");
        self.0.local_addr()?.as_socket().ok_or_else(not_inet)
    }

    /// Connections wait in the kernel's queue from now on. To call this again does no harm.
    ///
    /// # Errors
    /// Another socket listens there meanwhile.
    pub(crate) fn listen(&self) -> io::Result<()> {
        self.0.listen(BACKLOG)
    }
}

impl From<BoundAddress> for TcpListener {
    fn from(bound: BoundAddress) -> Self {
        bound.0.into()
    }
}

/// Binds and listens. Nothing is accepted yet.
///
/// # Errors
/// The address is taken, or not ours.
#[cfg(test)]
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let bound = BoundAddress::bind(address)?;
    bound.listen()?;
    Ok(bound.into())
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

/// Room in the table of open files that is made at the start: 512 KiB of the kernel at most.
const RESERVED_MAX: u64 = 65_536;

/// Makes room for so many open files at once. The kernel would double its table whenever that is full, and in a process with
/// several threads it waits for all processors each time (`expand_fdtable`, `synchronize_rcu`): some 20 ms in which nobody is
/// accepted, six times until 5,000 clients are back.
pub(crate) fn reserve_files(open_files: u64) -> io::Result<()> {
    let highest = open_files.min(RESERVED_MAX).saturating_sub(1);
    let any = std::fs::File::open("/")?;
    fcntl_dupfd_cloexec(&any, i32::try_from(highest).unwrap_or(i32::MAX))?;
    Ok(())
}

/// Files that the daemon has open besides connections, when nothing is wrong: database, logs, listeners, the runtime. With some
/// room.
const OWN_FILES: u64 = 32;
/// Fewest open files with which the daemon is of use: half of what its own leave are connections.
pub(crate) const FILES_MIN: u64 = 64;

/// How many connections a limit on open files allows, and how many may be rejected gracefully at the same time: both take files
/// beside the daemon's own. Without a file to accept with, a client would wait for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileShares {
    /// If the operator names no number.
    pub(crate) connections: usize,
    /// The most that the operator can have.
    pub(crate) connections_max: usize,
    pub(crate) rejections: usize,
}

impl FileShares {
    /// 90 % of the files are for connections, and 32 for rejections, as far as there are so many.
    pub(crate) fn of(open_files: u64) -> Self {
        let spare = open_files.saturating_sub(OWN_FILES);
        let rejections = GRACEFUL_MAX.min(spare / 2);
        let connections_max = spare - rejections;
        let connections = connections_max.min(open_files - open_files / 10);
        Self {
            connections: usize::try_from(connections).unwrap_or(usize::MAX),
            connections_max: usize::try_from(connections_max).unwrap_or(usize::MAX),
            rejections: usize::try_from(rejections).unwrap_or(0),
        }
    }
}

/// Connections that are rejected gracefully at the same time, at most.
const GRACEFUL_MAX: u64 = 32;

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_bound_address_refuses_clients_until_it_listens() {
        let bound = BoundAddress::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("an address");
        let address = bound.address().expect("a port");
        let refused = TcpStream::connect(address).expect_err("nobody listens");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        bound.listen().expect("a queue");
        bound.listen().expect("the same queue");
        let listener = TcpListener::from(bound);
        assert_eq!(listener.local_addr().expect("an address"), address);
        assert!(TcpStream::connect(address).is_ok());
    }

    #[test]
    fn accepted_connections_send_small_writes_at_once() {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a listener");
        let _client = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        listener.set_nonblocking(false).expect("a blocking one");
        let (accepted, _) = listener.accept().expect("a connection");
        assert!(accepted.nodelay().expect("an option"));
    }

    #[test]
    fn connections_leave_files_to_the_daemon_and_to_rejections() {
        for (open_files, connections, connections_max, rejections) in [
            (20, 0, 0, 0),
            (FILES_MIN, 16, 16, 16),
            (96, 32, 32, 32),
            (256, 192, 192, 32),
            (1024, 922, 960, 32),
            (20_000, 18_000, 19_936, 32),
        ] {
            let expected = FileShares {
                connections,
                connections_max,
                rejections,
            };
            assert_eq!(FileShares::of(open_files), expected, "{open_files}");
        }
    }

    #[test]
    fn room_for_open_files_is_made_at_once() {
        let limit = raise_file_limit();
        reserve_files(limit).expect("a file");
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
        let room = status.lines().find_map(|line| line.strip_prefix("FDSize:"));
        let room: u64 = room.expect("a line").trim().parse().expect("a number");
        assert!(room >= limit.min(RESERVED_MAX), "{room} of {limit}");
    }

    #[test]
    fn the_soft_file_limit_is_raised_to_the_hard_limit() {
        let limit = raise_file_limit();
        assert_eq!(Some(limit), getrlimit(Resource::Nofile).maximum.or(Some(u64::MAX)));
    }
}
