//! What goes to the partition next, and what its answers mean.

use crate::durable_part::Version;
use crate::replication::build::SessionLimitReached;
use crate::replication::call::{Answer, CALL_USERS_MAX, Call, Listed, Outcome, UserOffer};
use crate::replication::effect::Effect;
use crate::replication::names::ConnectionNumber;
use crate::replication::node_info::{TICK_FULL_MAX, TICK_TIMES_MAX, Tick};
use crate::replication::partition::{Input, Life, Partition};
use crate::replication::publisher::Turn;
use crate::replication::settings::{Rule, SPREAD};
use crate::replication::state::{CommandKind, State};
use crate::replication::wanting::Base;
use crate::revision::Revision;
use crate::status::CustomStatus;
use crate::user_id::UserId;

impl Partition {
    /// An answer came over the connection of that number, or an error.
    pub fn handle_answer(&mut self, input: Input<'_>, connection: ConnectionNumber, answer: Option<Answer>) {
        let now = input.reading.mono;
        if connection != self.publisher.connection {
            return;
        }
        let Some(under_way) = self.publisher.under_way.take() else {
            return;
        };
        match answer {
            None => {
                self.publisher.under_way = Some(under_way);
                self.reconnect(now);
            }
            Some(Answer::NotRegistered) => {
                self.publisher.under_way = Some(under_way);
                self.reconnect(now);
                self.publisher.retry_at = Some(now);
            }
            Some(Answer::Registered { epoch, time, .. }) => {
                self.clock.handle_time(time, now);
                self.publisher.registered = Some(epoch);
                self.unregistered_since = None;
                self.publisher.wants_probe = true;
                if self.follower.is_synced
                    && self.follower.epoch != Some(epoch)
                    && self.settings.has(Rule::OfferInEpoch)
                {
                    self.resync(now);
                }
            }
            Some(Answer::Offered { time, outcomes }) => {
                self.clock.handle_time(time, now);
                for (user, outcome) in under_way.users.into_iter().zip(outcomes) {
                    self.handle_outcome(input, user, outcome);
                }
            }
            Some(Answer::Ticked {
                time,
                listed_present,
                listed_custom,
                ..
            }) => {
                self.clock.handle_time(time, now);
                self.handle_lists(input, listed_present, listed_custom);
            }
            Some(Answer::Listed { time, outcome }) => {
                self.clock.handle_time(time, now);
                self.handle_listed(input, outcome);
            }
            Some(Answer::Noted { time, .. }) => {
                self.clock.handle_time(time, now);
                if under_way.ended.is_some_and(|(ended, _)| ended == self.own) {
                    self.stop();
                }
            }
        }
        self.advance(input);
    }

    /// So many sessions may one user have from now on, over all nodes. Sessions that there are stay.
    pub const fn set_sessions_max(&mut self, sessions: usize) {
        self.settings.sessions_max = sessions;
    }

    /// A client of the user was refused, who has as many sessions as one may have: the next tick asks the nodes that have the
    /// others.
    pub fn handle_full(&mut self, user: UserId) {
        if self.publisher.full_users.len() < TICK_FULL_MAX {
            self.publisher.full_users.insert(user);
        }
    }

    /// The own registration was ended, as it should be.
    pub(super) fn stop(&mut self) {
        if self.life != Life::Stopped {
            self.life = Life::Stopped;
            self.push(Effect::Stopped);
        }
    }

    fn handle_outcome(&mut self, input: Input<'_>, user: UserId, outcome: Outcome) {
        match outcome {
            Outcome::Taken(revision) => {
                self.publisher.stored.remove(&user);
                if self.publisher.refused.remove(&user) && self.publisher.refused.is_empty() {
                    self.find_room();
                }
                let held = self.replica.get(&user);
                if held.is_none_or(|held| held.is_kept || held.revision < revision) {
                    self.publisher.awaiting.insert(user);
                }
            }
            Outcome::Stored(stored) => {
                // The log may bring a command that ends sessions which would be offered anew.
                let command = |bytes: &[u8]| State::decode(bytes).ok().and_then(|state| state.command);
                let stored_command = stored.as_ref().and_then(|(_, bytes)| command(bytes));
                let known = self.replica.get(&user).and_then(|held| command(&held.bytes));
                let is_new = stored_command.is_some() && stored_command != known;
                if is_new && self.settings.has(Rule::CommandsEndSessions) {
                    self.publisher.awaiting.insert(user.clone());
                }
                self.publisher.stored.insert(user.clone(), stored);
                self.publisher.put_back([user]);
            }
            Outcome::Full => {
                self.publisher.refused.insert(user.clone());
                self.lose_room(input);
                self.tell_locally(input, &user);
                self.publisher.wants_probe = true;
                self.publisher.held_back.insert(user);
                let now = input.reading.mono;
                let at = self.jitter.within(now.after(SPREAD), SPREAD);
                self.timers.retry_full_at = self.timers.retry_full_at.or(Some(at));
            }
        }
    }

