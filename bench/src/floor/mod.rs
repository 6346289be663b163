//! The floor: an epoll server that does what the workloads need and nothing else. It writes the same bytes as the daemon, with
//! one `write(2)` for each connection and event. It checks no credential, keeps nothing on disk, and of the WebSocket protocol
//! it knows the answer to the handshake and frames that are whole.

mod request;

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::LazyLock;

use anyhow::{Context as _, Result};
use memchr::memmem;
use memchr::memmem::Finder;
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use socket2::{Domain, Socket, Type};
use tungstenite::handshake::derive_accept_key;

use crate::frame::{self, Frame};
use crate::pipe::Pipe;
use crate::poller::{Poller, Ready};
use crate::record::{self, Status};
use crate::user::{self, User};
use request::Request;

/// As many as the system lets wait, as the daemon.
const BACKLOG: i32 = 4_096;
const BUFFER_BYTES: usize = 1 << 20;
/// The number of the listener among the sockets.
const LISTENER: usize = usize::MAX;
/// The longest frame of the daemon.
const FRAME_BYTES: usize = 64 * 1_024;

struct Floor {
    poller: Poller,
    listener: TcpListener,
    /// By number; none once it is closed.
    connections: Vec<Option<Peer>>,
    /// The numbers of closed connections.
    free: Vec<usize>,
    /// By number of the user.
    users: Vec<Entry>,
    revision: u64,
    /// What is written is built here.
    out: Vec<u8>,
}

struct Peer {
    pipe: Pipe,
    /// None until the handshake, and of observers.
    user: Option<User>,
    is_upgraded: bool,
    watched: Vec<User>,
}

#[derive(Default)]
struct Entry {
    status: Status,
    /// The record as it is sent; empty until it is needed.
    record: Vec<u8>,
    /// The connections that watch the user.
    watchers: Vec<usize>,
}

impl Entry {
    fn present(user: User) -> Self {
        Self {
            status: Status::Online,
            record: record::encode_internal(user, Status::Online),
            watchers: Vec::new(),
        }
    }
}

/// Serves until the process is killed. So many users are present from the start.
pub(crate) fn run(present: usize) -> Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // Accepted sockets inherit it.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    let poller = Poller::new()?;
    poller.add(&listener, LISTENER)?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    let mut floor = Floor {
        poller,
        listener,
        connections: Vec::new(),
        free: Vec::new(),
        users: (0..present).map(Entry::present).collect(),
        revision: record::FIRST_REVISION,
        out: Vec::new(),
    };
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut ready = Vec::new();
    loop {
        floor.poller.wait(None, &mut ready)?;
        for ready in ready.drain(..) {
            floor.handle(ready, &mut buffer)?;
        }
    }
}

