//! The task of one connection. It sends the welcome, then waits for three things: bytes from the client, room in the socket
//! for unsent data, and a close reason. It owns the reading half; everyone else only adds to the outbox.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use presence::wire::error_code::Code;
use presence::wire::record::Record;
use presence::wire::server_message::ServerMessage;
use presence::{EndReason, SlidingWindow};

use super::close;
use super::handlers::{self, Handled, Handling, Position};
use super::metered_reader::Source;
use super::reader::{Incoming, MessageReader};
use super::upgrade::Admitted;
use super::{Gateway, replies};
use crate::connection::Connection;
use crate::connection::close_reason::CloseReason;
use crate::connection::frame::Opcode;
use crate::engine::EngineError;
use crate::exceeded_limit::Limit;
use crate::limits::LimitsInEffect;
use crate::revocation::NotedRevocations;
use crate::server::upgrades::UpgradedSocket;

/// Messages read in one turn, so that a busy connection does not starve the others of its thread.
const TURN_MESSAGES: usize = 16;

/// Runs a connection from the welcome to its end. The future holds little while the connection waits, because there are many:
/// what only a beginning, a handler or an end needs is boxed, and nothing is held twice.
pub(super) fn run(
    gateway: Arc<Gateway>,
    upgraded: UpgradedSocket,
    admitted: Admitted,
) -> impl Future<Output = ()> + Send {
    let UpgradedSocket {
        socket,
        response,
        early,
    } = upgraded;
    let Admitted {
        user,
        expires,
        revocation,
        noted_revocations,
        permit,
    } = admitted;
    let conn = Connection::new(
        socket,
        gateway.engine.new_session(),
        user,
        gateway.engine.connection_context(),
    );
    conn.depend_on(revocation, expires);
    conn.send_with_next(response);
    let mut input = SessionInput::new(early, &gateway.limits.load());
    let attached = Attached { gateway, conn };
    async move {
        let greeted = Box::pin(greet(&attached.gateway, &attached.conn, noted_revocations)).await;
        let reason = match greeted {
            Ok(greeted) => serve(greeted, &mut input).await,
            Err(reason) => reason,
        };
        attached.end(reason);
        Box::pin(close::close(&attached.conn, reason)).await;
        drop((attached, permit));
    }
}

/// Ends the session if the task panics, so that no session outlives its connection.
struct Attached {
    gateway: Arc<Gateway>,
    conn: Arc<Connection>,
}

impl Attached {
    fn end(&self, reason: CloseReason) {
        self.gateway.engine.disconnect(&self.conn, reason.end_reason());
        self.gateway.metrics.count_end(reason);
        tracing::debug!(session = %self.conn.name(), ?reason, "a connection ended");
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.gateway.engine.disconnect(&self.conn, EndReason::Lost);
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
    noted: NotedRevocations,
) -> Result<Greeted<'a>, CloseReason> {
    let user: Option<Record> = match conn.user() {
        Some(user) => match gateway.engine.connect(user, conn, noted).await {
            Ok(record) => Some(record),
            Err(error) => return Err(connect_error(&error)),
        },
        None => {
            gateway.engine.connect_observer();
            None
        }
    };
    conn.start_keepalive(gateway.clock.mono());
    let latest = user.as_ref().and_then(Record::latest_time);
    let welcome = ServerMessage::Welcome {
        session_id: conn.name().to_string(),
        user,
        now: gateway.clock.record_time(latest),
        ping_seconds: gateway.ping_interval.as_secs_f64(),
        node: gateway.engine.node().into(),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    replies::greet(conn, &welcome);
    Ok(Greeted { gateway, conn })
}

/// Why a connection ends that the engine did not connect: a full user and revoked tokens are reported as such, anything else is
/// [`CloseReason::Internal`].
fn connect_error(error: &EngineError) -> CloseReason {
    match error {
        EngineError::TooManySessions { retry_after } => CloseReason::TooManySessions {
            retry_after: (*retry_after).into(),
        },
        EngineError::TokensRevoked => CloseReason::TokensRevoked,
        _ => CloseReason::Internal,
    }
}

/// The reading side of a connection: what it keeps between messages.
struct SessionInput {
    reader: MessageReader,
    /// Malformed messages, if there were any.
    bad_messages: Option<Box<SlidingWindow>>,
    /// Nothing is read until the backlog is sent.
    is_paused: bool,
    /// There may be more to read than what announced itself.
    has_more: bool,
    /// Of the next message.
    position: Position,
    /// The limits against which was counted so far.
    limits_version: u16,
}

impl SessionInput {
    fn new(early: Vec<u8>, limits: &LimitsInEffect) -> Self {
        Self {
            reader: MessageReader::new(early),
            bad_messages: None,
            is_paused: false,
            // Bytes that came with the handshake are in the reader, not in the socket.
            has_more: true,
            position: Position::First,
            limits_version: limits.version,
        }
    }

