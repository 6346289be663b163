//! The state as it was read in pages takes the place of the copy: some users at a time, so that no input takes long. Until
//! all are done the copy is not synchronized, and nothing is offered.

use std::collections::BTreeMap;
use std::mem;
use std::ops::Bound;

use crate::replication::effect::Effect;
use crate::replication::follower::{Pages, Step};
use crate::replication::leases::ToldEnd;
use crate::replication::log::KeptEnd;
use crate::replication::names::{Epoch, Incarnation};
use crate::replication::partition::{Input, Partition};
use crate::replication::replica::Held;
use crate::replication::settings::{GRACE_LATE, OFFLINE_HOLD, Rule, SPREAD};
use crate::replication::state::{SharedPart, State};
use crate::revision::Revision;
use crate::user_id::UserId;

/// How far the pages have taken the place of the copy.
#[derive(Debug, Clone)]
pub(super) struct Adoption {
    epoch: Epoch,
    pages: Pages,
    /// The copy is of another epoch.
    is_new: bool,
    /// The last user that was done, of those in pages, then of those in the copy.
    after: Option<UserId>,
    /// Those in pages are done.
    is_read: bool,
}

impl Partition {
    /// All pages were read, and are of one epoch.
    pub(super) fn begin_adoption(&mut self, input: Input<'_>, epoch: Epoch, mut pages: Pages) {
        let now = input.reading.mono;
        self.publisher.forget_stored();
        // What the pages have may have been told to nobody.
        self.follower.read_from = Revision::MAX;
        // A node of an older version, which does not know of them, may have left those of the epoch before.
        pages.ends.retain(|_, end| end.id > epoch.start);
        let ends = self.told_ends(input, mem::take(&mut pages.ends));
        self.leases.restore(mem::take(&mut pages.registrations), ends, now);
        self.orders_here.keep(|by| self.leases.is_registered(by));
        self.watch_name(now);
        let is_new = self.follower.epoch != Some(epoch);
        if is_new {
            self.begin_epoch(input, epoch);
        }
        self.follower.step = Step::Adopt(Box::new(Adoption {
            epoch,
            pages,
            is_new,
            after: None,
            is_read: false,
        }));
        self.adopt(input);
    }

    /// When the contributions of runs cease to count that were ended in what was not read: by Redis's clock, which counts on for
    /// nodes that are away. None, if that is not known yet.
    fn told_ends(&self, input: Input<'_>, ends: BTreeMap<Incarnation, KeptEnd>) -> BTreeMap<Incarnation, ToldEnd> {
        if !self.clock.is_known() {
            return BTreeMap::new();
        }
        let Input { reading, .. } = input;
        let now = self.clock.now(reading);
        let told = |end: KeptEnd| {
            let left = (end.grace + GRACE_LATE).saturating_sub(now.since(end.id.time()));
            let over_at = reading.mono.after(left);
            (end.incarnation, ToldEnd { id: end.id, over_at })
        };
        // This node knows better of its own runs.
        let others = ends.into_values();
        let others = others.filter(|end| !self.previous.contains_key(&end.incarnation));
        others.map(told).collect()
    }

    /// Goes on, with as many users as one input may take.
    pub(super) fn adopt(&mut self, input: Input<'_>) {
        let now = input.reading.mono;
        let mut adoption = match mem::replace(&mut self.follower.step, Step::Wait(now)) {
            Step::Adopt(adoption) => adoption,
            other => return self.follower.step = other,
        };
        let users_max = self.scan_users_max;
        let done = match adoption.is_read {
            true => self.adopt_missing(input, &mut adoption, users_max),
            false => self.adopt_read(input, &mut adoption, users_max),
        };
        if done == users_max {
            self.follower.step = Step::Adopt(adoption);
        } else if adoption.is_read {
            self.end_adoption(input, &adoption);
        } else {
            adoption.is_read = true;
            adoption.after = None;
            self.follower.step = Step::Adopt(adoption);
            if done * 2 < users_max {
                self.adopt(input);
            }
        }
    }

    fn end_adoption(&mut self, input: Input<'_>, adoption: &Adoption) {
        let now = input.reading.mono;
        let epoch = adoption.epoch;
        if adoption.is_new {
            self.follower.floor = self.follower.read_to();
        }
        // What this node told in an earlier epoch may have been told anew, and have left the state since: the log knows.
        self.follower.last = match adoption.is_new && self.follower.epoch.is_some() {
            true => epoch.start,
            false => adoption.pages.head,
        };
        self.follower.read_from = self.follower.last;
        self.follower.epoch = Some(epoch);
        self.follower.is_synced = true;
        self.reload_parts();
        let present = mem::take(&mut self.present_waiting);
        self.keep_present(input, present);
        self.push(Effect::OfferAll);
        // A tick from before the pages were read is in none of them.
        self.reach.forget_ticks();
        self.publisher.wants_probe = true;
        if self.publisher.registered.is_some_and(|registered| registered != epoch) {
            self.reconnect(now);
            self.publisher.retry_at = Some(now);
        }
        self.become_ready();
        self.ask(now, Step::Read);
    }