impl Floor {
    fn handle(&mut self, ready: Ready, buffer: &mut [u8]) -> Result<()> {
        if ready.number == LISTENER {
            return self.accept();
        }
        if ready.is_writable
            && let Some(open) = &mut self.connections[ready.number]
        {
            open.pipe.flush(&self.poller, ready.number)?;
        }
        if ready.is_readable {
            self.read(ready.number, buffer)?;
        }
        Ok(())
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            match accept_with(&self.listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok(socket) => self.add(TcpStream::from(socket))?,
                Err(Errno::WOULDBLOCK) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn add(&mut self, stream: TcpStream) -> Result<()> {
        let number = self.free.pop().unwrap_or(self.connections.len());
        if number == self.connections.len() {
            self.connections.push(None);
        }
        self.connections[number] = Some(Peer {
            pipe: Pipe::new(stream, &self.poller, number)?,
            user: None,
            is_upgraded: false,
            watched: Vec::new(),
        });
        Ok(())
    }

    fn read(&mut self, number: usize, buffer: &mut [u8]) -> Result<()> {
        let Some(open) = &mut self.connections[number] else {
            return Ok(());
        };
        let Some(filled) = open.pipe.read(buffer)? else {
            return self.close(number);
        };
        let mut at = 0;
        while let Some(open) = &mut self.connections[number] {
            let text = &buffer[at..filled];
            let end = match open.is_upgraded {
                false => memmem::find(text, b"\r\n\r\n").map(|head| head + 4),
                true => Frame::parse(text).map(|frame| frame.payload.end),
            };
            let Some(end) = end else {
                open.pipe.keep(text);
                return Ok(());
            };
            match open.is_upgraded {
                false => self.upgrade(number, &text[..end])?,
                true => self.on_frame(number, &text[..end])?,
            }
            at += end;
        }
        Ok(())
    }

    /// Answers the handshake and greets, in one write.
    fn upgrade(&mut self, number: usize, head: &[u8]) -> Result<()> {
        let key = header(head, &KEY).context("a handshake without a key")?;
        let user = header(head, &USER_ID).and_then(user::parse);
        if let Some(user) = user {
            self.set_status(user, Status::Online)?;
        }
        let record = user.map(|user| self.users[user].record.as_slice());
        let mut answer = Vec::with_capacity(1_024);
        for part in [UPGRADED, &derive_accept_key(key), "\r\n\r\n"] {
            answer.extend_from_slice(part.as_bytes());
        }
        let greeting = frame::build(&mut self.out, frame::TEXT, |text| record::encode_welcome(text, record));
        answer.extend_from_slice(greeting);
        if let Some(open) = &mut self.connections[number] {
            (open.user, open.is_upgraded) = (user, true);
        }
        self.write(number, &answer)
    }

    fn on_frame(&mut self, number: usize, bytes: &[u8]) -> Result<()> {
        let Some(frame) = Frame::parse(bytes) else {
            return Ok(());
        };
        if frame.opcode == frame::CLOSE {
            let mut answer = Vec::new();
            frame::encode(frame::CLOSE, &frame.text(bytes), &mut answer);
            self.write(number, &answer)?;
            return self.close(number);
        }
        match Request::parse(&frame.text(bytes))? {
            Request::Watch(users) => self.watch(number, users),
            Request::WatchAll => self.watch_all(number),
            Request::Activity { id, is_idle } => {
                let Some(user) = self.connections[number].as_ref().and_then(|open| open.user) else {
                    return Ok(());
                };
                let status = if is_idle { Status::Idle } else { Status::Online };
                self.set_status(user, status)?;
                let mut answer = Vec::new();
                let ok = record::encode_ok(&id, &self.users[user].record);
                frame::encode(frame::TEXT, &ok, &mut answer);
                self.write(number, &answer)
            }
        }
    }

    /// Answers with the records of these users, and tells the connection of their changes from here on.
    fn watch(&mut self, number: usize, users: Vec<User>) -> Result<()> {
        for user in &users {
            let entry = self.entry(*user);
            entry.watchers.push(number);
            if entry.record.is_empty() {
                entry.record = record::encode(*user, Status::Offline, 0);
            }
        }
        let records = users.iter().map(|user| self.users[*user].record.as_slice());
        let answer = frame::build(&mut self.out, frame::TEXT, |text| {
            record::encode_snapshot(text, records, true);
        });
        if let Some(open) = &mut self.connections[number] {
            open.pipe.write(answer, &self.poller, number)?;
            open.watched.extend(users);
        }
        Ok(())
    }

    /// Answers with all records, in frames of bounded length.
    fn watch_all(&mut self, number: usize) -> Result<()> {
        let present = self.users.iter().filter(|entry| entry.status != Status::Offline);
        let mut rest = present.peekable();
        let Some(open) = &mut self.connections[number] else {
            return Ok(());
        };
        while rest.peek().is_some() {
            let (mut length, mut records) = (0, Vec::new());
            while let Some(entry) = rest.next_if(|entry| length + entry.record.len() < FRAME_BYTES) {
                length += entry.record.len() + 1;
                records.push(entry.record.as_slice());
            }
            let is_done = rest.peek().is_none();
            let answer = frame::build(&mut self.out, frame::TEXT, |text| {
                record::encode_snapshot(text, records.into_iter(), is_done);
            });
            open.pipe.write(answer, &self.poller, number)?;
        }
        Ok(())
    }

    /// Gives a user a status, and tells all of its watchers: one write each.
    fn set_status(&mut self, user: User, status: Status) -> Result<()> {
        self.revision += 1;
        let revision = self.revision;
        let entry = self.entry(user);
        entry.status = status;
        entry.record.clear();
        record::encode_into(&mut entry.record, user, status, revision);
        let entry = &self.users[user];
        if entry.watchers.is_empty() {
            return Ok(());
        }
        let event = frame::build(&mut self.out, frame::TEXT, |text| {
            text.extend_from_slice(&record::encode_presence(&entry.record));
        });
        for watcher in &entry.watchers {
            if let Some(open) = &mut self.connections[*watcher] {
                open.pipe.write(event, &self.poller, *watcher)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, user: User) -> &mut Entry {
        if user >= self.users.len() {
            self.users.resize_with(user + 1, Entry::default);
        }
        &mut self.users[user]
    }

    fn write(&mut self, number: usize, bytes: &[u8]) -> Result<()> {
        if let Some(open) = &mut self.connections[number] {
            open.pipe.write(bytes, &self.poller, number)?;
        }
        Ok(())
    }

    fn close(&mut self, number: usize) -> Result<()> {
        let Some(closed) = self.connections[number].take() else {
            return Ok(());
        };
        for user in closed.watched {
            self.users[user].watchers.retain(|watcher| *watcher != number);
        }
        self.free.push(number);
        closed
            .user
            .map_or(Ok(()), |user| self.set_status(user, Status::Offline))
    }
}

const UPGRADED: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-accept: ";
static KEY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\nSec-WebSocket-Key: "));
static USER_ID: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\nx-user-id: "));

/// The value of a header, by what stands before it.
fn header<'a>(head: &'a [u8], name: &Finder<'_>) -> Option<&'a [u8]> {
    let rest = &head[name.find(head)? + name.needle().len()..];
    Some(&rest[..memchr::memchr(b'\r', rest)?])
}

#[test]
fn a_header_is_found_by_its_name() {
    let head = b"GET /ws HTTP/1.1\r\nSec-WebSocket-Key: abc==\r\nx-user-id: u-000007\r\n\r\n";
    assert_eq!(header(head, &KEY), Some(b"abc==".as_slice()));
    assert_eq!(header(head, &USER_ID).and_then(user::parse), Some(7));
    assert_eq!(header(b"GET /ws HTTP/1.1\r\n\r\n", &USER_ID), None);
}
