//! Passes over all users of the copy, some at a time, so that no input takes long.

use std::time::Duration;

use crate::replication::effect::Effect;
use crate::replication::names::Incarnation;
use crate::replication::partition::{Input, Partition};
use crate::replication::replica::Held;
use crate::replication::settings::{Rule, SPREAD};
use crate::time::Mono;
use crate::user_id::UserId;

/// Between two steps of a pass.
const PASS_STEP_EVERY: Duration = Duration::from_millis(50);
/// How many connections of a dead node are cleaned up in a step, in all partitions together: 6,000 in a second, if there is time.
const CLEANED_PER_STEP: u32 = 300;
/// How long after the lease and the grace period of its sessions (15 + 12.2 s after the last sign of life, with the default ones) a
/// node is cleaned up: after 29.05 s. That leaves a second of the 30 s for its end, which is found by ticks that take their time
/// through the log, and for the last offers and their delivery. A node that is found dead earlier, by up to one tick (3 s), is
/// cleaned up for as much longer.
const CLEANED_WITHIN: Duration = Duration::from_millis(1_850);
/// How long a pass takes at least for very many users, however late it is: 30,000 sessions stall nobody then.
const PASS_MIN: Duration = Duration::from_millis(1_600);
/// How long a pass takes that nobody waits for.
const PASS_USUAL: Duration = Duration::from_millis(2_300);
/// Within what time the nodes begin a pass, each at a random moment: enough for one to be ahead of the others.
pub(super) const PASS_SPREAD: Duration = Duration::from_millis(250);
/// How many users one step looks at at least: so few need no pause between them.
const PASS_STEP_MIN: usize = 8;

/// What a pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aim {
    /// The contributions of an incarnation that is gone are removed, by ordinary offers.
    CleanUp(Incarnation),
    /// What nobody has offered since the epoch began is offered.
    OfferKept,
}

/// A pass under way, in steps with a pause between two: what a node left with very many sessions is offered evenly, and neither
/// clients nor the machine wait for it. All nodes end at the same moment, so whoever began first stays ahead, and the others find done
/// what it has done; if it dies they are at most [`PASS_SPREAD`] behind.
#[derive(Debug, Clone)]
pub(super) struct Pass {
    aim: Aim,
    /// The last user that was looked at.
    after: Option<UserId>,
    /// Whether there was something to do.
    has_found: bool,
    /// How many users one step looks at.
    step: usize,
    /// How many of them this one has looked at.
    looked_at: usize,
    /// When it goes on.
    pub(super) goes_on_at: Mono,
}

/// Whether a run of this node before this one still shows somebody, though its sessions have no grace period.
#[derive(Debug, Clone, Default)]
pub(super) struct PastSearch {
    /// Up to this user nobody is.
    after: Option<UserId>,
    goes_on: bool,
    is_over: bool,
}

impl PastSearch {
    /// Whether there are users to look at.
    pub(super) const fn goes_on(&self) -> bool {
        self.goes_on
    }

    pub(super) const fn pause(&mut self) {
        self.goes_on = false;
    }
}

impl Partition {
    /// Whether the runs before are ended, and nobody is shown by those whose sessions have no grace period. Looks at as many users
    /// as one input may, and goes on there with the next one.
    pub(super) fn is_past_over(&mut self) -> bool {
        if self
            .previous
            .keys()
            .any(|incarnation| self.publisher.is_ending(*incarnation))
        {
            return false;
        }
        let ended = self.previous.iter().filter(|(_, grace)| grace.is_zero());
        let ended: Vec<Incarnation> = ended.map(|(incarnation, _)| *incarnation).collect();
        if self.past.is_over || ended.is_empty() {
            return true;
        }
        let shows = |held: &Held| {
            let state = held.state();
            ended.iter().any(|incarnation| state.share_of(*incarnation).is_some())
        };
        let after = self.past.after.take();
        let users = self.replica.users_after(after.as_ref()).take(self.scan_users_max);
        let none: Vec<&UserId> = users
            .take_while(|(_, held)| !shows(held))
            .map(|(user, _)| user)
            .collect();
        let last = none.last().copied().cloned();
        // Who is shown is so until an entry ends it, which is an input.
        let next = self.replica.users_after(last.as_ref().or(after.as_ref())).next();
        self.past.is_over = next.is_none();
        self.past.goes_on = next.is_some_and(|(_, held)| !shows(held));
        self.past.after = last.or(after);
        self.past.is_over
    }