    /// The users that the database has as present, as far as [`Effect::LoadPresent`] asked.
    pub fn handle_present(&mut self, input: Input<'_>, users: Vec<(UserId, Revision, State)>) {
        self.is_loading_present = false;
        if let Step::Adopt(_) = self.follower.step {
            // Those who are in pages are not known yet.
            self.present_waiting = users;
            return;
        }
        self.keep_present(input, users);
        self.advance(input);
    }

    fn keep_present(&mut self, input: Input<'_>, users: Vec<(UserId, Revision, State)>) {
        let is_empty = users.is_empty() && self.replica.len() == 0;
        if !self.is_ready && !self.is_loading_present && is_empty {
            // Nobody was present before the epoch.
            self.reach.release(input.reading.mono);
        }
        for (user, revision, state) in users {
            if self.replica.get(&user).is_some() {
                continue;
            }
            self.keep(input, &user, Held::new(revision, &state.encode()));
            // Nobody offers reports before a lease and 5 s are over, and the node with a user's sessions may come back late.
            if !self.is_ready {
                self.replica.tell(&user);
                self.push(Effect::Show {
                    user,
                    revision,
                    state: Box::new(state),
                    is_stale: false,
                    was_removed: false,
                    is_seen: true,
                });
            }
        }
        self.become_ready();
    }

    fn begin_epoch(&mut self, input: Input<'_>, epoch: Epoch) {
        let now = input.reading.mono;
        let wait = self.settings.lease + OFFLINE_HOLD;
        let age = self.clock.now(input.reading).since(epoch.start.time());
        // To a node that starts every epoch is new.
        let is_filled = !self.is_ready && age >= wait;
        if !is_filled {
            let at = self.jitter.within(now.after(wait), SPREAD);
            self.timers.offer_kept_at = Some(at);
        }
        if self.settings.has(Rule::HoldAfterEpoch) && !is_filled {
            self.reach.hold(now);
        }
        self.present_waiting.clear();
        if !self.is_ready && age < wait {
            self.is_loading_present = true;
            self.push(Effect::LoadPresent);
        }
    }

    /// Users who are in pages. How many, up to `users_max`.
    fn adopt_read(&mut self, input: Input<'_>, adoption: &mut Adoption, users_max: usize) -> usize {
        let from = adoption.after.take().map_or(Bound::Unbounded, Bound::Excluded);
        let users = adoption.pages.users.range_mut((from, Bound::Unbounded));
        let mut done = 0;
        for (user, (revision, bytes)) in users.take(users_max) {
            if adoption.is_new {
                self.note_in_database(user, *revision, self.follower.read_to());
                self.replica.mark_kept(user);
            }
            let bytes = mem::take(bytes);
            self.apply_page(input, user, *revision, &bytes);
            adoption.after = Some(user.clone());
            done += 1;
        }
        done
    }

    /// The log, or a page, has a user who is in no copy. Up to `told` that was told and the database has it, so a state of before
    /// is none of now.
    pub(super) fn note_in_database(&mut self, user: &UserId, revision: Revision, told: Revision) {
        let is_unknown = self.replica.get(user).is_none() && self.replica.is_told_as_copied(user);
        if is_unknown && revision <= told && self.settings.has(Rule::OfferAboveTold) {
            self.replica.tell_in_database(user, told);
            self.push(Effect::Load(user.clone()));
        }
    }

    /// Users who are in no page. How many were looked at, up to `users_max`.
    fn adopt_missing(&mut self, input: Input<'_>, adoption: &mut Adoption, users_max: usize) -> usize {
        let users = self.replica.users_after(adoption.after.as_ref()).take(users_max);
        let users: Vec<UserId> = users.map(|(user, _)| user.clone()).collect();
        for user in &users {
            if !adoption.pages.users.contains_key(user) {
                self.miss(input, user, adoption);
            }
        }
        adoption.after = users.last().cloned();
        users.len()
    }

    fn miss(&mut self, input: Input<'_>, user: &UserId, adoption: &Adoption) {
        let shown = self.replica.pin_shown(user);
        let Some(held) = self.take_copy(user) else { return };
        if (adoption.is_new || held.is_kept) && self.settings.has(Rule::KeepOldEpoch) {
            return self.keep(input, user, held);
        }
        self.timers.set_user(user, None);
        self.claims.remove(user);
        self.show_left(input, user, shown);
    }

    /// Loads the durable parts of users who left or are of an earlier epoch: the database may have newer ones than those that wait
    /// to be offered.
    fn reload_parts(&mut self) {
        let replica = &self.replica;
        let is_current = |user: &UserId| replica.get(user).is_some_and(|held| !held.is_kept);
        let (parts, old) = mem::take(&mut self.parts)
            .into_iter()
            .partition(|(user, _)| is_current(user));
        self.parts = parts;
        let old: BTreeMap<UserId, SharedPart> = old;
        self.effects.extend(old.into_keys().map(Effect::Load));
    }

    fn apply_page(&mut self, input: Input<'_>, user: &UserId, revision: Revision, bytes: &[u8]) {
        let held = self.replica.get(user).filter(|held| !held.is_kept);
        if let Some(held) = held.filter(|held| held.revision == revision) {
            let state = held.state();
            self.note_contributions(input, &state);
            return self.check(input, user, true);
        }
        self.apply_state(input, user, Held::new(revision, bytes), None);
    }
}
