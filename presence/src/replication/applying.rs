//! What follows from the state of one user as the log or a page of the state has it.

use std::time::Duration;

use crate::replication::effect::Effect;
use crate::replication::names::Incarnation;
use crate::replication::node_info::MovedTimes;
use crate::replication::partition::{Input, Partition};
use crate::replication::replica::Held;
use crate::replication::settings::{OFFLINE_HOLD, REPORT_LATE, Rule, SPREAD, UNWRITTEN_AFTER};
use crate::replication::state::{Command, CommandKind, State};
use crate::replication::stored_times::ReadState;
use crate::replication::wanting::Base;
use crate::revision::Revision;
use crate::time::{Mono, Wall};
use crate::user_id::UserId;

impl Partition {
    /// The log, or a page, has this state of a user.
    pub(super) fn apply_state(&mut self, input: Input<'_>, user: &UserId, held: Held, by: Option<Incarnation>) {
        let revision = held.revision;
        let was_awaited = self.publisher.is_waiting_for(user);
        self.publisher.handle_read(user, revision);
        self.lists.note_changed(user);
        let old = self.replica.get(user).cloned();
        let is_in_order = by.is_none() || old.as_ref().is_none_or(|old| old.is_kept || old.revision < revision);
        if !is_in_order {
            return self.check(input, user, true);
        }
        let before = old.as_ref().map(Held::state).unwrap_or_default();
        let state = self.read_state(&held.bytes);
        let logged = (state.last_seen, state.last_active);
        let (held, state) = read_with_times(held, state, &before);
        let read = ReadState {
            by,
            was_awaited,
            was_copied: old.is_some(),
            logged,
            state: &state,
        };
        self.note_older_times(input, user, &read);
        if before.durable.part.version > state.durable.part.version {
            self.parts.insert(user.clone(), before.durable.clone());
        }
        self.apply_command(input, user, &before, &state);
        self.note_continued(user, &state, by);
        self.note_lost_command(user, old.as_ref().is_some_and(|old| old.is_kept), &before, &state);
        self.note_contributions(input, &state);
        if by.is_none() {
            self.renew_contributions(input, &state);
        }
        self.show(input, user, held, state.clone());
        self.plan_user(input, user, &state);
        self.forget_part(user, &state);
        if !self.replica.is_told_as_copied(user) && (input.own)(user).is_some() {
            // Not told, so the node goes on with what it knew, and the user may be dropped before it offers.
            self.parts.insert(user.clone(), state.durable.clone());
        }
        // Whose entry was read in a page is not known.
        if by == Some(self.own) || by.is_none() && state.share_of(self.own).is_some() {
            self.push(Effect::Write(user.clone()));
            self.end_reports(user, &before, &state);
            if !self.settings.has(Rule::DropAfterWrite) && !state.is_present() {
                self.publisher.drops.insert(user.clone(), revision);
            }
        }
        self.check(input, user, self.settings.has(Rule::SelfCorrection));
    }

    /// Offers what the copy does not have as this node has it.
    pub(super) fn check(&mut self, input: Input<'_>, user: &UserId, corrects: bool) {
        let base = self.base_of(user);
        let is_own = (input.own)(user).is_some()
            || base
                .state
                .as_ref()
                .is_some_and(|state| state.share_of(self.own).is_some())
            || self.parts.contains_key(user)
            || self.commands.contains_key(user)
            || self.commands_lost.contains_key(user)
            || self.claims.contains_key(user)
            || self.times_left.contains_key(user)
            || self.replica.is_told_apart(user);
        let is_wanted = is_own && !matches!(self.wanted(input, user, &base), Ok(None));
        if !is_wanted {
            self.publisher.withdraw(user);
            self.tell_later_times(input, user, &base);
        } else if corrects {
            self.publisher.pending.insert(user.clone());
        }
    }

    /// Times that moved here, of a user with sessions here whose state says all else: another node's change came first. Or those
    /// that were left.
    pub(super) fn tell_later_times(&mut self, input: Input<'_>, user: &UserId, base: &Base) {
        let own = (input.own)(user);
        if own.is_none() && !self.times_left.contains_key(user) {
            return;
        }
        let own = self.knowledge(user, own.unwrap_or_default());
        self.times_left.remove(user);
        let is_later = |stored: &State| own.is_later_than(stored, self.clock.now(input.reading));
        if let Some(last_seen) = own.last_seen
            && base.state.as_ref().is_some_and(is_later)
        {
            self.publisher.times.insert(
                user.clone(),
                MovedTimes {
                    user: user.clone(),
                    last_seen,
                    last_active: own.last_active,
                },
            );
        }
    }

