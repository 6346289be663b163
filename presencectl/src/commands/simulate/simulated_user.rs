//! One simulated user: connects, watches others, acts at random times, disconnects in one of several ways, reconnects,
//! and disconnects for good when the run ends. It knows only its own connection and the counters.

use std::rc::Rc;
use std::time::{Duration, Instant};

use presence::CustomStatus;
use presence::wire::close;
use presence::wire::record::Update;
use presence::wire::server::ServerMessage;
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until};

use super::Simulation;
use super::identities::FirstConnection;
use crate::client::backoff::Backoff;
use crate::client::messages;
use crate::client::websocket::{ConnectError, ConnectionLost, Incoming, WebSocket};
use crate::clock;
use crate::rng::Rng;

/// A change without a response for that long is an error.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The phase of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Users connect, without further actions.
    Connecting,
    Running,
    /// Users disconnect for good.
    Disconnecting,
}

/// How a user's connection ended.
enum Departure {
    /// The user left and reconnects after this delay.
    Back(Duration),
    /// The connection was lost; the server may have requested a delay.
    Lost(Option<Duration>),
    ForGood,
}

pub(super) struct SimulatedUser {
    simulation: Rc<Simulation>,
    number: u64,
    rng: Rng,
    phase: watch::Receiver<Phase>,
    chosen: CustomStatus,
    /// The pending change, and when it was sent.
    unanswered: Option<(u64, Instant)>,
    next_change: u64,
    /// The delay that the server requested in its goodbye.
    asked_delay: Option<Duration>,
}

impl SimulatedUser {
    pub(super) fn new(simulation: Rc<Simulation>, number: u64, phase: watch::Receiver<Phase>) -> Self {
        Self {
            rng: Rng::from_seed(simulation.seed.wrapping_add(number)),
            simulation,
            number,
            phase,
            chosen: CustomStatus::Online,
            unanswered: None,
            next_change: 0,
            asked_delay: None,
        }
    }

    /// Runs until the end of the simulation.
    pub(super) async fn live(mut self) {
        let mut backoff = Backoff::default();
        let mut arrived = false;
        loop {
            let connected = Box::pin(self.connect()).await;
            if !arrived {
                arrived = true;
                self.simulation.arrived.set(self.simulation.arrived.get() + 1);
            }
            let left = match connected {
                Some(stream) => {
                    backoff.reset();
                    let left = self.stay(stream).await;
                    self.simulation.counters.borrow_mut().open -= 1;
                    left
                }
                None => Departure::Lost(None),
            };
            let away = match left {
                Departure::Back(away) => away,
                Departure::Lost(asked) => backoff.next(asked, &mut self.rng),
                Departure::ForGood => return,
            };
            tokio::select! {
                () = sleep(away) => {}
                _ = self.phase.wait_for(|phase| *phase == Phase::Disconnecting) => return,
            }
        }
    }

    async fn connect(&mut self) -> Option<WebSocket> {
        let simulation = Rc::clone(&self.simulation);
        if self.number == 0
            && let Some(FirstConnection { stream, took }) = simulation.first.take()
        {
            simulation.counters.borrow_mut().attempts += 1;
            return Some(self.connected(stream, took));
        }
        // In the disconnect phase no user connects; those waiting for a permit get it and see that.
        let _permit = simulation.handshakes.acquire().await.ok()?;
        if *self.phase.borrow() == Phase::Disconnecting {
            return None;
        }
        let identity = match simulation.identities.of(self.number) {
            Ok(identity) => identity,
            Err(_) => return self.failed_to_connect("the token can't be signed".into()),
        };
        let begun = clock::instant();
        simulation.counters.borrow_mut().attempts += 1;
        // Boxed: a handshake needs much more memory than an open connection, of which there may be ten thousand.
        match Box::pin(WebSocket::connect(&simulation.target, &identity)).await {
            Ok((stream, _)) => Some(self.connected(stream, begun.elapsed())),
            Err(ConnectError::Rejected { status, .. }) => {
                self.failed_to_connect(format!("connect refused with HTTP {status}"))
            }
            Err(error) => self.failed_to_connect(format!("connect: {error}")),
        }
    }