    /// Sends what is next, if nothing is under way.
    pub(super) fn advance(&mut self, input: Input<'_>) {
        self.become_ready();
        self.load_newcomers();
        self.has_more_to_offer = false;
        if self.publisher.under_way.is_some() || self.life == Life::Stopped {
            return;
        }
        let Some(call) = self.next_call(input) else { return };
        self.publisher.begin(input.reading.mono, &call);
        let connection = self.publisher.connection;
        self.push(Effect::Call { connection, call });
    }

    fn next_call(&mut self, input: Input<'_>) -> Option<Call> {
        let now = input.reading.mono;
        if let Some(at) = self.publisher.retry_at {
            if at > now {
                return None;
            }
            self.publisher.retry_at = None;
            self.publisher.connection = self.publisher.connection.next();
            return Some(Call::Register {
                caller: self.caller(),
                node: self.node.encode(),
                new_epoch: self.jitter.below(u64::MAX),
                floor: self.follower.read_to(),
            });
        }
        let registered = self.publisher.registered?;
        if self.publisher.tick_at <= now || self.publisher.wants_probe || self.reach.wants_tick() {
            return Some(self.next_tick(now));
        }
        if let Some((ended, grace)) = self.publisher.ends.pop_first() {
            let caller = self.caller();
            return Some(Call::End { caller, ended, grace });
        }
        if !self.reach.is_current() && self.settings.has(Rule::OfferWhenCurrent) {
            return None;
        }
        let is_current = self.follower.is_synced && self.follower.epoch == Some(registered);
        if !is_current && self.settings.has(Rule::OfferInEpoch) || self.follower.epoch.is_none() {
            return None;
        }
        let users = self.next_offers(input);
        if !users.is_empty() {
            let caller = self.caller();
            return Some(Call::Offer { caller, users });
        }
        if self.has_more_to_offer {
            return None;
        }
        let users = self.publisher.take_drops();
        if !users.is_empty() {
            let caller = self.caller();
            return Some(Call::Drop { caller, users });
        }
        if self.may_list()
            && let Some(call) = self.next_listing(input)
        {
            return Some(call);
        }
        (self.life == Life::Stopping).then(|| Call::End {
            caller: self.caller(),
            ended: self.own,
            grace: self.settings.restart_grace,
        })
    }

    pub(super) fn next_tick(&mut self, now: crate::time::Mono) -> Call {
        let every = self.settings.tick_every();
        self.publisher.wants_probe = false;
        self.publisher.tick_at = now.after(every);
        let mut times = Vec::new();
        // Those of users who were forgotten meanwhile are taken out once this node has read so.
        let takes_times = self.reach.is_current() || !self.settings.has(Rule::OfferWhenCurrent);
        while takes_times
            && times.len() < TICK_TIMES_MAX
            && let Some((_, moved)) = self.publisher.times.pop_first()
        {
            times.push(moved);
        }
        self.publisher.taken_times.clone_from(&times);
        let tick = Tick {
            number: self.reach.next_tick(now),
            connections: self.load.connections,
            capacity: self.load.capacity,
            is_full: self.reach.is_full,
            lag_millis: u32::try_from(self.reach.lag(now).as_millis()).unwrap_or(u32::MAX),
            is_draining: self.load.is_draining,
            orders: self.drain_orders.told(),
            obeyed: Some(self.orders_here.obeyed()),
            times,
            full_users: std::mem::take(&mut self.publisher.full_users).into_iter().collect(),
        };
        Call::Tick {
            caller: self.caller(),
            content: tick.encode(),
        }
    }
}

