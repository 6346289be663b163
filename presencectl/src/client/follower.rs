//! RunningFollower the change stream over lost connections: it attaches as an observer, tells what comes, and when the daemon is lost
//! looks for it anew with growing jittered delays and resumes where it was. What is done with the news is the caller's.

#[cfg(test)]
pub(crate) mod tests;

use std::time::Duration;

use presence::wire::close;
use presence::wire::record::Update;
use presence::wire::server::ServerMessage;
use presence::{UserId, Wall};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::backoff::Backoff;
use super::discover::{Credential, Finder, Target};
use super::messages;
use super::websocket::{ConnectError, ConnectionLost, Identity, Incoming, WebSocket};
use crate::failure::{Exit, Failure};
use crate::rng::Rng;

/// On top of two pings, how long the server may be silent before the connection counts as lost.
const SILENCE_SPARE: Duration = Duration::from_secs(15);

/// What follows.
#[derive(Debug)]
pub(crate) enum FollowerEvent {
    /// A daemon answers; the whole picture, or what was missed, comes next.
    Connected {
        /// Which.
        target: Box<Target>,
        /// The node's name.
        node: String,
        /// Of the daemon.
        version: String,
        /// Whether it was lost before.
        is_back: bool,
    },
    /// A frame of a snapshot.
    Snapshot {
        /// The server's clock.
        now: Wall,
        /// Records, and who was removed.
        users: Vec<Update>,
        /// Whether users not listed are as they were.
        resumed: bool,
        /// Whether it is the last frame.
        done: bool,
    },
    /// Users changed.
    Changed {
        /// The server's clock.
        now: Wall,
        /// Records, and who was removed.
        users: Vec<Update>,
    },
    /// The daemon is lost, or not back yet.
    Lost {
        /// Which of both, and why.
        why: String,
        /// When it is tried again.
        retry_in: Duration,
    },
}

/// A connection that stands.
pub(crate) struct Connection {
    target: Target,
    stream: WebSocket,
    node: String,
    version: String,
    /// After so long without a sign of life it counts as lost.
    silence: Duration,
}

impl Connection {
    /// Connects as an observer. A token would make the watcher itself appear as present.
    ///
    /// # Errors
    /// Says who refused, or why nobody answers.
    pub(crate) async fn open(target: &Target) -> Result<Self, ConnectError> {
        if matches!(target.credential, Credential::Token { .. }) {
            return Err(ConnectError::Refused {
                status: 403,
                detail: "this needs the daemon's secret: with a token, whoever listens would be shown as present"
                    .into(),
            });
        }
        let (stream, welcome) = WebSocket::connect(target, &Identity::Observer).await?;
        Ok(Self {
            target: target.clone(),
            stream,
            node: welcome.node,
            version: welcome.version,
            silence: welcome.ping.saturating_mul(2).saturating_add(SILENCE_SPARE),
        })
    }
}

/// How an impatient one follows: somebody looks at a screen and takes what stands there for true.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LivenessPolicy {
    /// It never waits longer than this before it tries again, whatever the server asks for in its goodbye (1012). That one asks so that a
    /// herd of users does not come back all at once; one operator is no herd, and wants to see how the herd comes back.
    pub(crate) max_retry_delay: Duration,
    /// After so long without a sign of life it asks for one: the server's own pings are too far apart to tell a dead network by them.
    pub(crate) ping_after: Duration,
    /// It gives the connection up if none comes within this.
    pub(crate) pong_timeout: Duration,
}

/// What lives longer than one connection.
pub(crate) struct Follower {
    finder: Finder,
    users: Vec<UserId>,
    backoff: Backoff,
    /// None for one that waits as the server asks.
    liveness: Option<LivenessPolicy>,
    /// Where to resume: everything up to it was told.
    cursor: Option<String>,
    /// Watch requests without their whole snapshot. Until it is 0 a cursor covers only part of the users.
    unanswered: usize,
    /// What the server asked for when it said goodbye.
    asked_delay: Option<Duration>,
}

impl Follower {
    /// Follows these users; nobody named: everyone.
    pub(crate) fn new(finder: Finder, users: Vec<UserId>) -> Self {
        Self {
            finder,
            users,
            backoff: Backoff::default(),
            liveness: None,
            cursor: None,
            unanswered: 0,
            asked_delay: None,
        }
    }

    /// The same, with little patience.
    #[must_use]
    pub(crate) fn with_liveness(mut self, liveness: LivenessPolicy) -> Self {
        self.backoff = Backoff::up_to(liveness.max_retry_delay);
        self.liveness = Some(liveness);
        self
    }