    fn connected(&self, stream: WebSocket, took: Duration) -> WebSocket {
        let mut counters = self.simulation.counters.borrow_mut();
        counters.connects += 1;
        counters.open += 1;
        counters.connect.record(took);
        stream
    }

    fn failed_to_connect(&self, why: String) -> Option<WebSocket> {
        self.simulation.counters.borrow_mut().error(why);
        None
    }

    /// One connection, from the welcome to its end.
    async fn stay(&mut self, mut stream: WebSocket) -> Departure {
        self.unanswered = None;
        let watched = self.simulation.watched_by(self.number);
        for request in messages::watch(watched.iter().map(String::as_str), None) {
            if let Err(lost) = stream.send(request).await {
                return self.on_lost(&lost);
            }
        }
        let mut next_action = self.next_action();
        loop {
            let phase = *self.phase.borrow_and_update();
            if phase == Phase::Disconnecting {
                Box::pin(stream.close(1000)).await;
                return Departure::ForGood;
            }
            let acts = phase == Phase::Running && self.simulation.mean_wait.is_some();
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
                .simulation
                .mean_wait
                .map_or(Duration::ZERO, |mean| self.rng.exponential(mean))
    }

    /// Performs a random action, which may consume the connection.
    async fn act(&mut self, mut stream: WebSocket) -> Result<WebSocket, Departure> {
        let sent = match self.rng.below(100) {
            0..45 => self.switch_status(&mut stream).await,
            45..70 => self.say(&mut stream, messages::activity()).await,
            70..86 => self.say(&mut stream, messages::away()).await,
            86..92 => {
                self.simulation.counters.borrow_mut().reloads += 1;
                stream.close(1001).await;
                return Err(Departure::Back(self.between_millis(50, 500)));
            }
            92..96 => {
                self.simulation.counters.borrow_mut().crashes += 1;
                drop(stream);
                return Err(Departure::Back(self.between_millis(300, 3000)));
            }
            _ => {
                self.simulation.counters.borrow_mut().leaves += 1;
                stream.close(1000).await;
                return Err(Departure::Back(self.between_millis(1000, 5000)));
            }
        };
        match sent {
            Ok(()) => Ok(stream),
            Err(lost) => Err(self.on_lost(&lost)),
        }
    }

    async fn say(&self, stream: &mut WebSocket, message: String) -> Result<(), ConnectionLost> {
        self.simulation.counters.borrow_mut().activities += 1;
        stream.send(message).await
    }

    /// Sets another custom status; one change at a time.
    async fn switch_status(&mut self, stream: &mut WebSocket) -> Result<(), ConnectionLost> {
        let now = clock::instant();
        match self.unanswered {
            Some((_, sent)) if now.saturating_duration_since(sent) < ANSWER_TIMEOUT => return Ok(()),
            Some(_) => self
                .simulation
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
        self.simulation.counters.borrow_mut().change_sent(self.number, now);
        stream.send(messages::set_status(self.next_change, self.chosen)).await
    }

    fn on_message(&mut self, message: ServerMessage) {
        let now = clock::instant();
        let mut counters = self.simulation.counters.borrow_mut();
        match message {
            ServerMessage::Presence { users, .. } => {
                for update in &users {
                    if let Some(person) = self
                        .simulation
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

    fn on_lost(&mut self, lost: &ConnectionLost) -> Departure {
        let kind = match lost.code {
            Some(code) => format!("closed by the server with {code}"),
            None => format!("lost: {}", lost.why),
        };
        self.simulation.counters.borrow_mut().error(kind);
        match lost.code {
            Some(close::KICKED | close::FORGOTTEN | close::ABUSIVE) => Departure::ForGood,
            _ => Departure::Lost(self.asked_delay.take()),
        }
    }

    fn between_millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.rng.below(most - least + 1))
    }
}
