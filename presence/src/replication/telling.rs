//! What watchers are told: what the log says, in order; what only this node knows, while the partition can't be reached;
//! and nobody as OFFLINE as long as not everyone was heard of.

use crate::replication::build::SessionLimitReached;

use crate::replication::effect::Effect;
use crate::replication::partition::{Input, Partition};
use crate::replication::replica::Held;
use crate::replication::settings::{Rule, UNREACHABLE_AFTER};
use crate::replication::state::{Command, State};
use crate::revision::Revision;
use crate::time::Wall;
use crate::user_id::UserId;

impl Partition {
    /// The copy gets a state of a user, and watchers are told, unless they must not be.
    pub(super) fn show(&mut self, input: Input<'_>, user: &UserId, held: Held, state: State) {
        let shown = self.replica.shown(user).cloned();
        let told = self.replica.told_revision(user);
        let revision = held.revision;
        // What the database had at a start is in the copy, or was when the user's OFFLINE was withheld, and was told to nobody.
        let may_be_untold = shown.as_ref().is_some_and(|shown| shown.is_kept) && state.is_present();
        self.replica.insert(user, held.clone());
        let changed = match self.replica.is_told_apart(user) {
            true => state.changed.unwrap_or(revision),
            false => revision,
        };
        if changed <= told && self.settings.has(Rule::OfferAboveTold) {
            let is_same = shown
                .as_ref()
                .is_some_and(|shown| shown.revision == revision && shown.bytes == held.bytes);
            if is_same {
                self.replica.tell(user);
            } else {
                if let Some(shown) = shown {
                    self.replica.tell_locally(user, shown);
                }
                self.publisher.pending.insert(user.clone());
            }
            return;
        }
        let shown_state = shown.as_ref().map(Held::state).unwrap_or_default();
        let becomes_absent = shown_state.is_present() && !state.is_present();
        let is_holding = self.reach.is_holding(input.reading.mono) && self.settings.has(Rule::HoldTelling);
        if becomes_absent && is_holding && !is_by_command(&shown_state, &state) {
            return self.replica.withhold(user, shown, Some(held));
        }
        self.replica.tell(user);
        self.push(Effect::Show {
            user: user.clone(),
            revision,
            was_removed: shown_state.is_removed(),
            is_seen: match shown {
                Some(_) => may_be_untold || state.shows_change_from(&shown_state),
                None => !self.has_told(&state),
            },
            state: Box::new(state),
            is_stale: false,
        });
    }

    /// Whether all that is seen of a user who is in no copy was told with an entry before: it was read, and the user was dropped since.
    fn has_told(&self, state: &State) -> bool {
        state.changed.is_some_and(|changed| changed > self.follower.read_from)
    }

    /// The user is no longer in the state, and the database has the record.
    pub(super) fn show_left(&mut self, input: Input<'_>, user: &UserId, shown: Option<Held>) {
        let was_present = shown.as_ref().is_some_and(|shown| shown.state().is_present());
        if !was_present {
            return;
        }
        if self.replica.is_told_apart(user) && self.settings.has(Rule::OfferAboveTold) {
            // Only this node told so: it offers the end of it, above that.
            self.publisher.pending.insert(user.clone());
            return;
        }
        if self.reach.is_holding(input.reading.mono) && self.settings.has(Rule::HoldTelling) {
            return self.replica.withhold(user, shown, None);
        }
        self.replica.tell(user);
        self.push(Effect::Left(user.clone()));
    }

