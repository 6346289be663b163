//! One simulated user: connects, watches others, acts at random times, disconnects in one of several ways, reconnects,
//! and disconnects for good when the run ends. It knows only its own connection and the counters.

mod incoming;

use std::rc::Rc;
use std::time::{Duration, Instant};

use presence::CustomStatus;
use presence::wire::close_code;
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until};

use super::Simulation;
use super::continuity::Continuity;
use super::identities::FirstConnection;
use crate::client::backoff::Backoff;
use crate::client::discover::Target;
use crate::client::messages;
use crate::client::websocket::{ConnectError, ConnectionLost, Incoming, WebSocket};
use crate::clock;
use crate::rng::Rng;

/// After a restart was announced the daemon may be away for this long, which is the restart grace.
const RESTART_MAX: Duration = Duration::from_secs(30);
/// A change without a response for that long is an error.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

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
    Reconnect(Duration),
    /// The connection was lost; the server may have requested a delay.
    Lost(Option<Duration>),
    Final,
}

pub(super) struct SimulatedUser {
    simulation: Rc<Simulation>,
    number: u64,
    rng: Rng,
    phase: watch::Receiver<Phase>,
    custom_status: CustomStatus,
    /// The pending change, and when it was sent.
    pending: Option<(u64, Instant)>,
    next_change: u64,
    /// The delay that the server requested in its goodbye.
    requested_delay: Option<Duration>,
    continuity: Continuity,
    /// How often it has changed the node.
    moves: u64,
    /// The daemon said that it restarts: until then, or until it is back, a connect that fails is no error.
    restart_until: Option<Instant>,
}

impl SimulatedUser {
    pub(super) fn new(simulation: Rc<Simulation>, number: u64, phase: watch::Receiver<Phase>) -> Self {
        Self {
            rng: Rng::from_seed(simulation.seed.wrapping_add(number)),
            simulation,
            number,
            phase,
            custom_status: CustomStatus::Online,
            pending: None,
            next_change: 0,
            requested_delay: None,
            continuity: Continuity::default(),
            moves: 0,
            restart_until: None,
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
            let departure = match connected {
                Some((stream, session)) => {
                    backoff.reset();
                    let departure = self.stay(stream, session).await;
                    self.simulation.counters.borrow_mut().open -= 1;
                    departure
                }
                None => Departure::Lost(None),
            };
            self.moves += 1;
            let delay = match departure {
                Departure::Reconnect(delay) => delay,
                Departure::Lost(requested) => backoff.next(requested, &mut self.rng),
                Departure::Final => return,
            };
            tokio::select! {
                () = sleep(delay) => {}
                _ = self.phase.wait_for(|phase| *phase == Phase::Disconnecting) => return,
            }
        }
    }

    async fn connect(&mut self) -> Option<(WebSocket, String)> {
        let simulation = Rc::clone(&self.simulation);
        if self.number == 0
            && let Some(FirstConnection { stream, session, took }) = simulation.first.take()
        {
            simulation.counters.borrow_mut().attempts += 1;
            return Some((self.connected(stream, took, self.target(&simulation)), session));
        }
        // In the disconnect phase no user connects; those waiting for a permit get it and see that.
        let _permit = simulation.handshakes.acquire().await.ok()?;
        if *self.phase.borrow() == Phase::Disconnecting {
            return None;
        }
        let identity = match simulation.identities.of(self.number) {
            Ok(identity) => identity,
            Err(_) => {
                self.failed_to_connect("can't sign the token".into());
                return None;
            }
        };
        let begun = clock::instant();
        simulation.counters.borrow_mut().attempts += 1;
        // Boxed: a handshake needs much more memory than an open connection, of which there may be ten thousand.
        let target = self.target(&simulation);
        match Box::pin(WebSocket::connect(target, &identity)).await {
            Ok((stream, welcome)) => {
                self.restart_until = None;
                return Some((self.connected(stream, begun.elapsed(), target), welcome.session));
            }
            Err(ConnectError::Rejected { status: 429 | 503, .. }) => {
                simulation.counters.borrow_mut().reached(&target.server.display());
                self.told_to_wait();
            }
            // Another node is tried next.
            Err(ConnectError::Unreachable(why)) if simulation.targets.len() > 1 => {
                let address = target.server.display();
                simulation.counters.borrow_mut().not_reached(&address, why);
            }
            Err(_) if self.restart_until.is_some_and(|until| clock::instant() < until) => self.told_to_wait(),
            // It was about to connect when others were told.
            Err(ConnectError::Unreachable(_)) if simulation.is_restarting() => self.told_to_wait(),
            Err(error) => self.failed_to_connect(format!("connect: {error}")),
        }
        None
    }

