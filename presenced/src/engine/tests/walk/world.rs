//! The daemon and the model side by side, and the loop of a walk.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use presence::{Now, SessionName, Wall};

use super::model::Model;
use super::steps::WalkStep;
use super::watcher::{Scope, WalkWatcher};
use crate::engine::heartbeat::RunEnd;
use crate::engine::tests::random::Rng;
use crate::engine::tests::stepped_engine::{BEGIN, Stepped, SteppedClient};

/// Users that everything happens to.
pub(super) const USERS: [&str; 3] = ["ann", "bob", "eve"];
/// How many steps a failing walk prints.
const PRINTED: usize = 40;

/// A connection of a user.
pub(super) struct WalkSession {
    pub(super) user: &'static str,
    /// Its number in the whole walk.
    pub(super) id: u64,
    pub(super) client: SteppedClient,
    /// The model counts it as a session.
    pub(super) is_open: bool,
}

/// What of the store fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Faults {
    None,
    Reads,
    Writes,
}

/// Whether the wall clock tells the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WallClock {
    Right,
    /// It is set, and stands still, now and then: times are bounded, not predicted.
    Wrong,
}

pub(super) struct World {
    pub(super) rng: Rng,
    /// None only while one run follows another.
    daemon: Option<Stepped>,
    /// The model's time when the daemon's monotonic clock was zero.
    pub(super) began: u64,
    pub(super) models: BTreeMap<&'static str, Model>,
    pub(super) clients: Vec<WalkSession>,
    pub(super) next_client: u64,
    /// All sessions that there ever were, by number and name.
    pub(super) names: Vec<(u64, SessionName)>,
    pub(super) watchers: Vec<WalkWatcher>,
    pub(super) faults: Faults,
    pub(super) wall_clock: WallClock,
    /// Deadlines have moved against the wall clock in this run.
    pub(super) has_stalled: bool,
    /// When the last heartbeat was written, on the model's time and on the wall clock.
    pub(super) heartbeat: (u64, Wall),
    /// How the runs before this one ended.
    pub(super) ends: Vec<RunEnd>,
    log: VecDeque<String>,
}

impl World {
    /// Walks, and panics where the daemon and the model differ.
    pub(super) async fn walk(seed: u64, steps: usize) {
        let mut world = Self::new(seed).await;
        for number in 0..steps {
            let step = WalkStep::at_random(&mut world);
            let users: Vec<&str> = world.clients.iter().map(|client| client.user).collect();
            world.note(format!("{number} at {} ms, of {users:?}: {step:?}", world.mono()));
            world.take(step).await;
            world.check_users();
        }
        world.come_to_rest().await;
        world.log.clear();
    }

    async fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let wall_clock = if rng.once_in(2) {
            WallClock::Right
        } else {
            WallClock::Wrong
        };
        Self {
            rng,
            daemon: Some(Stepped::in_memory().await),
            began: 0,
            models: USERS.map(|user| (user, Model::new())).into(),
            clients: Vec::new(),
            next_client: 0,
            names: Vec::new(),
            watchers: vec![
                WalkWatcher::new(Scope::Named(&USERS)),
                WalkWatcher::new(Scope::Named(&["ann"])),
                WalkWatcher::new(Scope::Everyone),
            ],
            faults: Faults::None,
            wall_clock,
            has_stalled: false,
            heartbeat: (0, BEGIN),
            ends: Vec::new(),
            log: VecDeque::new(),
        }
    }

    pub(super) fn daemon(&self) -> &Stepped {
        self.daemon.as_ref().expect("a run")
    }

    /// Ends the run; the next one must be put in its place.
    pub(super) fn take_daemon(&mut self) -> Stepped {
        self.daemon.take().expect("a run")
    }

    pub(super) fn set_daemon(&mut self, daemon: Stepped) {
        self.daemon = Some(daemon);
    }

    pub(super) fn model(&mut self, user: &str) -> &mut Model {
        self.models.get_mut(user).expect("a user of the walk")
    }

    /// The model's time, which goes on from run to run.
    pub(super) fn mono(&self) -> u64 {
        self.began + self.daemon().clock.mono().as_millis()
    }

    pub(super) fn now(&self) -> Now {
        Now {
            mono: presence::Mono::from_millis(self.mono()),
            wall: self.daemon().clock.wall(),
        }
    }

    pub(super) fn note(&mut self, line: String) {
        if self.log.len() == PRINTED {
            self.log.pop_front();
        }
        self.log.push_back(line);
    }

    /// Time passes. At exactly its moment a deadline may have taken effect or not, so the walk stops only where that is
    /// certain.
    pub(super) fn advance(&mut self, by: Duration) {
        self.daemon().advance(by);
        while self.is_deadline_near() {
            self.daemon().advance(Duration::from_millis(20));
        }
    }

    fn is_deadline_near(&self) -> bool {
        let now = self.mono();
        let is_near = |model: &Model| {
            let after = model.deadlines_after(now.saturating_sub(40));
            after.first().is_some_and(|deadline| *deadline <= now)
        };
        self.models.values().any(is_near)
    }

    /// Everything fails no longer, all that waits is done, and whoever watches must know the truth.
    async fn come_to_rest(&mut self) {
        self.note("at rest".to_owned());
        self.take(WalkStep::Faults(Faults::None)).await;
        self.take(WalkStep::Retry).await;
        self.take(WalkStep::Advance { millis: 20_000 }).await;
        for index in 0..self.watchers.len() {
            self.take(WalkStep::Watch { index, resumes: true }).await;
        }
        self.take(WalkStep::Deliver).await;
        self.take(WalkStep::Write).await;
        self.check_users();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self {
                wall_clock,
                faults,
                ends,
                ..
            } = self;
            eprintln!(
                "  the clock was {wall_clock:?}, the disk failed {faults:?}, runs ended {ends:?}; the last steps, each"
            );
            eprintln!("  with the users of the connections that it found, by index:");
            for line in &self.log {
                eprintln!("  {line}");
            }
        }
    }
}
