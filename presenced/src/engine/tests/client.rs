//! A client of the fixture over a real socket, which reads what its connection is sent.

use std::sync::Arc;

use presence::wire::record::Update;
use presence::wire::server_message::ServerMessage;
use presence::{Cursor, EndReason, UserId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::fixture::{DEADLINE, Fixture};
use crate::connection::Connection;

pub(super) struct Client {
    pub(super) conn: Arc<Connection>,
    peer: TcpStream,
    task: JoinHandle<()>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Client {
    /// A connection to the fixture's engine, which is nobody's session yet.
    pub(super) async fn of(fixture: &Fixture, user: Option<UserId>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let peer = TcpStream::connect(listener.local_addr().expect("an address"))
            .await
            .expect("a socket");
        let (socket, _) = listener.accept().await.expect("a connection");
        let conn = Connection::new(
            socket,
            fixture.engine.new_session(),
            user,
            fixture.engine.connection_context(),
        );
        let attended = Arc::clone(&conn);
        let task = tokio::spawn(async move {
            loop {
                attended.attend().await;
            }
        });
        Self { conn, peer, task }
    }

    /// The next message.
    pub(super) async fn next(&mut self) -> ServerMessage {
        let text = tokio::time::timeout(DEADLINE, self.read())
            .await
            .expect("a message in time");
        assert!(text.len() <= 64 * 1024, "a message of {} bytes", text.len());
        serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&text)))
    }

    /// The next event's records and cursor; anything but a pong before it is a failure.
    pub(super) async fn event(&mut self) -> (Vec<Update>, Cursor) {
        loop {
            match self.next().await {
                ServerMessage::Pong { .. } => {}
                ServerMessage::Presence { users, cursor, .. } => return (users, cursor.parse().expect("a cursor")),
                other => panic!("no event: {other:?}"),
            }
        }
    }

    /// All frames of the next snapshot: its records, whether it resumed, and its last cursor.
    pub(super) async fn snapshot(&mut self) -> (Vec<Update>, bool, Cursor) {
        let mut all = Vec::new();
        loop {
            match self.next().await {
                ServerMessage::Pong { .. } => {}
                ServerMessage::Snapshot {
                    users,
                    resumed,
                    done,
                    cursor,
                    ..
                } => {
                    all.extend(users);
                    if done {
                        return (all, resumed, cursor.parse().expect("a cursor"));
                    }
                }
                other => panic!("no snapshot: {other:?}"),
            }
        }
    }

    /// Whether something has arrived that was not read.
    pub(super) fn has_unread(&self) -> bool {
        let mut byte = [std::mem::MaybeUninit::uninit()];
        socket2::SockRef::from(&self.peer).peek(&mut byte).is_ok()
    }

    pub(super) fn end(&self, fixture: &Fixture, end: EndReason) {
        fixture.engine.disconnect(&self.conn, end);
    }

    /// Sends something that nobody reads yet, and waits until it has arrived.
    pub(super) async fn say(&mut self) {
        self.peer.write_all(b"x").await.expect("room");
        self.conn.socket().readable().await.expect("a socket");
    }

    pub(super) fn read_what_was_said(&self) {
        assert_eq!(self.conn.socket().try_read(&mut [0; 8]).expect("a byte"), 1);
    }

    /// A frame of the client was read.
    pub(super) fn heard(&self, fixture: &Fixture) {
        fixture.engine.heard(&self.conn);
    }

    async fn read(&mut self) -> Vec<u8> {
        let mut head = [0; 2];
        self.peer.read_exact(&mut head).await.expect("a frame");
        let length = match head[1] {
            126 => u64::from(self.peer.read_u16().await.expect("a length")),
            127 => self.peer.read_u64().await.expect("a length"),
            short => u64::from(short),
        };
        let mut payload = vec![0; usize::try_from(length).expect("a length")];
        self.peer.read_exact(&mut payload).await.expect("a payload");
        payload
    }
}