    /// Follows for ever, or until `tell` has had enough, or it makes no sense to try again. Without a connection it begins as after a
    /// lost one, at once. `now` ends a wait early.
    ///
    /// # Errors
    /// What `tell` said, or why it makes no sense.
    pub(crate) async fn follow(
        &mut self,
        first: Option<Connection>,
        now: &Notify,
        mut tell: impl AsyncFnMut(FollowerEvent) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut rng = Rng::new();
        let mut connected = first.map(|first| (first, false));
        loop {
            let why = match connected.take() {
                Some((attached, is_back)) => {
                    let lost = self.stay(attached, is_back, &mut tell).await?;
                    if self.unanswered == 0 {
                        self.backoff.reset();
                    }
                    stop_if_told(&lost)?;
                    format!("lost the daemon: {}", lost.why)
                }
                None => match self.reconnect().await? {
                    Ok(attached) => {
                        connected = Some((attached, true));
                        continue;
                    }
                    Err(why) => format!("the daemon is not back yet: {why}"),
                },
            };
            let longest = self.liveness.map_or(Duration::MAX, |liveness| liveness.max_retry_delay);
            let asked = self.asked_delay.take().map(|asked| asked.min(longest));
            let retry_in = self.backoff.next(asked, &mut rng);
            tell(FollowerEvent::Lost { why, retry_in }).await?;
            tokio::select! {
                () = sleep(retry_in) => {}
                () = now.notified() => {}
            }
        }
    }

    /// Looks for the daemon anew, because it may have come back elsewhere. Only what time won't mend is a failure.
    async fn reconnect(&self) -> Result<Result<Connection, String>, Failure> {
        let target = match self.finder.find() {
            Ok(target) => target,
            Err(failure) if failure.exit() == Some(Exit::Unreachable) => return Ok(Err(failure.to_string())),
            Err(failure) => return Err(failure),
        };
        match Connection::open(&target).await {
            Ok(attached) => Ok(Ok(attached)),
            Err(error @ ConnectError::Refused { status: 401 | 403, .. }) => Err(error.failure(&target)),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    /// Tells until the connection is over, and says how it ended.
    async fn stay(
        &mut self,
        attached: Connection,
        is_back: bool,
        tell: &mut impl AsyncFnMut(FollowerEvent) -> Result<(), Failure>,
    ) -> Result<ConnectionLost, Failure> {
        let Connection {
            target,
            mut stream,
            node,
            version,
            silence,
        } = attached;
        tell(FollowerEvent::Connected {
            target: Box::new(target),
            node,
            version,
            is_back,
        })
        .await?;
        let since = self.cursor.as_deref();
        let requests = match self.users.is_empty() {
            true => vec![messages::watch_all(since)],
            false => messages::watch(self.users.iter().map(UserId::as_str), since),
        };
        self.unanswered = requests.len();
        for request in requests {
            if let Err(lost) = stream.send(request).await {
                return Ok(lost);
            }
        }
        loop {
            match self.receive(&mut stream, silence).await {
                Err(lost) => return Ok(lost),
                Ok(Incoming::Ignored) => {}
                Ok(Incoming::Message(message)) => self.on_message(*message, tell).await?,
            }
        }
    }

    /// What comes next, or that nothing comes any more.
    async fn receive(&self, stream: &mut WebSocket, silence: Duration) -> Result<Incoming, ConnectionLost> {
        let silent = |length: Duration| ConnectionLost {
            code: None,
            why: format!("it has been silent for {} s", length.as_secs()),
        };
        let Some(liveness) = self.liveness else {
            let next = timeout(silence, stream.next()).await;
            return next.unwrap_or_else(|_| Err(silent(silence)));
        };
        if let Ok(next) = timeout(liveness.ping_after, stream.next()).await {
            return next;
        }
        let asked = async {
            stream.send(messages::ping()).await?;
            stream.next().await
        };
        let answered = timeout(liveness.pong_timeout, asked).await;
        answered.unwrap_or_else(|_| Err(silent(liveness.ping_after + liveness.pong_timeout)))
    }

    async fn on_message(
        &mut self,
        message: ServerMessage,
        tell: &mut impl AsyncFnMut(FollowerEvent) -> Result<(), Failure>,
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
                tell(FollowerEvent::Snapshot {
                    now,
                    users,
                    resumed,
                    done,
                })
                .await?;
                if done {
                    self.unanswered = self.unanswered.saturating_sub(1);
                    self.reached(cursor);
                }
            }
            ServerMessage::Presence { cursor, now, users } => {
                tell(FollowerEvent::Changed { now, users }).await?;
                self.reached(cursor);
            }
            ServerMessage::Goodbye { reconnect_after_ms, .. } => {
                self.asked_delay = reconnect_after_ms.map(Duration::from_millis);
            }
            ServerMessage::Error { code, message, .. } => {
                let code = serde_json::to_value(code)
                    .ok()
                    .and_then(|code| code.as_str().map(str::to_owned))
                    .unwrap_or_default();
                return Err(Failure::failed(format_args!("{message} ({code})")));
            }
            ServerMessage::Welcome { .. } | ServerMessage::Ok { .. } | ServerMessage::Pong { .. } => {}
        }
        Ok(())
    }

    fn reached(&mut self, cursor: String) {
        if self.unanswered == 0 {
            self.cursor = Some(cursor);
        }
    }
}

/// Some close codes say not to come back.
fn stop_if_told(lost: &ConnectionLost) -> Result<(), Failure> {
    let advice = match lost.code {
        Some(close::KICKED | close::FORGOTTEN) => "an operator ended it; start it again if it is still wanted",
        Some(close::ABUSIVE) => "the server takes this for abuse: is this presencectl of another version?",
        _ => return Ok(()),
    };
    Err(Failure::failed(&lost.why).next(advice))
}
