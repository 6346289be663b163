//! The task of one connection. It sends the welcome, then waits for three things: bytes from the client, room in the socket
//! for unsent data, and a close reason. It owns the reading half; everyone else only adds to the outbox.

use std::sync::Arc;

use presence::wire::error_code::Code;
use presence::wire::record::Record;
use presence::wire::server_message::ServerMessage;
use presence::{EndReason, SlidingWindow, SystemWall};
use tokio::net::TcpStream;

use super::close;
use super::handlers::{self, Handled, Handling, Position};
use super::metered_reader::MeteredReader;
use super::reader::{Incoming, MessageReader};
use super::upgrade::Admitted;
use super::{Gateway, replies};
use crate::connection::Connection;
use crate::connection::close_reason::CloseReason;
use crate::connection::frame::Opcode;
use crate::engine::{Engine, EngineError};
use crate::exceeded_limit::Limit;

/// Messages read in one turn, so that a busy connection does not starve the others of its thread.
const TURN_MESSAGES: usize = 16;

/// Runs a connection from the welcome to its end.
pub(super) async fn run(gateway: Arc<Gateway>, socket: TcpStream, early: Vec<u8>, admitted: Admitted) {
    let Admitted {
        user,
        expires,
        revocation,
        permit,
        response,
    } = admitted;
    let conn = Connection::new(
        socket,
        gateway.engine.new_session(),
        user,
        gateway.engine.connection_context(),
    );
    conn.outbox().lock().send_first(response);
    if let Some(credential) = revocation {
        conn.depend_on(credential);
    }
    let _attached = Attached {
        engine: &gateway.engine,
        conn: &conn,
    };
    let reason = match greet(&gateway, &conn, expires).await {
        Ok(greeted) => Session::new(greeted, early).serve().await,
        Err(reason) => reason,
    };
    gateway.engine.disconnect(&conn, reason.end_reason());
    gateway.metrics.count_end(reason);
    tracing::debug!(session = conn.name(), ?reason, "a connection ended");
    // Boxed, so that the task of an open connection does not hold the state of its close.
    Box::pin(close::close(&conn, reason)).await;
    drop(permit);
}

/// Ends the session if the task panics, so that no session outlives its connection.
struct Attached<'a> {
    engine: &'a Engine,
    conn: &'a Arc<Connection>,
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        self.engine.disconnect(self.conn, EndReason::Lost);
    }
}

/// A connection whose welcome is sent. Only `greet` makes one, so nothing is served before.
struct Greeted<'a> {
    gateway: &'a Gateway,
    conn: &'a Arc<Connection>,
}

async fn greet<'a>(
    gateway: &'a Gateway,
    conn: &'a Arc<Connection>,
    expires: Option<SystemWall>,
) -> Result<Greeted<'a>, CloseReason> {
    let user: Option<Record> = match conn.user() {
        Some(user) => match gateway.engine.connect(user, conn).await {
            Ok(record) => Some(record),
            Err(error) => return Err(connect_error(&error)),
        },
        None => {
            gateway.engine.connect_observer();
            None
        }
    };
    conn.start_keepalive(gateway.clock.mono(), expires);
    let latest = user.as_ref().and_then(Record::latest_time);
    let welcome = ServerMessage::Welcome {
        session_id: conn.name().into(),
        user,
        now: gateway.clock.record_time(latest),
        ping_seconds: gateway.ping_interval.as_secs_f64(),
        node: gateway.engine.node().into(),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    replies::greet(conn, &welcome);
    Ok(Greeted { gateway, conn })
}

/// Why a connection ends that the engine did not connect: only a full user is reported as such, anything else is
/// [`CloseReason::Internal`].
const fn connect_error(error: &EngineError) -> CloseReason {
    match error {
        EngineError::TooManySessions { retry_after } => CloseReason::TooManySessions {
            retry_after: *retry_after,
        },
        _ => CloseReason::Internal,
    }
}

/// A greeted connection.
struct Session<'a> {
    gateway: &'a Gateway,
    conn: &'a Arc<Connection>,
    reader: MessageReader,
    bad_messages: SlidingWindow,
    /// Nothing is read until the backlog is sent.
    is_paused: bool,
    /// Of the next message.
    position: Position,
}

/// Whether a turn read everything that had arrived.
#[derive(PartialEq, Eq, Clone, Copy)]
enum Turn {
    Drained,
    /// There may be more to read.
    More,
}

impl<'a> Session<'a> {
    fn new(greeted: Greeted<'a>, early: Vec<u8>) -> Self {
        let Greeted { gateway, conn } = greeted;
        let input = MeteredReader::new(
            Arc::clone(conn),
            early,
            Arc::clone(&gateway.clock),
            Arc::clone(&gateway.limits),
        );
        let reader = MessageReader::new(input, gateway.limits.message_bytes);
        Self {
            gateway,
            conn,
            reader,
            bad_messages: SlidingWindow::default(),
            is_paused: false,
            position: Position::First,
        }
    }

