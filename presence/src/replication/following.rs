//! What the follower's answers mean: entries are applied in order, and where some are missing or the epoch is another, the
//! state is read anew.

use std::time::Duration;

use crate::replication::bytes::InvalidBytes;
use crate::replication::effect::Effect;
use crate::replication::follower::{Pages, Step};
use crate::replication::log::{Content, Entry, Question, Reply, StatePage};
use crate::replication::names::{Epoch, Incarnation};
use crate::replication::node_info::Tick;
use crate::replication::partition::{Input, Life, Partition};
use crate::replication::replica::Held;
use crate::replication::scanning::PASS_SPREAD;
use crate::replication::settings::{RETRY_AFTER, Rule};
use crate::replication::state::State;
use crate::revision::Revision;
use crate::time::Mono;
use crate::user_id::UserId;

impl Partition {
    /// The follower's connection of that generation was answered, or failed.
    pub fn handle_reply(&mut self, input: Input<'_>, generation: u64, reply: Option<Reply>) {
        let now = input.reading.mono;
        if generation != self.follower.generation {
            return;
        }
        let step = std::mem::replace(&mut self.follower.step, Step::Wait(now));
        if reply.is_some() {
            self.follower.unanswered_since = None;
        }
        match (step, reply) {
            (_, None) => {
                let until = self.jitter.within(now.after(RETRY_AFTER), RETRY_AFTER * 2);
                self.follower.reconnect(until);
            }
            (Step::Head, Some(Reply::Head { head, epoch })) => self.handle_head(now, head, epoch),
            (Step::Page(epoch, pages), Some(Reply::Page(page))) => self.handle_page(now, epoch, pages, page),
            (Step::Confirm(epoch, pages), Some(Reply::Head { epoch: then, head })) => {
                if then == Some(epoch) && head >= pages.head {
                    self.begin_adoption(input, epoch, pages);
                } else {
                    self.resync(now);
                }
            }
            (Step::Read, Some(Reply::Entries(entries))) => self.handle_entries(input, entries),
            (Step::Look, Some(Reply::Head { head, epoch })) => self.handle_look(now, head, epoch),
            // An answer to something else: the connection is not in order.
            (_, Some(_)) => self.follower.restart(now.after(RETRY_AFTER)),
        }
        self.advance(input);
    }

