//! One partition as a node takes part in it: inputs with their time go in, [`Effect`]s come out. What the user's sessions
//! here add up to is asked of the caller at the moment of an offer, so the newest is sent.

use std::collections::BTreeMap;

use crate::replication::build::Knowledge;
use crate::replication::call::Caller;
use crate::replication::clock::{Jitter, SharedClock};
use crate::replication::effect::Effect;
use crate::replication::follower::{Follower, Step};
use crate::replication::leases::Leases;
use crate::replication::names::Incarnation;
use crate::replication::node_info::{MovedTimes, NodeInfo};
use crate::replication::publisher::Publisher;
use crate::replication::reachability::Reachability;
use crate::replication::replica::{Held, Replica};
use crate::replication::settings::{RETRY_AFTER, Rule, SPREAD, Settings, UNREACHABLE_AFTER};
use crate::replication::state::{Command, CommandKind, SharedPart, State};
use crate::replication::timers::DueTimes;
use crate::revision::Revision;
use crate::time::{Mono, Reading};
use crate::user_id::UserId;

/// What comes with every input.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The reading of both clocks.
    pub reading: Reading,
    /// What this node knows of a user; none if nothing: no session, nothing loaded.
    pub own: &'a dyn Fn(&UserId) -> Option<Knowledge>,
}

impl Input<'_> {
    /// Whether a connection or a grace period of the user counts on this node.
    pub(super) fn has_sessions(&self, user: &UserId) -> bool {
        (self.own)(user).is_some_and(|own| own.contribution.is_present())
    }
}

/// What a node begins with.
#[derive(Debug, Clone)]
pub struct Start {
    /// This run of the node.
    pub own: Incarnation,
    /// The run before, dead by the lock of the data directory.
    pub previous: Option<Incarnation>,
    /// What the others are told.
    pub node: NodeInfo,
    /// Durations and limits.
    pub settings: Settings,
    /// A random number.
    pub seed: u64,
}

/// How far the node is with stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Running,
    /// What waits is offered, then the registration ends.
    Stopping,
    /// The registration was ended: it must not begin again.
    Stopped,
}

/// One partition as this node sees it.
pub struct Partition {
    pub(super) own: Incarnation,
    pub(super) node: NodeInfo,
    pub(super) settings: Settings,
    pub(super) jitter: Jitter,
    pub(super) clock: SharedClock,
    pub(super) replica: Replica,
    pub(super) leases: Leases,
    pub(super) reach: Reachability,
    pub(super) publisher: Publisher,
    pub(super) follower: Follower,
    pub(super) timers: DueTimes,
    /// What operators asked this node for, until the log has it.
    pub(super) commands: BTreeMap<UserId, Command>,
    /// Durable parts that the log must have, whoever has sessions of the user.
    pub(super) parts: BTreeMap<UserId, SharedPart>,
    /// Commands that a new epoch lacks: nodes that did not read them then must read them now.
    pub(super) commands_lost: BTreeMap<UserId, Command>,
    pub(super) load: (u32, u32),
    /// When it became registered or ceased to be.
    pub(super) unregistered_since: Option<Mono>,
    pub(super) is_ready: bool,
    pub(super) is_loading_present: bool,
    pub(super) life: Life,
    pub(super) effects: Vec<Effect>,
}

impl Partition {
    /// A partition of which nothing is known yet.
    #[must_use]
    pub fn new(start: Start, reading: Reading) -> Self {
        let now = reading.mono;
        let mut publisher = Publisher {
            retry_at: Some(now),
            tick_at: now,
            ..Publisher::default()
        };
        if let Some(previous) = start.previous {
            publisher.ends.insert(previous, start.settings.restart_grace);
        }
        Self {
            own: start.own,
            node: start.node,
            settings: start.settings,
            jitter: Jitter(start.seed),
            clock: SharedClock::default(),
            replica: Replica::default(),
            leases: Leases::default(),
            reach: Reachability::new(now),
            publisher,
            follower: Follower::new(now),
            timers: DueTimes::default(),
            commands: BTreeMap::new(),
            parts: BTreeMap::new(),
            commands_lost: BTreeMap::new(),
            load: (0, 0),
            unregistered_since: Some(now),
            is_ready: false,
            is_loading_present: false,
            life: Life::Running,
            effects: Vec::new(),
        }
    }