    /// Other limits than so far: what was allowed by those of before is not counted against these.
    fn count_against(&mut self, limits: &LimitsInEffect) {
        if std::mem::replace(&mut self.limits_version, limits.version) != limits.version {
            self.reader.count_anew();
            self.bad_messages = None;
        }
    }
}

/// How a turn of reading ended.
enum Turn<'a> {
    /// Everything that had arrived was read.
    Drained,
    /// There may be more to read.
    More,
    /// The last message waits for the engine.
    Pending(Handling<'a>),
}

/// What a connection's task does next.
enum Next {
    /// It goes on after others had their turn.
    Yield,
    Close(CloseReason),
}

/// Serves a greeted connection until there is a reason to close it.
async fn serve(greeted: Greeted<'_>, input: &mut SessionInput) -> CloseReason {
    let mut handling = None;
    loop {
        match poll_fn(|context| greeted.poll_next(input, &mut handling, context)).await {
            Next::Yield => tokio::task::yield_now().await,
            Next::Close(close_reason) => return close_reason,
        }
    }
}

impl<'a> Greeted<'a> {
    /// Waits for everything that the connection's task waits for, and reads and handles messages. While one is being handled
    /// nothing is read, but a slow store must neither keep unsent data from a socket that has room, nor delay a close.
    fn poll_next(
        &self,
        input: &mut SessionInput,
        handling: &mut Option<Handling<'a>>,
        context: &mut Context<'_>,
    ) -> Poll<Next> {
        loop {
            // First, so that what happens from here on wakes the task.
            let is_attended = self.conn.poll_attend(context).is_ready();
            if let Some(close_reason) = self.conn.close_reason() {
                return Poll::Ready(Next::Close(close_reason));
            }
            if let Some(pending) = handling {
                if pending.as_mut().poll(context).is_ready() {
                    *handling = None;
                    return Poll::Ready(Next::Yield);
                }
            } else if let Poll::Ready(readable) = self.poll_input(input, context) {
                match readable
                    .map_err(|_| CloseReason::Lost)
                    .and_then(|()| self.take_turn(input))
                {
                    Ok(Turn::Drained) => {}
                    Ok(Turn::More) => return Poll::Ready(Next::Yield),
                    Ok(Turn::Pending(pending)) => *handling = Some(pending),
                    Err(close_reason) => return Poll::Ready(Next::Close(close_reason)),
                }
                continue;
            }
            if !is_attended {
                return Poll::Pending;
            }
        }
    }

    /// Ready when there is something to read, or the end, and reading is not paused.
    fn poll_input(&self, input: &mut SessionInput, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let is_paused = self.conn.is_backlogged();
        let was_paused = std::mem::replace(&mut input.is_paused, is_paused);
        if is_paused {
            return Poll::Pending;
        }
        if was_paused {
            input.reader.resume(self.gateway.clock.mono());
        }
        if input.has_more {
            return Poll::Ready(Ok(()));
        }
        self.conn.socket().poll_readable(context)
    }

