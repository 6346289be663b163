//! One simulated person: arrives, watches others, does things at random moments, leaves in one of several ways, comes
//! back, and goes for good when the run ends. It only knows its own connection and the counters.

use std::rc::Rc;
use std::time::{Duration, Instant};

use presence::CustomStatus;
use presence::wire::close;
use presence::wire::record::Update;
use presence::wire::server::ServerMessage;
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until};

use super::World;
use super::identities::Tried;
use crate::client::backoff::Backoff;
use crate::client::messages;
use crate::client::websocket::{ConnectError, ConnectionLost, Incoming, WebSocket};
use crate::clock;
use crate::rng::Rng;

/// A change without an answer for so long is an error.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// What the crowd is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// People arrive and do nothing else yet.
    Arriving,
    /// They live.
    Living,
    /// They leave for good.
    Leaving,
}

/// How a connection ended, for the person.
enum Left {
    /// Back after a while.
    Back(Duration),
    /// Back when the server can have it; it asked for that delay, if any.
    Lost(Option<Duration>),
    /// Not again.
    ForGood,
}

/// A person.
pub(super) struct Person {
    world: Rc<World>,
    number: u64,
    rng: Rng,
    phase: watch::Receiver<Phase>,
    chosen: CustomStatus,
    /// The change without an answer yet, and when it was sent.
    unanswered: Option<(u64, Instant)>,
    next_change: u64,
    /// What the server asked for when it said goodbye.
    asked_delay: Option<Duration>,
}

impl Person {
    /// Person `number` of the world.
    pub(super) fn new(world: Rc<World>, number: u64, phase: watch::Receiver<Phase>) -> Self {
        Self {
            rng: Rng::from_seed(world.seed.wrapping_add(number)),
            world,
            number,
            phase,
            chosen: CustomStatus::Online,
            unanswered: None,
            next_change: 0,
            asked_delay: None,
        }
    }

    /// Lives until the run ends.
    pub(super) async fn live(mut self) {
        let mut backoff = Backoff::default();
        let mut arrived = false;
        loop {
            let connected = Box::pin(self.connect()).await;
            if !arrived {
                arrived = true;
                self.world.arrived.set(self.world.arrived.get() + 1);
            }
            let left = match connected {
                Some(stream) => {
                    backoff.reset();
                    let left = self.stay(stream).await;
                    self.world.counters.borrow_mut().open -= 1;
                    left
                }
                None => Left::Lost(None),
            };
            let away = match left {
                Left::Back(away) => away,
                Left::Lost(asked) => backoff.next(asked, &mut self.rng),
                Left::ForGood => return,
            };
            tokio::select! {
                () = sleep(away) => {}
                _ = self.phase.wait_for(|phase| *phase == Phase::Leaving) => return,
            }
        }
    }

    async fn connect(&mut self) -> Option<WebSocket> {
        let world = Rc::clone(&self.world);
        if self.number == 0
            && let Some(Tried { stream, took }) = world.first.take()
        {
            world.counters.borrow_mut().attempts += 1;
            return Some(self.connected(stream, took));
        }
        // At the end nobody comes any more, and the waiting ones are let through to see that.
        let _permit = world.door.acquire().await.ok()?;
        if *self.phase.borrow() == Phase::Leaving {
            return None;
        }
        let identity = match world.identities.of(self.number) {
            Ok(identity) => identity,
            Err(_) => return self.failed_to_connect("the token can't be signed".into()),
        };
        let begun = clock::instant();
        world.counters.borrow_mut().attempts += 1;
        // Boxed: a handshake needs far more room than a connection that is open, which ten thousand hold for long.
        match Box::pin(WebSocket::connect(&world.target, &identity)).await {
            Ok((stream, _)) => Some(self.connected(stream, begun.elapsed())),
            Err(ConnectError::Refused { status, .. }) => {
                self.failed_to_connect(format!("connect refused with HTTP {status}"))
            }
            Err(error) => self.failed_to_connect(format!("connect: {error}")),
        }
    }

    fn connected(&self, stream: WebSocket, took: Duration) -> WebSocket {
        let mut counters = self.world.counters.borrow_mut();
        counters.connects += 1;
        counters.open += 1;
        counters.connect.record(took);
        stream
    }

    fn failed_to_connect(&self, why: String) -> Option<WebSocket> {
        self.world.counters.borrow_mut().error(why);
        None
    }