    async fn serve(mut self) -> CloseReason {
        // Bytes that came with the handshake are in the reader, not in the socket.
        let mut turn = Turn::More;
        loop {
            if let Some(close_reason) = self.conn.close_reason() {
                return close_reason;
            }
            let is_reading = !self.conn.is_backlogged();
            let was_paused = std::mem::replace(&mut self.is_paused, !is_reading);
            if was_paused && is_reading {
                self.reader.resume();
            }
            if turn == Turn::More && is_reading {
                tokio::task::yield_now().await;
            } else {
                tokio::select! {
                    ready = self.conn.socket().readable(), if is_reading => if ready.is_err() {
                        return CloseReason::Lost;
                    },
                    () = self.conn.attend() => continue,
                }
            }
            match self.take_turn().await {
                Ok(taken) => turn = taken,
                Err(reason) => return reason,
            }
        }
    }

    /// Reads and handles up to [`TURN_MESSAGES`] messages.
    async fn take_turn(&mut self) -> Result<Turn, CloseReason> {
        self.reader.begin_turn();
        for _ in 0..TURN_MESSAGES {
            let next = self.reader.next();
            self.note_received();
            let Some(incoming) = next? else {
                return Ok(if self.reader.is_turn_over() {
                    Turn::More
                } else {
                    Turn::Drained
                });
            };
            self.handle(incoming).await?;
            if self.conn.is_backlogged() || self.conn.close_reason().is_some() {
                break;
            }
        }
        Ok(Turn::More)
    }

    fn note_received(&mut self) {
        if let Some(unfinished_since) = self.reader.take_received() {
            self.conn.note_received(self.gateway.clock.mono(), unfinished_since);
            self.gateway.engine.heard(self.conn);
        }
    }

    async fn handle(&mut self, incoming: Incoming) -> Result<(), CloseReason> {
        match incoming {
            Incoming::Text(text) => {
                let position = std::mem::replace(&mut self.position, Position::Later);
                match handlers::handle(self.gateway, self.conn, text.as_str(), position) {
                    Handled::Done => Ok(()),
                    Handled::Malformed => self.count_malformed(),
                    Handled::Pending(handling) => self.wait_for(handling).await,
                }
            }
            Incoming::Binary(bytes) => {
                self.position = Position::Later;
                self.gateway.engine.message(self.conn);
                tracing::trace!(session = self.conn.name(), bytes = bytes.len(), "a binary message");
                self.gateway.metrics.count_message("binary");
                replies::error(
                    self.conn,
                    None,
                    Code::NotText,
                    "binary message: send JSON in text frames",
                );
                self.count_malformed()
            }
            Incoming::Ping(payload) => {
                self.conn.send_control(Opcode::Pong, &payload);
                Ok(())
            }
            Incoming::Pong => Ok(()),
            Incoming::Close(code) => Err(CloseReason::ByClient(code)),
        }
    }

    /// Waits for a handler, and meanwhile does what the loop does except reading: a slow store must neither keep unsent data
    /// from a socket that has room, nor delay a close.
    async fn wait_for(&self, mut handling: Handling<'_>) -> Result<(), CloseReason> {
        loop {
            tokio::select! {
                () = &mut handling => return Ok(()),
                () = self.conn.attend() => {}
            }
            if let Some(close_reason) = self.conn.close_reason() {
                return Err(close_reason);
            }
        }
    }

    fn count_malformed(&mut self) -> Result<(), CloseReason> {
        let (rate, now) = (self.gateway.limits.bad_messages, self.gateway.clock.mono());
        self.bad_messages
            .take(rate, now)
            .map_err(|_| CloseReason::LimitExceeded(Limit::BadMessages))
    }
}

#[cfg(test)]
mod tests {
    use presence::UserId;
    use tokio::net::TcpListener;

    use super::*;
    use crate::gateway::tests::GatewayFixture;

    #[tokio::test]
    async fn a_session_whose_task_panics_is_lost() {
        let engine = GatewayFixture::new().await.engine;
        let ann = UserId::new("ann").expect("a user id");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("an address");
        let _peer = TcpStream::connect(address).await.expect("a connection");
        let (socket, _) = listener.accept().await.expect("a connection");
        let task = tokio::spawn({
            let (engine, ann) = (Arc::clone(&engine), ann.clone());
            async move {
                let conn = Connection::new(
                    socket,
                    engine.new_session(),
                    Some(ann.clone()),
                    engine.connection_context(),
                );
                let _attached = Attached {
                    engine: &engine,
                    conn: &conn,
                };
                assert!(engine.connect(&ann, &conn).await.is_ok());
                panic!("on purpose");
            }
        });
        assert!(task.await.is_err_and(|error| error.is_panic()));
        assert_eq!(engine.stats().sessions.connections, 0);
        let explain = engine.explain(&ann).await.expect("an explanation");
        assert!(explain.sessions.is_empty() && explain.grace.is_some(), "{explain:?}");
    }

    /// Largest size of a connection's task, in bytes: there are tens of thousands, most of them waiting.
    const TASK_MAX_BYTES: usize = 1536;

    fn size_of_task<F: Future>(_run: fn(Arc<Gateway>, TcpStream, Vec<u8>, Admitted) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_task_of_a_connection_is_small() {
        let bytes = size_of_task(run);
        assert!(bytes <= TASK_MAX_BYTES, "{bytes}");
    }
}
