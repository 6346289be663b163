//! Passes over all users of the copy, some at a time, so that no input takes long.

use crate::replication::effect::Effect;
use crate::replication::names::Incarnation;
use crate::replication::node_info::MovedTimes;
use crate::replication::partition::{Input, Partition};
use crate::replication::replica::Held;
use crate::replication::settings::{Rule, SPREAD};
use crate::time::Mono;
use crate::user_id::UserId;

/// What a pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aim {
    /// The contributions of an incarnation that is gone are removed, by ordinary offers.
    CleanUp(Incarnation),
    /// What nobody has offered since the epoch began is offered.
    OfferKept,
}

/// A pass under way.
#[derive(Debug, Clone)]
pub(super) struct Pass {
    aim: Aim,
    /// The last user that was looked at.
    after: Option<UserId>,
    /// Whether there was something to do.
    has_found: bool,
}

impl Partition {
    /// The grace period of an incarnation that is not registered is over.
    pub(super) fn begin_clean_up(&mut self, incarnation: Incarnation) {
        self.begin_pass(Aim::CleanUp(incarnation));
    }

    /// A lease and more is over since the epoch began.
    pub(super) fn begin_offer_kept(&mut self) {
        if self.settings.has(Rule::OfferKept) {
            self.begin_pass(Aim::OfferKept);
        }
    }

    fn begin_pass(&mut self, aim: Aim) {
        if self.passes.iter().all(|pass| pass.aim != aim) {
            self.passes.push_back(Pass {
                aim,
                after: None,
                has_found: false,
            });
        }
    }

    /// Goes on with the first pass, with as many users as one input may take.
    pub(super) fn go_on_with_passes(&mut self, input: Input<'_>) {
        let now = input.reading.mono;
        let Some(mut pass) = self.passes.pop_front() else {
            return;
        };
        if let Aim::CleanUp(incarnation) = pass.aim
            && !self.leases.is_over(incarnation, now)
        {
            return;
        }
        let users = self.replica.users_after(pass.after.as_ref()).take(self.scan_users_max);
        let seen: Vec<(UserId, bool)> = users
            .map(|(user, held)| (user.clone(), is_meant(pass.aim, held)))
            .collect();
        let found = seen.iter().filter(|(_, is_meant)| *is_meant);
        let found: Vec<UserId> = found.map(|(user, _)| user.clone()).collect();
        pass.has_found |= !found.is_empty();
        self.take_in_pass(pass.aim, found);
        if seen.len() == self.scan_users_max {
            pass.after = seen.into_iter().next_back().map(|(user, _)| user);
            self.passes.push_front(pass);
        } else {
            self.end_pass(&pass, now);
        }
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
                self.publisher.pending.insert(user);
            } else {
                // Reports as the database has them.
                self.push(Effect::Load(user));
            }
        }
    }

    /// The times that the database has of users whom [`Effect::LoadTimes`] named; none of those of whom it did not answer.
    /// What a node that is gone contributed to them is removed.
    pub fn handle_stored_times(&mut self, input: Input<'_>, users: Vec<UserId>, times: &[MovedTimes]) {
        for times in times {
            self.apply_times(times);
        }
        self.publisher.pending.extend(users);
        self.advance(input);
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

fn is_meant(aim: Aim, held: &Held) -> bool {
    match aim {
        Aim::CleanUp(incarnation) => held.state().share_of(incarnation).is_some(),
        Aim::OfferKept => held.is_kept,
    }
}