    fn apply_command(&mut self, input: Input<'_>, user: &UserId, before: &State, state: &State) {
        // An older one comes back with a state of before: what it ended has ended.
        let is_new = |command: &Command| {
            before
                .command
                .is_none_or(|known| known.at < command.at || known.by != command.by && known.at == command.at)
        };
        let Some(command) = state.command.filter(is_new) else {
            return;
        };
        let own = self.commands.get(user).map(|own| own.command);
        if own.is_some_and(|own| own.by == command.by && own.at <= command.at) {
            self.commands.remove(user);
        }
        if let Some(own) = self.commands.get_mut(user) {
            own.command.at = own.command.at.max(command.at.after(Duration::from_millis(1)));
        }
        if command.kind == CommandKind::Forget {
            self.times_left.remove(user);
            self.publisher.times.remove(user);
        }
        if self.settings.has(Rule::CommandsEndSessions) {
            if (input.own)(user).is_some() {
                self.publisher.ending.insert(user.clone(), self.reach.last_tick());
            }
            self.push(Effect::EndSessions {
                user: user.clone(),
                kind: command.kind,
                count: before.sessions(),
            });
        }
    }

    /// A new epoch began with a state that names no command: whoever offered it may have read none.
    fn note_lost_command(&mut self, user: &UserId, is_other_epoch: bool, before: &State, state: &State) {
        let lost = self.commands_lost.get(user).copied();
        let lost = lost.or_else(|| before.command.filter(|_| is_other_epoch));
        match lost {
            Some(lost) if state.command.is_none_or(|command| command.at < lost.at) => {
                self.commands_lost.insert(user.clone(), lost);
            }
            _ => drop(self.commands_lost.remove(user)),
        }
    }

    /// Of nodes that are not registered and were not ended in the log that this node read, nobody knows since when.
    pub(super) fn note_contributions(&mut self, input: Input<'_>, state: &State) {
        let until = self.unknown_grace_ends(input);
        for share in &state.contributions {
            let own = self.previous.get(&share.incarnation);
            let until = own.map_or(until, |grace| input.reading.mono.after(*grace));
            if self.leases.note_contribution(share.incarnation, until) {
                self.plan_clean_up(share.incarnation);
            }
        }
    }

    fn renew_contributions(&mut self, input: Input<'_>, state: &State) {
        let until = self.unknown_grace_ends(input);
        // A run of this node before this one is over, and was before this one began.
        let others = state
            .contributions
            .iter()
            .filter(|share| !self.previous.contains_key(&share.incarnation));
        let others: Vec<Incarnation> = others.map(|share| share.incarnation).collect();
        for incarnation in others {
            if self.leases.renew_contribution(incarnation, until) {
                self.plan_clean_up(incarnation);
            }
        }
    }

    /// When the longest grace period ends that may have begun now.
    fn unknown_grace_ends(&self, input: Input<'_>) -> Mono {
        let settings = &self.settings;
        let grace = match self.timers.offer_kept_at.is_some() {
            true => settings.lease + OFFLINE_HOLD + settings.node_grace,
            false => settings.node_grace.max(settings.restart_grace),
        };
        input.reading.mono.after(grace)
    }
}

impl Partition {
    /// When something of the user is due by itself.
    fn plan_user(&mut self, input: Input<'_>, user: &UserId, state: &State) {
        let reading = input.reading;
        let mut at = |time: Wall| {
            let at = self.clock.mono_of(time, reading);
            self.jitter.within(at, SPREAD)
        };
        let command_ends = state
            .command
            .map(|command| command.at.after(self.settings.command_kept));
        let due = if state.is_present() {
            let reports = state.durable.ends.iter().flatten().map(|end| end.after(REPORT_LATE));
            let first = reports.chain(state.chosen_until).chain(command_ends).min();
            first.map(&mut at)
        } else {
            let unwritten = self.clock.now(reading).after(UNWRITTEN_AFTER);
            Some(at(command_ends.map_or(unwritten, |ends| ends.max(unwritten))))
        };
        self.timers.set_user(user, due);
    }