    /// Reads and handles up to [`TURN_MESSAGES`] messages, or until one waits for the engine.
    fn take_turn(&self, input: &mut SessionInput) -> Result<Turn<'a>, CloseReason> {
        input.reader.begin_turn();
        input.has_more = true;
        let limits = self.gateway.limits.load();
        input.count_against(&limits);
        let source = Source {
            conn: self.conn,
            clock: &self.gateway.clock,
            limits: &limits,
        };
        for _ in 0..TURN_MESSAGES {
            let next = input.reader.next(source);
            self.note_received(input);
            let Some(incoming) = next? else {
                if input.reader.is_turn_over() {
                    break;
                }
                input.has_more = false;
                return Ok(Turn::Drained);
            };
            if let Some(handling) = self.handle(input, incoming)? {
                return Ok(Turn::Pending(handling));
            }
            if self.conn.is_backlogged() || self.conn.close_reason().is_some() {
                break;
            }
        }
        Ok(Turn::More)
    }

    fn note_received(&self, input: &mut SessionInput) {
        if let Some(unfinished_since) = input.reader.take_received() {
            self.conn.note_received(self.gateway.clock.mono(), unfinished_since);
            self.gateway.engine.heard(self.conn);
        }
    }

    /// Handles a message; one that waits for the engine is to be waited for before the next.
    fn handle(&self, input: &mut SessionInput, incoming: Incoming) -> Result<Option<Handling<'a>>, CloseReason> {
        match incoming {
            Incoming::Text(text) => {
                let position = std::mem::replace(&mut input.position, Position::Later);
                match handlers::handle(self.gateway, self.conn, text.as_str(), position) {
                    Handled::Done => Ok(None),
                    Handled::Malformed => self.count_malformed(input),
                    Handled::Pending(handling) => Ok(Some(handling)),
                }
            }
            Incoming::Binary(bytes) => {
                input.position = Position::Later;
                self.gateway.engine.message(self.conn);
                tracing::trace!(session = %self.conn.name(), bytes = bytes.len(), "a binary message");
                self.gateway.metrics.count_message("binary");
                let text = "binary message: send JSON in text frames";
                replies::error(self.conn, None, Code::NotText, text);
                self.count_malformed(input)
            }
            Incoming::Ping(payload) => {
                self.conn.send_control(Opcode::Pong, &payload);
                Ok(None)
            }
            Incoming::Pong => Ok(None),
            Incoming::Close(code) => Err(CloseReason::ByClient(code)),
        }
    }

    fn count_malformed(&self, input: &mut SessionInput) -> Result<Option<Handling<'a>>, CloseReason> {
        let (rate, now) = (self.gateway.limits.load().bad_messages, self.gateway.clock.mono());
        let counted = input.bad_messages.get_or_insert_default().take(rate, now);
        counted.map_err(|_| CloseReason::LimitExceeded(Limit::BadMessages))?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use presence::UserId;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::gateway::tests::GatewayFixture;
    use crate::server::ConnectionPermit;

    #[tokio::test]
    async fn a_session_whose_task_panics_is_lost() {
        let fixture = GatewayFixture::new().await;
        let (engine, gateway) = (Arc::clone(&fixture.engine), Arc::clone(&fixture.gateway));
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
                let attached = Attached { gateway, conn };
                let conn = &attached.conn;
                assert!(engine.connect(&ann, conn, NotedRevocations::default()).await.is_ok());
                panic!("on purpose");
            }
        });
        assert!(task.await.is_err_and(|error| error.is_panic()));
        assert_eq!(engine.stats().sessions.connections, 0);
        let explain = engine.explain(&ann).await.expect("an explanation");
        assert!(explain.sessions.is_empty() && explain.grace.is_some(), "{explain:?}");
    }

    fn size_of_task<F: Future>(_run: fn(Arc<Gateway>, UpgradedSocket, Admitted) -> F) -> usize {
        size_of::<F>()
    }

    /// Most bytes of what each connection has of its own, whether it does anything or not: there are tens of thousands. Its
    /// user's entry, its deadlines and its watch list have tests where they are.
    #[test]
    fn the_parts_of_an_idle_connection_are_small() {
        let counts = 2 * size_of::<usize>();
        let parts = [
            // tokio adds 104 to 112, and takes whole pairs of cache lines: 384.
            ("task", size_of_task(run), 272),
            ("connection", counts + size_of::<Connection>(), 384),
            ("permit", counts + size_of::<ConnectionPermit>(), 96),
        ];
        for (part, bytes, max) in parts {
            assert!(bytes <= max, "{part}: {bytes} bytes");
        }
    }
}