    /// Takes what is to be done. Call after every input.
    #[must_use]
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Something of the user changed on this node.
    pub fn handle_touch(&mut self, input: Input<'_>, user: &UserId) {
        self.publisher.ending.remove(user);
        self.publisher.pending.insert(user.clone());
        self.tell_locally(input, user);
        self.advance(input);
    }

    /// An operator asks for a command. The outcome is [`Effect::EndSessions`]. Refuse it while the partition is unreachable.
    pub fn handle_command(&mut self, input: Input<'_>, user: &UserId, kind: CommandKind) {
        let before = self.replica.get(user).and_then(|held| held.state().command);
        let now = self.clock.now(input.reading);
        let later = std::time::Duration::from_millis(1);
        let at = before.map_or(now, |before| now.max(before.at.after(later)));
        let command = Command { kind, at, by: self.own };
        self.commands.insert(user.clone(), command);
        self.publisher.pending.insert(user.clone());
        self.advance(input);
    }

    /// The times of a user moved alone. At most once a minute for each.
    pub fn handle_times(&mut self, times: MovedTimes) {
        self.publisher.times.insert(times.user.clone(), times);
    }

    /// What ticks tell of the node: its open connections, and how many it takes.
    pub fn handle_load(&mut self, connections: u32, capacity: u32) {
        self.load = (connections, capacity);
    }

    /// The database has the record of this user, at this revision or a later one.
    pub fn handle_written(&mut self, input: Input<'_>, user: &UserId, revision: Revision) {
        self.drop_written(input, user, revision);
        self.advance(input);
    }

    /// The database has this durable part: this node wrote it, it was marked `unpublished` for 10 s, or [`Effect::Load`]
    /// asked.
    pub fn handle_loaded(&mut self, input: Input<'_>, user: &UserId, part: SharedPart) {
        let version = part.part.version;
        let held = self.replica.get(user);
        let copied = held
            .filter(|held| !held.is_kept)
            .map(|held| held.state().durable.part.version);
        if copied >= Some(version) {
            self.push(Effect::Published(user.clone(), version));
            return;
        }
        let known = self.parts.get(user).map(|known| known.part.version);
        if known < Some(version) {
            self.parts.insert(user.clone(), part);
        }
        self.publisher.pending.insert(user.clone());
        self.tell_locally(input, user);
        self.advance(input);
    }

    /// The users that the database has as present, as far as [`Effect::LoadPresent`] asked.
    pub fn handle_present(&mut self, input: Input<'_>, users: Vec<(UserId, Revision, State)>) {
        self.is_loading_present = false;
        for (user, revision, state) in users {
            if self.replica.get(&user).is_none() {
                self.keep(input, &user, Held::new(revision, &state.encode()));
            }
        }
        self.become_ready();
        self.advance(input);
    }

    /// The process did not run for so long: whatever it knows is of then.
    pub fn handle_stall(&mut self, input: Input<'_>, length: std::time::Duration) {
        self.lose(input);
        self.reach.note_stall(length);
        self.reconnect(input.reading.mono);
        self.follower.restart(input.reading.mono);
        self.advance(input);
    }

    /// The node stops: its registration ends when nothing waits any more, with [`Effect::Stopped`].
    pub fn handle_stop(&mut self, input: Input<'_>) {
        if self.life == Life::Running {
            self.life = Life::Stopping;
        }
        self.advance(input);
    }

    /// Everything due by now takes effect.
    pub fn on_deadline(&mut self, input: Input<'_>) {
        let now = input.reading.mono;
        if self.publisher.call_deadline().is_some_and(|at| at <= now) {
            self.lose(input);
            self.reconnect(now);
        }
        if self.settings.has(Rule::TickThroughLog) && self.reach.tick_deadline().is_some_and(|at| at <= now) {
            self.reach.forget_ticks();
            self.lose(input);
        }
        if self
            .unregistered_since
            .is_some_and(|since| since.after(UNREACHABLE_AFTER) <= now)
        {
            self.unregistered_since = None;
            self.lose(input);
        }
        self.on_follower_deadline(input);
        if self.reach.hold_ends().is_some_and(|at| at <= now) {
            self.end_hold();
        }
        self.on_timers(input);
        self.advance(input);
    }

