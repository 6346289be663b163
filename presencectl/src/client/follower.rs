//! Follows the change stream as an observer and reconnects: when the connection is lost it runs discovery again, with
//! growing jittered delays, and resumes from its cursor. What happens with the events is the caller's decision.

#[cfg(test)]
pub(crate) mod tests;

use std::time::Duration;

use presence::wire::close_code;
use presence::wire::record::Update;
use presence::wire::server_message::ServerMessage;
use presence::{UserId, Wall};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::backoff::Backoff;
use super::discover::{Credential, Finder, Target};
use super::messages;
use super::websocket::{ConnectError, ConnectionLost, Identity, Incoming, WebSocket};
use crate::failure::{Exit, Failure};
use crate::output::time;
use crate::rng::Rng;

/// A ping is sent after this long without traffic: the server's own pings are too far apart to detect a daemon that hangs,
/// or a dead network.
pub(crate) const PING_AFTER: Duration = Duration::from_secs(3);

/// What the caller receives.
#[derive(Debug)]
pub(crate) enum FollowerEvent {
    /// Connected; a complete snapshot, or the changes since the cursor, follow.
    Connected {
        target: Box<Target>,
        node: String,
        /// The daemon's version.
        version: String,
        /// Whether this is a reconnect.
        is_reconnect: bool,
    },
    /// One frame of a snapshot.
    Snapshot {
        now: Wall,
        users: Vec<Update>,
        /// Whether users that are not listed are unchanged.
        resumed: bool,
        /// Whether this is the last frame.
        done: bool,
    },
    Changed {
        now: Wall,
        users: Vec<Update>,
    },
    /// What the daemon tells may be out of date, or is right again.
    Stale(bool),
    /// The connection was lost, or a reconnect failed.
    Lost {
        why: String,
        retry_in: Duration,
    },
}

/// An established connection.
pub(crate) struct Connection {
    target: Target,
    stream: WebSocket,
    node: String,
    version: String,
}

impl Connection {
    /// Connects as an observer. With a token the observer would itself be present, so a token is rejected.
    pub(crate) async fn open(target: &Target) -> Result<Self, ConnectError> {
        if matches!(target.credential, Credential::Token { .. }) {
            return Err(ConnectError::Rejected {
                status: 401,
                detail: "this needs the daemon's secret: a connection with a token would make its user present".into(),
            });
        }
        let (stream, welcome) = WebSocket::connect(target, &Identity::Observer).await?;
        Ok(Self {
            target: target.clone(),
            stream,
            node: welcome.node,
            version: welcome.version,
        })
    }
}

/// When a silent connection counts as lost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LivenessPolicy {
    /// Sends a ping after this long without traffic.
    pub(crate) ping_after: Duration,
    /// The connection counts as lost if nothing arrives within this time after the ping.
    pub(crate) pong_timeout: Duration,
}

/// State that survives the connection.
pub(crate) struct Follower {
    finder: Finder,
    users: Vec<UserId>,
    backoff: Backoff,
    liveness: LivenessPolicy,
    /// Bounds the delay between attempts, even where the server requests a longer one in its goodbye (1012). The server
    /// spreads out the reconnects of many users; a single operator adds no load and wants to see the users return.
    max_retry_delay: Duration,
    /// Where to resume: everything up to it was passed on.
    cursor: Option<String>,
    /// Watch requests whose snapshot is incomplete. Until it is 0 a cursor covers only some of the users.
    incomplete_snapshots: usize,
    /// The delay that the server requested in its goodbye.
    requested_delay: Option<Duration>,
}

impl Follower {
    /// Follows these users; an empty list follows everyone.
    pub(crate) fn new(finder: Finder, users: Vec<UserId>) -> Self {
        Self {
            liveness: LivenessPolicy {
                ping_after: PING_AFTER,
                pong_timeout: finder.timeout,
            },
            finder,
            users,
            backoff: Backoff::default(),
            max_retry_delay: Duration::MAX,
            cursor: None,
            incomplete_snapshots: 0,
            requested_delay: None,
        }
    }

    /// Retries at least this often.
    #[must_use]
    pub(crate) fn retrying_within(mut self, max_retry_delay: Duration) -> Self {
        self.backoff = Backoff::bounded_by(max_retry_delay);
        self.max_retry_delay = max_retry_delay;
        self
    }

    #[cfg(test)]
    fn with_liveness(mut self, liveness: LivenessPolicy) -> Self {
        self.liveness = liveness;
        self
    }