impl Partition {
    fn next_offers(&mut self, input: Input<'_>) -> Vec<UserOffer> {
        let mut offers = Vec::new();
        let mut left = self.scan_users_max;
        let mut turn = Turn::default();
        while left > 0
            && offers.len() < CALL_USERS_MAX
            && let Some(user) = self.publisher.take_next(&mut turn, offers.len())
        {
            left -= 1;
            let base = self.base_of(&user);
            let wanted = self.wanted(input, &user, &base);
            if !matches!(&wanted, Ok(Some(state)) if state.is_present()) {
                self.publisher.refused.remove(&user);
            }
            match wanted {
                Ok(None) => {
                    self.note_claims_offered(&user);
                    self.publisher.withdraw(&user);
                    self.commands_lost.remove(&user);
                    if self.times_left.contains_key(&user) {
                        self.tell_later_times(input, &user, &base);
                    }
                }
                Ok(Some(state)) if self.is_held_back(input, &user, &base, &state) => {
                    self.publisher.held_back.insert(user);
                }
                Ok(Some(state)) => {
                    if base.revision.is_none() && base.state.is_some() && !input.has_sessions(&user) {
                        // The durable part is of an earlier epoch; those of users with sessions here are loaded anyway.
                        self.push(Effect::Load(user.clone()));
                    }
                    self.note_claims_offered(&user);
                    offers.push(self.offer(input, user, base, &state));
                }
                Err(SessionLimitReached) => {
                    self.publisher.withdraw(&user);
                    self.push(Effect::Refuse(user));
                }
            }
        }
        if self.publisher.refused.is_empty() {
            self.find_room();
        }
        self.has_more_to_offer = left == 0 && offers.is_empty();
        offers
    }

    /// Nothing is refused any more: the next tick that comes back makes the partition reachable, so one is sent now.
    fn find_room(&mut self) {
        self.publisher.wants_probe |= self.reach.is_full;
        self.reach.is_full = false;
    }

    fn is_held_back(&self, input: Input<'_>, user: &UserId, base: &Base, state: &State) -> bool {
        if !self.reach.is_holding(input.reading.mono) || self.commands.contains_key(user) {
            return false;
        }
        let Some(before) = &base.state else {
            // A session that began and ended here: there may be others, of nodes that were not heard of.
            let has_ended = (input.own)(user).is_some_and(|own| own.has_unlogged_times);
            return has_ended && !state.is_present() && self.settings.has(Rule::HoldOffers);
        };
        if !before.is_present() {
            return false;
        }
        let may_have_left = !input.has_sessions(user) && self.may_have_left(user, before);
        may_have_left || !state.is_present() && self.settings.has(Rule::HoldOffers)
    }

    fn offer(&self, input: Input<'_>, user: UserId, base: Base, state: &State) -> UserOffer {
        let known = (input.own)(&user).map_or(Revision::NEVER, |knowledge| knowledge.revision);
        let told = self.replica.told_revision(&user);
        let copied = self.replica.get(&user).map_or(Revision::NEVER, |held| held.revision);
        let floor = match self.settings.has(Rule::OfferAboveTold) {
            true => known.max(told).max(copied),
            false => Revision::NEVER,
        };
        let part = &state.durable.part;
        let custom = part.preference.custom;
        let stored = base.state.filter(|_| base.revision.is_some());
        let stored = stored.map(|stored| stored.durable.part);
        let is_unlisted =
            stored.is_some_and(|stored| stored.version > Version::NONE && stored.preference.custom == custom);
        let is_forgotten = state.command.is_some_and(|command| command.kind == CommandKind::Forget);
        UserOffer {
            base: base.revision,
            floor,
            is_present: state.is_present(),
            listed: match custom {
                CustomStatus::Online if is_forgotten => Listed::Remove,
                // Without the store's answer it may be another one.
                CustomStatus::Online if is_unlisted || part.version == Version::NONE => Listed::Keep,
                CustomStatus::Online => Listed::Remove,
                // Also if it was before: it may have been listed, and may not be in the new list that is made now.
                custom => Listed::Set(custom),
            },
            state: state.encode(),
            user,
        }
    }
}