    /// The grace period of an incarnation that is not registered is over.
    pub(super) fn begin_clean_up(&mut self, incarnation: Incarnation, now: Mono) {
        self.begin_pass(Aim::CleanUp(incarnation), now);
    }

    /// A lease and more is over since the epoch began.
    pub(super) fn begin_offer_kept(&mut self, now: Mono) {
        if self.settings.has(Rule::OfferKept) {
            self.begin_pass(Aim::OfferKept, now);
        }
    }

    fn begin_pass(&mut self, aim: Aim, now: Mono) {
        let (connections, takes) = match aim {
            Aim::CleanUp(incarnation) => {
                let by = self.leases.clean_by(incarnation, &self.settings, CLEANED_WITHIN);
                let left = by.map_or(PASS_USUAL, |by| by.since(now));
                (self.leases.connections(incarnation), left.max(PASS_MIN))
            }
            Aim::OfferKept => (0, PASS_USUAL),
        };
        if self.passes.iter().all(|pass| pass.aim != aim) {
            let step = self.replica.len().div_ceil(steps_for(connections, takes));
            self.passes.push_back(Pass {
                aim,
                after: None,
                has_found: false,
                step: step.max(PASS_STEP_MIN.min(self.scan_users_max)),
                looked_at: 0,
                goes_on_at: now,
            });
        }
    }

    /// Goes on with the first pass that is due, with as many users as one input may take.
    pub(super) fn go_on_with_passes(&mut self, input: Input<'_>) {
        let now = input.reading.mono;
        let due = self.passes.iter().position(|pass| pass.goes_on_at <= now);
        let Some(mut pass) = due.and_then(|due| self.passes.remove(due)) else {
            return;
        };
        if let Aim::CleanUp(incarnation) = pass.aim
            && !self.leases.is_over(incarnation, now)
        {
            return;
        }
        let looks_at = self.scan_users_max.min(pass.step - pass.looked_at);
        let users = self.replica.users_after(pass.after.as_ref()).take(looks_at);
        let seen: Vec<(UserId, bool)> = users
            .map(|(user, held)| (user.clone(), is_meant(pass.aim, held)))
            .collect();
        let found = seen.iter().filter(|(_, is_meant)| *is_meant);
        let found: Vec<UserId> = found.map(|(user, _)| user.clone()).collect();
        pass.has_found |= !found.is_empty();
        self.take_in_pass(pass.aim, found);
        if seen.len() < looks_at {
            return self.end_pass(&pass, now);
        }
        pass.looked_at += looks_at;
        pass.after = seen.into_iter().next_back().map(|(user, _)| user);
        if pass.looked_at == pass.step {
            pass.looked_at = 0;
            pass.goes_on_at = pass.goes_on_at.after(PASS_STEP_EVERY);
        }
        self.passes.push_back(pass);
    }

    fn take_in_pass(&mut self, aim: Aim, found: Vec<UserId>) {
        if found.is_empty() {
            return;
        }
        if let Aim::CleanUp(_) = aim {
            return self.push(Effect::LoadTimes(found));
        }
        for user in found {
            let held = self.replica.get(&user).map(Held::state).unwrap_or_default();
            if held.durable.part.reports.is_empty() {
                self.publisher.left_over.insert(user);
            } else {
                // Reports as the database has them.
                self.push(Effect::Load(user));
            }
        }
    }

    fn end_pass(&mut self, pass: &Pass, now: Mono) {
        let Aim::CleanUp(incarnation) = pass.aim else { return };
        if pass.has_found {
            // Once more, in case an entry that was under way brings one back.
            let at = self.jitter.within(now.after(SPREAD * 5), SPREAD);
            self.timers.set_clean_up(incarnation, at);
        } else {
            self.leases.forget(incarnation);
        }
    }
}

/// In how many steps the sessions of a node are cleaned up that told of so many connections, within that time; in as many as there
/// is time for, if it is not known how many there were.
fn steps_for(connections: u32, within: Duration) -> usize {
    let steps_max = usize::try_from(within.as_millis() / PASS_STEP_EVERY.as_millis()).unwrap_or(usize::MAX);
    match usize::try_from(connections.div_ceil(CLEANED_PER_STEP)) {
        Ok(0) | Err(_) => steps_max,
        Ok(steps) => steps.min(steps_max),
    }
}

fn is_meant(aim: Aim, held: &Held) -> bool {
    match aim {
        Aim::CleanUp(incarnation) => held.state().share_of(incarnation).is_some(),
        Aim::OfferKept => held.is_kept,
    }
}

#[cfg(test)]
mod tests;