    /// A change of this node takes effect here alone, while the partition can't be reached.
    pub(super) fn tell_locally(&mut self, input: Input<'_>, user: &UserId) {
        if self.reach.is_reachable() || !self.is_ready || self.publisher.ending.contains_key(user) {
            return;
        }
        let held = self.replica.get(user).map(Held::state);
        let knowledge = (input.own)(user).unwrap_or_default();
        let knowledge = self.knowledge(user, knowledge);
        let mut state = match self.build(input, user, held.as_ref(), &knowledge) {
            Ok(state) => state,
            Err(SessionLimitReached) => return self.push(Effect::Refuse(user.clone())),
        };
        let shown = self.replica.shown(user);
        let before = shown.map(Held::state).unwrap_or_default();
        let is_told = !super::build::differs(&before, &state);
        // Who was OFFLINE and is, is told nothing new; who becomes OFFLINE is not told.
        if is_told || !state.is_present() {
            return;
        }
        if state.shows_change_from(&before) {
            // The log has not told it: at the revision of what it told last, watchers would take it for that.
            state.changed = None;
        }
        let copied = self.replica.get(user).map_or(Revision::NEVER, |held| held.revision);
        let told = self.replica.told_revision(user).max(knowledge.revision).max(copied);
        let micros = u64::try_from(self.clock.now(input.reading).as_millis())
            .unwrap_or(0)
            .saturating_mul(1_000);
        let revision = told
            .get()
            .max(self.follower.read_to().get())
            .saturating_add(1)
            .max(micros);
        let revision = Revision::new(revision.min(Revision::MAX.get()));
        self.replica.tell_locally(user, Held::new(revision, &state.encode()));
        self.push(Effect::Show {
            user: user.clone(),
            revision,
            state: Box::new(state),
            is_stale: true,
            was_removed: false,
            is_seen: true,
        });
    }

    /// The partition can't be reached.
    pub(super) fn lose(&mut self, input: Input<'_>) {
        if self.reach.lose(input.reading.mono) {
            self.become_stale(input);
        }
    }

    /// Additions are refused.
    pub(super) fn lose_room(&mut self, input: Input<'_>) {
        if self.reach.lose_room(input.reading.mono) {
            self.become_stale(input);
        }
    }

    fn become_stale(&mut self, input: Input<'_>) {
        self.push(Effect::Stale(true));
        for user in std::mem::take(&mut self.commands).into_keys() {
            self.push(Effect::CommandFailed(user));
        }
        let publisher = &self.publisher;
        let waiting = publisher.pending.iter().chain(&publisher.awaiting);
        let under_way = publisher.under_way.iter().flat_map(|under_way| &under_way.users);
        let waiting: Vec<UserId> = waiting.chain(under_way).cloned().collect();
        for user in waiting {
            self.tell_locally(input, &user);
        }
    }

    /// A tick of this node has come back.
    pub(super) fn handle_own_tick(&mut self, input: Input<'_>, number: u64) {
        let now = input.reading.mono;
        let behind_for = self.reach.behind_for(now);
        let is_late = self.reach.tick_deadline().is_some_and(|at| at < now);
        if is_late && self.settings.has(Rule::TickThroughLog) {
            self.lose(input);
        }
        self.reach.is_full &= !self.publisher.refused.is_empty();
        self.publisher.ending.retain(|_, since| *since >= number);
        let is_back = self.reach.handle_tick(number, now);
        if self.is_ready && self.reach.is_current() && behind_for >= self.settings.command_kept {
            // Sessions that a forgotten command ended must not be offered before they end.
            self.push(Effect::EndAllSessions);
            self.reach.begin_again(now);
        } else if is_back {
            if self.is_ready {
                self.push(Effect::Stale(false));
            }
            self.become_ready();
        }
    }

    /// Everyone who moved was heard of: who is OFFLINE is told and offered.
    pub(super) fn end_hold(&mut self) {
        for (user, _, next) in self.replica.take_withheld(self.scan_users_max) {
            match next {
                Some(next)
                    if self
                        .replica
                        .get(&user)
                        .is_none_or(|held| held.revision <= next.revision) =>
                {
                    let state = Box::new(next.state());
                    let revision = next.revision;
                    self.push(Effect::Show {
                        user,
                        revision,
                        state,
                        is_stale: false,
                        was_removed: false,
                        is_seen: true,
                    });
                }
                Some(_) => {}
                None => self.push(Effect::Left(user)),
            }
        }
        if self.timers.retry_full_at.is_none() {
            self.publisher.free_held_back();
        }
    }
}

/// Whether the user is absent since a command that was not known to what was told: nobody is waited for then. Who came back and
/// left later may have moved.
fn is_by_command(shown: &State, state: &State) -> bool {
    let is_new = |command: &Command| shown.command.is_none_or(|known| known.at < command.at);
    state.command.filter(is_new).is_some_and(|command| {
        // The command was given up if it took longer.
        let is_since = |since: Wall| since.since(command.at) <= UNREACHABLE_AFTER;
        state.since.is_none_or(is_since)
    })
}
