//! One partition as a node takes part in it: inputs with their time go in, [`Effect`]s come out. What the user's sessions
//! here add up to is asked of the caller at the moment of an offer, so the newest is sent.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::replication::build::{AskedCommand, Knowledge};
use crate::replication::call::Caller;
use crate::replication::clock::{Jitter, SharedClock};
use crate::replication::continuing::Claim;
use crate::replication::draining::{DrainOrders, OrdersHere};
use crate::replication::effect::Effect;
use crate::replication::follower::Follower;
use crate::replication::leases::Leases;
use crate::replication::listing::Lists;
use crate::replication::names::Incarnation;
use crate::replication::node_info::{MovedTimes, NodeInfo, NodeLoad};
use crate::replication::publisher::Publisher;
use crate::replication::reachability::Reachability;
use crate::replication::replica::Replica;
use crate::replication::scanning::{Pass, PastSearch};
use crate::replication::settings::{RETRY_AFTER, Rule, SCAN_USERS_MAX, SPREAD, Settings, UNREACHABLE_AFTER};
use crate::replication::state::{Command, CommandKind, SharedPart, State};
use crate::replication::timers::DueTimes;
use crate::revision::Revision;
use crate::time::{Mono, Reading, Wall};
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
    /// Runs before, dead by the lock of the data directory, with the grace period of their sessions.
    pub previous: Vec<(Incarnation, Duration)>,
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
    pub(super) previous: BTreeMap<Incarnation, Duration>,
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
    pub(super) lists: Lists,
    /// What operators asked this node for, until the log has it.
    pub(super) commands: BTreeMap<UserId, AskedCommand>,
    /// Durable parts that the log must have, whoever has sessions of the user.
    pub(super) parts: BTreeMap<UserId, SharedPart>,
    /// Last seen and last active of users who left the state while something older of them was on its way to it, until the log has
    /// both: nobody may have those users in memory.
    pub(super) times_left: BTreeMap<UserId, (Option<Wall>, Option<Wall>)>,
    /// Users whom offers of this node brought to the log, whose times the database may have later.
    pub(super) newcomers: Vec<UserId>,
    /// Places of lost sessions that connections here have taken, until the log says whose they are.
    pub(super) claims: BTreeMap<UserId, Vec<Claim>>,
    /// Users of whose lost sessions some are continued, until the node of the places says so.
    pub(super) continuing: BTreeSet<UserId>,
    /// Commands that a new epoch lacks: nodes that did not read them then must read them now.
    pub(super) commands_lost: BTreeMap<UserId, Command>,
    /// What ticks tell of the node.
    pub(super) load: NodeLoad,
    /// What operators asked of other nodes, until those say so.
    pub(super) drain_orders: DrainOrders,
    /// What others ask this one in that way.
    pub(super) orders_here: OrdersHere,
    /// When it became registered or ceased to be.
    pub(super) unregistered_since: Option<Mono>,
    pub(super) is_ready: bool,
    pub(super) is_loading_present: bool,
    /// What the database had, until the pages are adopted.
    pub(super) present_waiting: Vec<(UserId, Revision, State)>,
    pub(super) life: Life,
    pub(super) scan_users_max: usize,
    /// Passes over all users that are not over.
    pub(super) passes: VecDeque<Pass>,
    pub(super) past: PastSearch,
    /// More users are to be looked at for what to offer than one input may take.
    pub(super) has_more_to_offer: bool,
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
        publisher.ends.extend(start.previous.iter().copied());
        Self {
            own: start.own,
            previous: start.previous.into_iter().collect(),
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
            lists: Lists::default(),
            commands: BTreeMap::new(),
            parts: BTreeMap::new(),
            times_left: BTreeMap::new(),
            newcomers: Vec::new(),
            claims: BTreeMap::new(),
            continuing: BTreeSet::new(),
            commands_lost: BTreeMap::new(),
            load: NodeLoad::default(),
            drain_orders: DrainOrders::default(),
            orders_here: OrdersHere::default(),
            unregistered_since: Some(now),
            is_ready: false,
            is_loading_present: false,
            present_waiting: Vec::new(),
            life: Life::Running,
            scan_users_max: SCAN_USERS_MAX,
            passes: VecDeque::new(),
            past: PastSearch::default(),
            has_more_to_offer: false,
            effects: Vec::new(),
        }
    }

    /// Changes how many users one input looks at where all of the partition are looked at (1,000): tests take fewer.
    pub fn set_scan_users_max(&mut self, users: usize) {
        self.scan_users_max = users.max(1);
    }

    /// Takes what is to be done. Call after every input.
    #[must_use]
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Something of the user changed on this node. It is not offered before the caller has ended the sessions that a command ended.
    pub fn handle_touch(&mut self, input: Input<'_>, user: &UserId) {
        self.publisher.pending.insert(user.clone());
        self.tell_locally(input, user);
        self.advance(input);
    }

    /// The caller has carried out [`Effect::EndSessions`].
    pub fn handle_sessions_ended(&mut self, input: Input<'_>, user: &UserId) {
        self.publisher.ending.remove(user);
        self.handle_touch(input, user);
    }

    /// An operator asks for a command. The outcome is [`Effect::EndSessions`]. Refuse it while the partition is unreachable.
    pub fn handle_command(&mut self, input: Input<'_>, user: &UserId, kind: CommandKind) {
        let before = self.replica.get(user).and_then(|held| held.state().command);
        let now = self.clock.now(input.reading);
        let later = Duration::from_millis(1);
        let at = before.map_or(now, |before| now.max(before.at.after(later)));
        let command = Command { kind, at, by: self.own };
        let copied = self.replica.get(user).map(|held| held.state().durable.part.version);
        let known = (input.own)(user)
            .and_then(|own| own.durable)
            .map(|part| part.part.version);
        let loaded = self.parts.get(user).map(|part| part.part.version);
        let version = copied.max(known).max(loaded).unwrap_or_default();
        self.commands.insert(user.clone(), AskedCommand { command, version });
        self.publisher.pending.insert(user.clone());
        self.advance(input);
    }

    /// The times of a user moved alone. At most once a minute for each.
    pub fn handle_times(&mut self, times: MovedTimes) {
        self.publisher.times.insert(times.user.clone(), times);
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

    /// The process did not run for so long: whatever it knows is of then.
    pub fn handle_stall(&mut self, input: Input<'_>, length: Duration) {
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
        if self.follower.silence_deadline().is_some_and(|at| at <= now) {
            self.follower.unanswered_since = None;
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
        let goes_on = self.has_more_to_offer || self.past.goes_on();
        let is_waiting = !self.publisher.held_back.is_empty() || self.replica.has_withheld();
        let deadlines = [
            self.publisher.call_deadline(),
            self.publisher.retry_at.filter(|_| self.publisher.under_way.is_none()),
            tick.filter(|_| self.publisher.under_way.is_none()),
            self.reach.tick_deadline(),
            self.follower.silence_deadline(),
            self.unregistered_since.map(|since| since.after(UNREACHABLE_AFTER)),
            self.reach.hold_ends().filter(|_| is_waiting),
            self.timers.next(),
            self.listing_due_at(),
            goes_on.then_some(Mono::default()),
            self.passes.iter().map(|pass| pass.goes_on_at).min(),
        ];
        let first = deadlines.into_iter().flatten().min();
        first.map_or(self.follower.deadline(), |first| first.min(self.follower.deadline()))
    }

    fn on_timers(&mut self, input: Input<'_>) {
        let now = input.reading.mono;
        while let Some(incarnation) = self.timers.take_clean_up(now) {
            self.begin_clean_up(incarnation, now);
        }
        for _ in 0..self.scan_users_max {
            let Some(user) = self.timers.take_user(now) else { break };
            self.on_user_deadline(input, &user);
        }
        if self.timers.offer_kept_at.is_some_and(|at| at <= now) {
            self.timers.offer_kept_at = None;
            self.begin_offer_kept(now);
            self.offer_continued();
        }
        self.go_on_with_passes(input);
        if self.timers.name_at.is_some_and(|at| at <= now) {
            self.on_name_deadline(now);
        }
        if self.timers.retry_full_at.is_some_and(|at| at <= now) {
            let again = self.jitter.within(now.after(SPREAD), SPREAD);
            self.timers.retry_full_at = (!self.publisher.refused.is_empty()).then_some(again);
            self.publisher.free_held_back();
        }
    }

    /// The publisher's connection is dropped; another one is opened soon.
    pub(super) fn reconnect(&mut self, now: Mono) {
        let spread = RETRY_AFTER * 2;
        let under_way = self.publisher.under_way.as_ref();
        let since = under_way.map_or(now, |under_way| under_way.since);
        self.publisher.reset(self.own);
        self.lists.abort();
        self.publisher.retry_at = Some(self.jitter.within(now.after(RETRY_AFTER), spread));
        self.reach.forget_ticks();
        self.unregistered_since = self.unregistered_since.or(Some(since));
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
        self.past.pause();
        if !self.is_ready && is_complete && self.is_past_over() && self.name_holder().is_none() {
            self.is_ready = true;
            self.push(Effect::Ready);
        }
    }
}

/// A moment of the tests of this crate.
#[cfg(test)]
pub(super) fn reading_of_tests() -> Reading {
    Reading {
        mono: Mono::default(),
        system: crate::time::SystemWall::from_millis(1_000_000),
        records_ahead: 0,
    }
}

#[cfg(test)]
impl Start {
    /// Of a node that has not run before.
    pub(super) fn of_tests(own: Incarnation) -> Self {
        Self {
            own,
            previous: Vec::new(),
            node: NodeInfo::default(),
            settings: Settings::of_tests(),
            seed: 1,
        }
    }
}