    /// One connection, from the welcome to its end.
    async fn stay(&mut self, mut stream: WebSocket) -> Left {
        self.unanswered = None;
        let watched = self.world.watched_by(self.number);
        for request in messages::watch(watched.iter().map(String::as_str), None) {
            if let Err(lost) = stream.send(request).await {
                return self.on_lost(&lost);
            }
        }
        let mut next_action = self.next_action();
        loop {
            let phase = *self.phase.borrow_and_update();
            if phase == Phase::Leaving {
                Box::pin(stream.close(1000)).await;
                return Left::ForGood;
            }
            let acts = phase == Phase::Living && self.world.mean_wait.is_some();
            tokio::select! {
                _ = self.phase.changed() => next_action = self.next_action(),
                incoming = stream.next() => match incoming {
                    Ok(Incoming::Message(message)) => self.on_message(*message),
                    Ok(Incoming::Ignored) => {}
                    Err(lost) => return self.on_lost(&lost),
                },
                () = sleep_until(next_action.into()), if acts => {
                    next_action = self.next_action();
                    stream = match Box::pin(self.act(stream)).await {
                        Ok(stream) => stream,
                        Err(left) => return left,
                    };
                }
            }
        }
    }

    fn next_action(&mut self) -> Instant {
        clock::instant()
            + self
                .world
                .mean_wait
                .map_or(Duration::ZERO, |mean| self.rng.exponential(mean))
    }

    /// Does something; whoever leaves takes the connection along.
    async fn act(&mut self, mut stream: WebSocket) -> Result<WebSocket, Left> {
        let sent = match self.rng.below(100) {
            0..45 => self.switch_status(&mut stream).await,
            45..70 => self.say(&mut stream, messages::activity()).await,
            70..86 => self.say(&mut stream, messages::away()).await,
            86..92 => {
                self.world.counters.borrow_mut().reloads += 1;
                stream.close(1001).await;
                return Err(Left::Back(self.between_millis(50, 500)));
            }
            92..96 => {
                self.world.counters.borrow_mut().crashes += 1;
                drop(stream);
                return Err(Left::Back(self.between_millis(300, 3000)));
            }
            _ => {
                self.world.counters.borrow_mut().leaves += 1;
                stream.close(1000).await;
                return Err(Left::Back(self.between_millis(1000, 5000)));
            }
        };
        match sent {
            Ok(()) => Ok(stream),
            Err(lost) => Err(self.on_lost(&lost)),
        }
    }

    async fn say(&self, stream: &mut WebSocket, message: String) -> Result<(), ConnectionLost> {
        self.world.counters.borrow_mut().activities += 1;
        stream.send(message).await
    }

    /// Chooses something else; one change at a time.
    async fn switch_status(&mut self, stream: &mut WebSocket) -> Result<(), ConnectionLost> {
        let now = clock::instant();
        match self.unanswered {
            Some((_, sent)) if now.saturating_duration_since(sent) < ANSWER_TIMEOUT => return Ok(()),
            Some(_) => self
                .world
                .counters
                .borrow_mut()
                .error("a change was not answered".into()),
            None => {}
        }
        let others: Vec<_> = [CustomStatus::Online, CustomStatus::Idle, CustomStatus::DoNotDisturb]
            .into_iter()
            .filter(|choice| *choice != self.chosen)
            .collect();
        self.chosen = if self.rng.below(2) == 0 { others[0] } else { others[1] };
        self.next_change += 1;
        self.unanswered = Some((self.next_change, now));
        self.world.counters.borrow_mut().change_sent(self.number, now);
        stream.send(messages::set_status(self.next_change, self.chosen)).await
    }

    fn on_message(&mut self, message: ServerMessage) {
        let now = clock::instant();
        let mut counters = self.world.counters.borrow_mut();
        match message {
            ServerMessage::Presence { users, .. } => {
                for update in &users {
                    if let Some(person) = self
                        .world
                        .number_of(update.user_id().as_str())
                        .filter(|n| *n != self.number)
                    {
                        counters.delivered(person, update.revision(), now);
                    }
                }
            }
            ServerMessage::Ok { id: Some(id), user } if id.as_u64() == self.unanswered.map(|(id, _)| id) => {
                self.unanswered = None;
                let revision = user.map(|record| Update::Record(record).revision());
                counters.change_answered(self.number, revision, now);
            }
            ServerMessage::Error { code, .. } => {
                self.unanswered = None;
                counters.error(format!("{code:?}"));
            }
            ServerMessage::Goodbye { reconnect_after_ms, .. } => {
                self.asked_delay = reconnect_after_ms.map(Duration::from_millis);
            }
            ServerMessage::Welcome { .. }
            | ServerMessage::Snapshot { .. }
            | ServerMessage::Ok { .. }
            | ServerMessage::Pong { .. } => {}
        }
    }

    fn on_lost(&mut self, lost: &ConnectionLost) -> Left {
        let kind = match lost.code {
            Some(code) => format!("closed by the server with {code}"),
            None => format!("lost: {}", lost.why),
        };
        self.world.counters.borrow_mut().error(kind);
        match lost.code {
            Some(close::KICKED | close::FORGOTTEN | close::ABUSIVE) => Left::ForGood,
            _ => Left::Lost(self.asked_delay.take()),
        }
    }

    fn between_millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.rng.below(most - least + 1))
    }
}
