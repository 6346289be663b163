//! Sending over sockets in memory: what a full or broken socket wakes and arms.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use presence::{Mono, SessionId, SessionName, Wall};

use super::super::close_reason::CloseReason;
use super::super::drain::Drain;
use super::super::keepalive::PingOptions;
use super::super::ready::Ready;
use super::super::socket::Socket;
use super::super::socket::memory::{self, MemoryPeer};
use super::super::user_pin::{PinCount, ReleasedUsers};
use super::super::{Connection, ConnectionContext};
use super::*;
use crate::clock::Clock;
use crate::limits::{CurrentLimits, Limits};

const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// A greeted connection, and what was armed for it.
struct Sender {
    conn: Arc<Connection>,
    peer: MemoryPeer,
    armed: Arc<Mutex<Vec<Mono>>>,
}

impl Sender {
    /// The client takes `room` bytes before it must read.
    fn new(room: usize) -> Self {
        let sender = Self::ungreeted(room);
        sender.conn.send_greeting("{}");
        sender
    }

    fn ungreeted(room: usize) -> Self {
        let clock = Arc::new(Clock::manual(Wall::from_millis(0)));
        let armed = Arc::<Mutex<Vec<Mono>>>::default();
        let arming = Arc::clone(&armed);
        let context = Arc::new(ConnectionContext {
            ready: Ready::new(Arc::clone(&clock)),
            clock,
            arm: Box::new(move |_, at| arming.lock().push(at)),
            pings: PingOptions {
                interval: Duration::from_secs(25),
                timeout: Duration::from_secs(10),
            },
            limits: CurrentLimits::new(Limits {
                write_timeout: WRITE_TIMEOUT,
                ..Limits::default()
            }),
            drain: Drain::new(Duration::ZERO),
        });
        let name = SessionName {
            run: 1,
            session: SessionId(1),
        };
        let (socket, peer) = memory::pair(room);
        let conn = Connection::new(Socket::Memory(socket), name, None, context);
        Self { conn, peer, armed }
    }

    /// Marks a user dirty. Whether that was conflated, and whether the connection was put among those to deliver to.
    fn mark(&self, slot: usize) -> (bool, bool) {
        let user = UserRef::new(0, slot);
        let pin = || PinCount::new(user, Arc::<ReleasedUsers>::default()).pin();
        let mut ready = Vec::new();
        let is_conflated = self.conn.mark_dirty(pin, user, 1, &mut ready);
        (is_conflated, !ready.is_empty())
    }
}

#[test]
fn the_response_to_a_handshake_leaves_with_the_greeting() {
    let fixture = Sender::ungreeted(1000);
    fixture.conn.send_with_next(b"response".to_vec());
    assert!(fixture.peer.take().is_empty());
    fixture.conn.send_greeting("{}");
    assert_eq!(fixture.peer.take(), b"response\x81\x02{}");
    fixture.conn.send_text("[]");
    assert_eq!(fixture.peer.take(), b"\x81\x02[]");
}

#[test]
fn only_the_first_mark_queues_and_only_a_second_of_one_user_conflates() {
    let fixture = Sender::new(1000);
    assert_eq!(fixture.mark(1), (false, true));
    assert_eq!(fixture.mark(2), (false, false));
    assert_eq!(fixture.mark(1), (true, false));
}

#[test]
fn a_full_socket_is_checked_within_a_second() {
    let fixture = Sender::new(8);
    fixture.conn.send_text("more than fits");
    let expected = fixture.conn.context.clock.mono().after(Duration::from_secs(1));
    assert_eq!(*fixture.armed.lock(), [expected]);
}

#[tokio::test]
async fn an_attending_task_writes_the_rest_once_there_is_room() {
    let fixture = Sender::new(8);
    let attended = Arc::clone(&fixture.conn);
    let attending = tokio::spawn(async move {
        loop {
            attended.attend().await;
        }
    });
    // The task waits, for a socket that had room.
    tokio::task::yield_now().await;
    fixture.conn.send_text("more than fits");
    let mut text = Vec::new();
    let reading = async {
        while !text.ends_with(b"fits") {
            tokio::task::yield_now().await;
            text.extend(fixture.peer.take());
        }
    };
    let read = tokio::time::timeout(Duration::from_secs(20), reading).await;
    assert!(read.is_ok(), "{}", String::from_utf8_lossy(&text));
    attending.abort();
}

#[tokio::test]
async fn a_broken_socket_wakes_the_task_and_holds_nothing() {
    let fixture = Sender::new(8);
    let conn = &fixture.conn;
    conn.socket().shutdown(std::net::Shutdown::Write);
    conn.send_text("more than fits");
    assert_eq!((conn.is_flushed(), conn.blocked_since()), (true, None));
    let woken = tokio::time::timeout(Duration::from_secs(20), conn.attend()).await;
    assert!(woken.is_ok(), "a task that reads nothing must read on");
}

#[tokio::test]
async fn a_connection_that_was_not_in_the_wheel_learns_of_the_end_of_all() {
    let fixture = Sender::new(1000);
    let attended = Arc::clone(&fixture.conn);
    let attending = tokio::spawn(async move {
        while attended.close_reason().is_none() {
            attended.attend().await;
        }
        attended.close_reason()
    });
    tokio::task::yield_now().await;
    fixture.conn.context.drain.end_all();
    // Nobody finds it, and it is armed a moment later.
    fixture.conn.start_keepalive(fixture.conn.context.clock.mono());
    let ended = tokio::time::timeout(Duration::from_secs(20), attending).await;
    let reason = ended.expect("it is woken").expect("no panic");
    assert!(matches!(reason, Some(CloseReason::Draining { .. })), "{reason:?}");
}