    /// The node that it connects to now.
    fn target<'a>(&self, simulation: &'a Simulation) -> &'a Target {
        let count = simulation.targets.len() as u64;
        let index = usize::try_from((self.number + self.moves) % count.max(1)).unwrap_or(0);
        &simulation.targets[index]
    }

    fn connected(&self, stream: WebSocket, took: Duration, target: &Target) -> WebSocket {
        let mut counters = self.simulation.counters.borrow_mut();
        counters.reached(&target.server.display());
        counters.connects += 1;
        counters.open += 1;
        counters.connect.record(took);
        stream
    }

    /// The daemon is restarting, or refused the connection with a status that asks for patience.
    fn told_to_wait(&self) {
        self.simulation.counters.borrow_mut().postponed += 1;
    }

    fn failed_to_connect(&self, why: String) {
        self.simulation.counters.borrow_mut().error(why);
    }

    /// One connection, from the welcome to its end.
    async fn stay(&mut self, mut stream: WebSocket, session: String) -> Departure {
        self.pending = None;
        for request in self.first_requests(session) {
            if let Err(lost) = stream.send(request).await {
                return self.on_lost(&lost);
            }
        }
        let mut next_action = self.next_action();
        loop {
            let phase = *self.phase.borrow_and_update();
            if phase == Phase::Disconnecting {
                Box::pin(stream.close(1000)).await;
                return Departure::Final;
            }
            let acts = phase == Phase::Running && self.simulation.mean_interval.is_some();
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
                        Err(departure) => return departure,
                    };
                }
            }
        }
    }

    /// Continues the session before, if there was one, and watches on.
    fn first_requests(&mut self, session: String) -> Vec<String> {
        let resume = self.continuity.begin(session).map(|lost| messages::resume(&lost));
        let watched = self.simulation.watched_by(self.number);
        let watch = |since: Option<&str>| messages::watch(watched.iter().map(String::as_str), since);
        let since = self.continuity.watch_from(watch(None).len());
        resume.into_iter().chain(watch(since.as_deref())).collect()
    }

    fn next_action(&mut self) -> Instant {
        clock::instant()
            + self
                .simulation
                .mean_interval
                .map_or(Duration::ZERO, |mean| self.rng.exponential(mean))
    }

    /// Performs a random action, which may consume the connection.
    async fn act(&mut self, mut stream: WebSocket) -> Result<WebSocket, Departure> {
        let sent = match self.rng.below(100) {
            0..45 => self.switch_status(&mut stream).await,
            45..70 => self.report(&mut stream, messages::activity()).await,
            70..86 => self.report(&mut stream, messages::away()).await,
            86..92 => {
                self.simulation.counters.borrow_mut().reloads += 1;
                stream.close(1001).await;
                return Err(Departure::Reconnect(self.between_millis(50, 500)));
            }
            92..96 => {
                self.simulation.counters.borrow_mut().crashes += 1;
                drop(stream);
                return Err(Departure::Reconnect(self.between_millis(300, 3000)));
            }
            _ => {
                self.simulation.counters.borrow_mut().leaves += 1;
                self.sign_out();
                stream.close(1000).await;
                return Err(Departure::Reconnect(self.between_millis(1000, 5000)));
            }
        };
        match sent {
            Ok(()) => Ok(stream),
            Err(lost) => Err(self.on_lost(&lost)),
        }
    }

    async fn report(&self, stream: &mut WebSocket, message: String) -> Result<(), ConnectionLost> {
        self.simulation.counters.borrow_mut().activities += 1;
        stream.send(message).await
    }

    /// Sets another custom status; one change at a time.
    async fn switch_status(&mut self, stream: &mut WebSocket) -> Result<(), ConnectionLost> {
        let now = clock::instant();
        match self.pending {
            Some((_, sent)) if now.saturating_duration_since(sent) < RESPONSE_TIMEOUT => return Ok(()),
            Some(_) => self
                .simulation
                .counters
                .borrow_mut()
                .error("no response to a change".into()),
            None => {}
        }
        let others: Vec<_> = [CustomStatus::Online, CustomStatus::Idle, CustomStatus::DoNotDisturb]
            .into_iter()
            .filter(|status| *status != self.custom_status)
            .collect();
        self.custom_status = if self.rng.below(2) == 0 { others[0] } else { others[1] };
        self.next_change += 1;
        self.pending = Some((self.next_change, now));
        self.simulation.counters.borrow_mut().change_sent(self.number, now);
        stream
            .send(messages::set_status(self.next_change, self.custom_status))
            .await
    }

    fn on_lost(&mut self, lost: &ConnectionLost) -> Departure {
        let kind = match lost.code {
            Some(_) => lost.why.clone(),
            None => format!("connection lost: {}", lost.why),
        };
        if lost.code == Some(close_code::RESTART) {
            self.simulation.counters.borrow_mut().restarts += 1;
            self.restart_until = Some(clock::instant() + RESTART_MAX);
            self.simulation.restart_until.set(self.restart_until);
        } else {
            self.simulation.counters.borrow_mut().error(kind);
        }
        match lost.code {
            Some(close_code::KICKED | close_code::FORGOTTEN | close_code::ABUSIVE) => {
                self.sign_out();
                Departure::Final
            }
            _ => Departure::Lost(self.requested_delay.take()),
        }
    }

    fn between_millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.rng.below(most - least + 1))
    }
}