    /// What it asked has taken too long, or it is to ask again.
    pub(super) fn on_follower_deadline(&mut self, input: Input<'_>) {
        let now = input.reading.mono;
        if self.follower.deadline() > now {
            return;
        }
        if let Step::Adopt(_) = self.follower.step {
            return self.adopt(input);
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

    /// The state is to be read anew.
    pub(super) fn resync(&mut self, now: Mono) {
        self.follower.is_synced = false;
        self.lists.abort();
        if let Step::Wait(_) = self.follower.step {
            self.ask(now, Step::Head);
        } else {
            self.follower.restart(now);
        }
    }

    pub(super) fn ask(&mut self, now: Mono, step: Step) {
        if let Some(question) = self.follower.question(&step) {
            self.note_asked(now);
            let generation = self.follower.generation;
            self.push(Effect::Ask { generation, question });
        }
        self.follower.step = step;
    }

    fn note_asked(&mut self, now: Mono) {
        self.follower.asked_at = now;
        self.follower.unanswered_since = self.follower.unanswered_since.or(Some(now));
    }

    fn handle_head(&mut self, now: Mono, head: Revision, epoch: Option<Epoch>) {
        let Some(epoch) = epoch.filter(|epoch| !self.is_rolled_back(head, *epoch)) else {
            return self.wait_for_epoch(now);
        };
        let pages = Pages {
            head,
            ..Pages::default()
        };
        self.ask(now, Step::Page(epoch, pages));
    }

    /// The state is an older one of the same epoch: the next registration begins a new epoch, and says that what the state
    /// lacks was not removed.
    fn is_rolled_back(&self, head: Revision, epoch: Epoch) -> bool {
        self.follower.epoch == Some(epoch) && head < self.follower.last && self.settings.has(Rule::WaitForEpoch)
    }

    /// The partition is empty until somebody registers: this node as well as another.
    fn wait_for_epoch(&mut self, now: Mono) {
        self.follower.is_synced = false;
        self.follower.step = Step::Wait(now.after(RETRY_AFTER));
        if self.publisher.registered.is_some() && self.publisher.under_way.is_none() {
            self.reconnect(now);
        }
    }

    fn handle_page(&mut self, now: Mono, epoch: Epoch, mut pages: Pages, page: StatePage) {
        let next = page.next;
        pages.add(page);
        match next {
            Some(place) => {
                self.note_asked(now);
                let generation = self.follower.generation;
                let question = Question::Page { place };
                self.push(Effect::Ask { generation, question });
                self.follower.step = Step::Page(epoch, pages);
            }
            None => self.ask(now, Step::Confirm(epoch, pages)),
        }
    }

    fn handle_look(&mut self, now: Mono, head: Revision, epoch: Option<Epoch>) {
        let Some(epoch) = epoch else {
            return self.wait_for_epoch(now);
        };
        let last = self.follower.last;
        let is_other = self.follower.epoch != Some(epoch) || head < last;
        if is_other || head > last && self.follower.is_behind {
            self.follower.is_behind = false;
            return self.resync(now);
        }
        // An entry may have come between the read and the look.
        self.follower.is_behind = head > last;
        self.ask(now, Step::Read);
    }

    fn handle_entries(&mut self, input: Input<'_>, entries: Vec<Entry>) {
        let now = input.reading.mono;
        if entries.is_empty() && self.settings.has(Rule::LookAtHead) {
            return self.ask(now, Step::Look);
        }
        for entry in entries {
            self.follower.is_behind = false;
            let is_gap = entry.before != self.follower.last && self.settings.has(Rule::Predecessor);
            if is_gap || matches!(entry.content, Content::Epoch(_)) {
                return self.resync(now);
            }
            self.follower.last = entry.id;
            self.apply(input, entry.id, entry.content);
        }
        if let Step::Wait(_) = self.follower.step {
            self.ask(now, Step::Read);
        }
    }

    fn apply(&mut self, input: Input<'_>, id: Revision, content: Content) {
        let now = input.reading.mono;
        match content {
            Content::State { user, state, by } => {
                self.handle_heard(now, by);
                self.note_in_database(&user, id, self.follower.floor);
                self.apply_state(input, &user, Held::new(id, &state), Some(by));
            }
            Content::Tick { by, content } => {
                self.handle_heard(now, by);
                self.apply_tick(input, by, &content);
            }
            Content::Registered { incarnation, node } => {
                self.leases.handle_registered(incarnation, node, now);
                self.timers.cancel_clean_up(incarnation);
                self.watch_name(now);
                self.handle_heard(now, incarnation);
                // It has read no tick of before, and must know before it lets anybody become OFFLINE.
                self.publisher.wants_probe |= self.reach.is_full;
            }
            Content::Ended { incarnation, grace, by } => {
                self.handle_heard(now, by);
                self.apply_ended(input.reading.mono, id, incarnation, grace);
            }
            Content::Dropped { users, by } => {
                self.handle_heard(now, by);
                for user in users {
                    self.apply_dropped(&user, id);
                }
            }
            Content::Epoch(_) => {}
        }
    }

    fn handle_heard(&mut self, now: Mono, incarnation: Incarnation) {
        self.leases.handle_heard(incarnation, now);
        if incarnation != self.own {
            self.publisher.ends.remove(&incarnation);
        }
    }

    fn apply_tick(&mut self, input: Input<'_>, by: Incarnation, content: &[u8]) {
        let now = input.reading.mono;
        let Ok(mut tick) = Tick::decode(content) else { return };
        if tick.is_full {
            self.reach.hold(now);
        }
        self.note_draining(by, &tick);
        for times in std::mem::take(&mut tick.times) {
            self.apply_times(&times);
        }
        let (number, full_users) = (tick.number, std::mem::take(&mut tick.full_users));
        self.leases.handle_tick(by, now, tick);
        if let Some(are_refused) = self.leases.tell_additions_refused() {
            self.push(Effect::AdditionsRefused(are_refused));
        }
        if by != self.own {
            for user in full_users {
                self.push(Effect::DemandAnswers(user));
            }
            return;
        }
        self.handle_own_tick(input, number);
        self.note_lists(number, now);
        for dead in self.leases.handle_own_tick(by, now, &self.settings) {
            self.publisher.ends.insert(dead, self.settings.node_grace);
        }
    }

    pub(super) fn apply_ended(&mut self, now: Mono, id: Revision, incarnation: Incarnation, grace: Duration) {
        self.leases.handle_ended(incarnation, id, now, grace);
        self.publisher.ends.remove(&incarnation);
        self.orders_here.forget(incarnation);
        self.plan_clean_up(incarnation);
        self.offer_continued();
        self.become_ready();
        if incarnation == self.own && self.life != Life::Running {
            self.stop();
        } else if incarnation == self.own {
            self.push(Effect::RegistrationEnded(grace));
            self.reconnect(now);
            self.publisher.retry_at = Some(now);
        }
    }

    fn apply_dropped(&mut self, user: &UserId, id: Revision) {
        self.lists.note_changed(user);
        let held = self.replica.get(user);
        let is_older = held.is_some_and(|held| held.revision < id && !held.is_kept && !held.state().is_present());
        if is_older {
            self.take_copy(user);
            self.timers.set_user(user, None);
            self.replica.forget_in_database(user);
        }
        self.publisher.drops.remove(user);
    }

    /// Removes what an incarnation contributes when its grace period is over, at a moment of its own.
    pub(super) fn plan_clean_up(&mut self, incarnation: Incarnation) {
        if let Some(at) = self.leases.over_at(incarnation) {
            let at = self.jitter.within(at, PASS_SPREAD);
            self.timers.set_clean_up(incarnation, at);
        }
    }

    /// Whether these bytes are a state that this version reads.
    pub(super) fn read_state(&mut self, bytes: &[u8]) -> State {
        State::decode(bytes).unwrap_or_else(|error| {
            if let InvalidBytes::Format(format) = error {
                self.push(Effect::Unreadable(format));
            }
            State::default()
        })
    }
}