    pub(super) fn on_user_deadline(&mut self, input: Input<'_>, user: &UserId) {
        let Some(held) = self.replica.get(user).cloned() else {
            return;
        };
        let state = held.state();
        if state.is_present() {
            self.publisher.pending.insert(user.clone());
        } else {
            let is_forgotten = state.command.is_some_and(|command| command.kind == CommandKind::Forget);
            let effect = match is_forgotten && state.is_removed() {
                true => Effect::Delete(user.clone()),
                false => Effect::Write(user.clone()),
            };
            self.push(effect);
        }
        self.plan_user(input, user, &state);
    }

    /// The database has the record: nobody needs it in the state any more, unless a command must be remembered.
    pub(super) fn drop_written(&mut self, input: Input<'_>, user: &UserId, revision: Revision) {
        let Some(held) = self.replica.get(user) else { return };
        let state = held.state();
        let now = self.clock.now(input.reading);
        let is_remembered = state
            .command
            .is_some_and(|command| now < command.at.after(self.settings.command_kept));
        if state.is_present() || held.revision > revision || is_remembered {
            return;
        }
        if held.is_kept {
            self.take_copy(user);
            self.timers.set_user(user, None);
        } else {
            self.publisher.drops.insert(user.clone(), held.revision);
        }
    }

    /// Takes the user off the copy.
    pub(super) fn take_copy(&mut self, user: &UserId) -> Option<Held> {
        let held = self.replica.remove(user)?;
        if self.parts.contains_key(user) || self.publisher.is_waiting_for(user) {
            let state = held.state();
            self.times_left
                .insert(user.clone(), (state.last_seen, state.last_active));
        }
        Some(held)
    }

    fn forget_part(&mut self, user: &UserId, state: &State) {
        let version = state.durable.part.version;
        if self.parts.get(user).is_some_and(|part| part.part.version <= version) {
            self.parts.remove(user);
            self.push(Effect::Published(user.clone(), version));
        }
    }

    fn end_reports(&mut self, user: &UserId, before: &State, state: &State) {
        if before.durable.part.version != state.durable.part.version {
            return;
        }
        for report in &before.durable.part.reports {
            if !state
                .durable
                .part
                .reports
                .iter()
                .any(|left| left.source == report.source)
            {
                let (source, version) = (report.source.clone(), report.version);
                self.push(Effect::ReportEnded(user.clone(), source, version));
            }
        }
    }

    /// Redis does not have the user, and that says nothing: the epoch is new.
    pub(super) fn keep(&mut self, input: Input<'_>, user: &UserId, held: Held) {
        let state = held.state();
        self.note_contributions(input, &state);
        self.plan_user(input, user, &state);
        if state.command.is_some() {
            self.publisher.pending.insert(user.clone());
        }
        self.replica.insert(user, Held { is_kept: true, ..held });
    }

    /// Times that another node, or this one, told with a tick. Redis does not have them, and the revision stays.
    pub(super) fn apply_times(&mut self, times: &MovedTimes) {
        let Some(held) = self.replica.get(&times.user) else {
            return;
        };
        let mut state = held.state();
        let forgotten = state.command.filter(|command| command.kind == CommandKind::Forget);
        // A session that the command ended may be heard of until its node reads that. Those that began later are in the state.
        let is_unseen = state.last_seen.is_none() && !state.is_present();
        if forgotten.is_some_and(|command| is_unseen || command.at >= times.last_seen) {
            return;
        }
        state.last_active = state.last_active.max(times.last_active);
        state.last_seen = state.last_seen.max(Some(times.last_seen)).max(state.last_active);
        let held = Held {
            bytes: state.encode().into(),
            ..held.clone()
        };
        self.replica.insert(&times.user, held);
        if self.replica.is_told_as_copied(&times.user) {
            self.push(Effect::Times(times.clone()));
        }
    }
}

/// The state, with times that ticks told since it was made.
fn read_with_times(held: Held, mut state: State, before: &State) -> (Held, State) {
    let is_forgotten = |command: Command| command.kind == CommandKind::Forget && before.command != Some(command);
    let later = (
        state.last_seen.max(before.last_seen),
        state.last_active.max(before.last_active),
    );
    let is_later = later != (state.last_seen, state.last_active);
    if !is_later || state.command.is_some_and(is_forgotten) || State::decode(&held.bytes).is_err() {
        return (held, state);
    }
    (state.last_seen, state.last_active) = later;
    let bytes = state.encode().into();
    (Held { bytes, ..held }, state)
}