    /// When [`Self::on_deadline`] is to be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Mono {
        let tick = self.publisher.registered.map(|_| self.publisher.tick_at);
        let is_waiting = !self.publisher.held_back.is_empty() || self.replica.has_withheld();
        let deadlines = [
            self.publisher.call_deadline(),
            self.publisher.retry_at.filter(|_| self.publisher.under_way.is_none()),
            tick.filter(|_| self.publisher.under_way.is_none()),
            self.reach.tick_deadline(),
            self.unregistered_since.map(|since| since.after(UNREACHABLE_AFTER)),
            self.reach.hold_ends().filter(|_| is_waiting),
            self.timers.next(),
        ];
        let first = deadlines.into_iter().flatten().min();
        first.map_or(self.follower.deadline(), |first| first.min(self.follower.deadline()))
    }

    fn on_follower_deadline(&mut self, input: Input<'_>) {
        let now = input.reading.mono;
        if self.follower.deadline() > now {
            return;
        }
        if let Step::Wait(_) = self.follower.step {
            let step = if self.follower.is_synced {
                Step::Look
            } else {
                Step::Head
            };
            return self.ask(now, step);
        }
        self.lose(input);
        self.follower.restart(now);
    }

    fn on_timers(&mut self, input: Input<'_>) {
        let now = input.reading.mono;
        while let Some(incarnation) = self.timers.take_clean_up(now) {
            self.clean_up(now, incarnation);
        }
        while let Some(user) = self.timers.take_user(now) {
            self.on_user_deadline(input, &user);
        }
        if self.timers.offer_kept_at.is_some_and(|at| at <= now) {
            self.timers.offer_kept_at = None;
            self.offer_kept();
        }
        if self.timers.retry_full_at.is_some_and(|at| at <= now) {
            let again = self.jitter.within(now.after(SPREAD), SPREAD);
            self.timers.retry_full_at = (!self.publisher.refused.is_empty()).then_some(again);
            let mut held_back = std::mem::take(&mut self.publisher.held_back);
            self.publisher.pending.append(&mut held_back);
        }
    }

    /// The publisher's connection is dropped; another one is opened soon.
    pub(super) fn reconnect(&mut self, now: Mono) {
        let spread = RETRY_AFTER * 2;
        self.publisher.reset();
        self.publisher.retry_at = Some(self.jitter.within(now.after(RETRY_AFTER), spread));
        self.reach.forget_ticks();
        self.unregistered_since = self.unregistered_since.or(Some(now));
    }

    /// The contributions of an incarnation that is gone are removed by ordinary offers.
    fn clean_up(&mut self, now: Mono, incarnation: Incarnation) {
        if !self.leases.is_over(incarnation, now) {
            return;
        }
        let has_share = |held: &Held| held.state().share_of(incarnation).is_some();
        let users = self.replica.users().filter(|(_, held)| has_share(held));
        let users: Vec<UserId> = users.map(|(user, _)| user.clone()).collect();
        if users.is_empty() {
            return self.leases.forget(incarnation);
        }
        self.publisher.pending.extend(users);
        // Once more, in case an entry that was under way brings one back.
        let at = self.jitter.within(now.after(SPREAD * 5), SPREAD);
        self.timers.set_clean_up(incarnation, at);
    }

    pub(super) fn caller(&self) -> Caller {
        Caller {
            incarnation: self.own,
            connection: self.publisher.connection,
        }
    }

    pub(super) fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(super) fn become_ready(&mut self) {
        let is_complete = self.follower.is_synced && !self.is_loading_present && self.reach.is_reachable();
        if is_complete && !self.is_ready {
            self.is_ready = true;
            self.push(Effect::Ready);
        }
    }
}