    /// Follows until `handle` fails or a retry is pointless, which is the error returned. Without a first connection it
    /// begins with a reconnect. `retry_now` cuts a delay short.
    pub(crate) async fn follow(
        &mut self,
        first: Option<Connection>,
        retry_now: &Notify,
        mut handle: impl AsyncFnMut(FollowerEvent) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut rng = Rng::new();
        let mut connected = first.map(|first| (first, false));
        loop {
            let why = match connected.take() {
                Some((attached, is_reconnect)) => {
                    let lost = self.stay(attached, is_reconnect, &mut handle).await?;
                    if self.incomplete_snapshots == 0 {
                        self.backoff.reset();
                    }
                    check_close_code(&lost)?;
                    format!("connection lost: {}", lost.why)
                }
                None => match self.reconnect().await? {
                    Ok(attached) => {
                        connected = Some((attached, true));
                        continue;
                    }
                    Err(why) => format!("reconnect failed: {why}"),
                },
            };
            let requested = self.requested_delay.take().map(|delay| delay.min(self.max_retry_delay));
            let retry_in = self.backoff.next(requested, &mut rng);
            handle(FollowerEvent::Lost { why, retry_in }).await?;
            tokio::select! {
                () = sleep(retry_in) => {}
                () = retry_now.notified() => {}
            }
        }
    }

    /// Runs discovery again, because a restarted daemon may have another address. Only permanent failures are errors.
    async fn reconnect(&self) -> Result<Result<Connection, String>, Failure> {
        let target = match self.finder.find() {
            Ok(target) => target,
            Err(failure) if failure.exit() == Some(Exit::Unreachable) => return Ok(Err(failure.to_string())),
            Err(failure) => return Err(failure),
        };
        match Connection::open(&target).await {
            Ok(attached) => Ok(Ok(attached)),
            Err(error @ ConnectError::Rejected { status: 401 | 403, .. }) => Err(error.failure(&target)),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    /// Passes on events until the connection ends.
    async fn stay(
        &mut self,
        attached: Connection,
        is_reconnect: bool,
        handle: &mut impl AsyncFnMut(FollowerEvent) -> Result<(), Failure>,
    ) -> Result<ConnectionLost, Failure> {
        let Connection {
            target,
            mut stream,
            node,
            version,
        } = attached;
        handle(FollowerEvent::Connected {
            target: Box::new(target),
            node,
            version,
            is_reconnect,
        })
        .await?;
        let since = self.cursor.as_deref();
        let requests = match self.users.is_empty() {
            true => vec![messages::watch_all(since)],
            false => messages::watch(self.users.iter().map(UserId::as_str), since),
        };
        self.incomplete_snapshots = requests.len();
        for request in requests {
            if let Err(lost) = stream.send(request).await {
                return Ok(lost);
            }
        }
        loop {
            match self.receive(&mut stream).await {
                Err(lost) => return Ok(lost),
                Ok(Incoming::Ignored) => {}
                Ok(Incoming::Message(message)) => self.on_message(*message, handle).await?,
            }
        }
    }

    /// Receives the next message, or detects that the connection is dead.
    async fn receive(&self, stream: &mut WebSocket) -> Result<Incoming, ConnectionLost> {
        let LivenessPolicy {
            ping_after,
            pong_timeout,
        } = self.liveness;
        if let Ok(next) = timeout(ping_after, stream.next()).await {
            return next;
        }
        let asked = async {
            stream.send(messages::ping()).await?;
            stream.next().await
        };
        let silent = || ConnectionLost {
            code: None,
            why: format!(
                "no answer for {}",
                time::length(ping_after.saturating_add(pong_timeout))
            ),
        };
        let answered = timeout(pong_timeout, asked).await;
        answered.unwrap_or_else(|_| Err(silent()))
    }

    async fn on_message(
        &mut self,
        message: ServerMessage,
        handle: &mut impl AsyncFnMut(FollowerEvent) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match message {
            ServerMessage::Snapshot {
                cursor,
                now,
                users,
                resumed,
                done,
                ..
            } => {
                handle(FollowerEvent::Snapshot {
                    now,
                    users,
                    resumed,
                    done,
                })
                .await?;
                if done {
                    self.incomplete_snapshots = self.incomplete_snapshots.saturating_sub(1);
                    self.reached(cursor);
                }
            }
            ServerMessage::Presence { cursor, now, users } => {
                handle(FollowerEvent::Changed { now, users }).await?;
                self.reached(cursor);
            }
            ServerMessage::Stale { stale } => handle(FollowerEvent::Stale(stale)).await?,
            ServerMessage::Goodbye { reconnect_after_ms, .. } => {
                self.requested_delay = reconnect_after_ms.map(Duration::from_millis);
            }
            ServerMessage::Error { code, message, .. } => {
                return Err(Failure::failed(format_args!("{message} ({code})")));
            }
            ServerMessage::Welcome { .. } | ServerMessage::Ok { .. } | ServerMessage::Pong { .. } => {}
        }
        Ok(())
    }

    fn reached(&mut self, cursor: String) {
        if self.incomplete_snapshots == 0 {
            self.cursor = Some(cursor);
        }
    }
}

/// Rejects close codes that forbid a reconnect.
fn check_close_code(lost: &ConnectionLost) -> Result<(), Failure> {
    let advice = match lost.code {
        Some(close_code::KICKED | close_code::FORGOTTEN) => {
            "an operator closed the connection; run the command again if it is still needed"
        }
        Some(close_code::ABUSIVE) => {
            "the server closed the connection for abuse; check that presencectl and the daemon have the same version"
        }
        _ => return Ok(()),
    };
    Err(Failure::failed(&lost.why).next(advice))
}
