//! Passes over all users of the copy, some at a time, so that no input takes long.

use std::time::Duration;

use crate::replication::effect::Effect;
use crate::replication::names::Incarnation;
use crate::replication::node_info::MovedTimes;
use crate::replication::partition::{Input, Partition};
use crate::replication::replica::Held;
use crate::replication::settings::{Rule, SPREAD};
use crate::time::Mono;
use crate::user_id::UserId;

/// Between two steps of a pass.
const PASS_STEP_EVERY: Duration = Duration::from_millis(50);
/// How many connections of a dead node are cleaned up in a step, in all partitions together: 6,000 in a second.
const CLEANED_PER_STEP: u32 = 300;
/// In how many steps at most, and if it is not known how many connections there were: with these 2.3 s users are OFFLINE within
/// 30 s. (A node is found dead 12.2 to 15.2 s after its last sign of life, its sessions are in grace for 12 s.)
const PASS_STEPS_MAX: usize = 46;
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
/// clients nor the machine wait for it. All nodes have the same pace, so whoever began first stays ahead, and the others find done
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
        let connections = match aim {
            Aim::CleanUp(incarnation) => self.leases.connections(incarnation),
            Aim::OfferKept => 0,
        };
        if self.passes.iter().all(|pass| pass.aim != aim) {
            let step = self.replica.len().div_ceil(steps_for(connections));
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

    /// The times that the database has of users whom [`Effect::LoadTimes`] named; none of those of whom it did not answer.
    /// What a node that is gone contributed to them is removed.
    pub fn handle_stored_times(&mut self, input: Input<'_>, users: Vec<UserId>, times: &[MovedTimes]) {
        for times in times {
            self.apply_times(times);
        }
        self.publisher.left_over.extend(users);
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

/// In how many steps the sessions of a node are cleaned up that told of so many connections.
fn steps_for(connections: u32) -> usize {
    match usize::try_from(connections.div_ceil(CLEANED_PER_STEP)) {
        Ok(0) | Err(_) => PASS_STEPS_MAX,
        Ok(steps) => steps.min(PASS_STEPS_MAX),
    }
}

fn is_meant(aim: Aim, held: &Held) -> bool {
    match aim {
        Aim::CleanUp(incarnation) => held.state().share_of(incarnation).is_some(),
        Aim::OfferKept => held.is_kept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Contribution;
    use crate::replication::node_info::NodeInfo;
    use crate::replication::partition::Start;
    use crate::replication::settings::{SCAN_USERS_MAX, Settings};
    use crate::replication::state::{Share, State};
    use crate::revision::Revision;
    use crate::time::{Reading, SystemWall};

    const BEFORE: Incarnation = Incarnation(9);

    fn start(grace: Duration) -> Partition {
        let start = Start {
            own: Incarnation(1),
            previous: vec![(BEFORE, grace)],
            node: NodeInfo::default(),
            settings: Settings::of_tests(),
            seed: 1,
        };
        let reading = Reading {
            mono: Mono::default(),
            system: SystemWall::from_millis(1_000_000),
            records_ahead: 0,
        };
        let mut machine = Partition::new(start, reading);
        machine.publisher.ends.clear();
        machine
    }

    /// The clock is at so many milliseconds.
    fn let_time_be(machine: &mut Partition, millis: u64) {
        let nothing = |_: &UserId| None;
        let mono = Mono::from_millis(millis);
        let reading = Reading {
            mono,
            system: SystemWall::from_millis(1_000_000),
            records_ahead: 0,
        };
        let input = Input { reading, own: &nothing };
        machine.go_on_with_passes(input);
    }

    /// Of how many users the database is asked for what a dead node left.
    fn taken(machine: &mut Partition) -> usize {
        let users = |effect: Effect| match effect {
            Effect::LoadTimes(users) => users.len(),
            _ => 0,
        };
        machine.take_effects().into_iter().map(users).sum()
    }

    #[test]
    fn users_of_a_dead_node_are_taken_evenly() {
        let mut machine = start(Duration::ZERO);
        let gone = Incarnation(3);
        (0..4_600).for_each(|number| copy(&mut machine, number, Some(gone)));
        machine
            .leases
            .handle_ended(gone, Revision::new(2), Mono::default(), Duration::ZERO);
        let begins = 5_000;
        machine.begin_clean_up(gone, Mono::from_millis(begins));
        for step in 0..46 {
            let due = begins + step * 50;
            assert_eq!(
                machine.passes.iter().map(|pass| pass.goes_on_at).min(),
                Some(Mono::from_millis(due))
            );
            let_time_be(&mut machine, due);
            assert_eq!(taken(&mut machine), 100, "step {step}");
            let_time_be(&mut machine, due + 49);
            assert_eq!(taken(&mut machine), 0, "the pause after step {step}");
        }
        let_time_be(&mut machine, begins + 2_300);
        assert!(machine.passes.is_empty() && taken(&mut machine) == 0);
    }

    #[test]
    fn a_node_with_more_connections_is_cleaned_up_for_longer() {
        let takes = |connections| PASS_STEP_EVERY * u32::try_from(steps_for(connections)).expect("few");
        assert_eq!(takes(0), Duration::from_millis(2_300), "not known");
        assert_eq!(takes(1), Duration::from_millis(50));
        assert_eq!(takes(6_000), Duration::from_secs(1));
        assert_eq!(takes(u32::MAX), Duration::from_millis(2_300));
    }

    #[test]
    fn two_dead_nodes_are_cleaned_up_beside_each_other() {
        let mut machine = start(Duration::ZERO);
        let gone = [Incarnation(3), Incarnation(4)];
        for (number, one) in (0..9_200).zip(gone.into_iter().cycle()) {
            copy(&mut machine, number, Some(one));
        }
        for one in gone {
            machine
                .leases
                .handle_ended(one, Revision::new(2), Mono::default(), Duration::ZERO);
            machine.begin_clean_up(one, Mono::from_millis(5_000));
        }
        for _ in 0..2 * 47 {
            let_time_be(&mut machine, 7_300);
        }
        assert!(machine.passes.is_empty());
        assert_eq!(taken(&mut machine), 9_200);
    }

    #[test]
    fn a_few_users_of_a_dead_node_are_taken_at_once() {
        let mut machine = start(Duration::ZERO);
        let gone = Incarnation(3);
        (0..PASS_STEP_MIN - 1).for_each(|number| copy(&mut machine, number, Some(gone)));
        machine
            .leases
            .handle_ended(gone, Revision::new(2), Mono::default(), Duration::ZERO);
        machine.begin_clean_up(gone, Mono::from_millis(5_000));
        let_time_be(&mut machine, 5_000);
        assert!(machine.passes.is_empty());
        assert_eq!(taken(&mut machine), PASS_STEP_MIN - 1);
    }

    fn copy(machine: &mut Partition, number: usize, of: Option<Incarnation>) {
        let share = |incarnation| Share {
            incarnation,
            contribution: Contribution::default(),
            grace_until: None,
            places: 0,
            sessions: Vec::new(),
            unknown: Vec::new(),
        };
        let state = State {
            contributions: of.map(share).into_iter().collect(),
            ..State::default()
        };
        let user = UserId::new(&format!("user-{number:06}")).expect("a user id");
        machine
            .replica
            .insert(&user, Held::new(Revision::new(1), &state.encode()));
    }

    #[test]
    fn a_search_for_runs_before_looks_at_some_users_at_a_time() {
        let mut machine = start(Duration::ZERO);
        let last = SCAN_USERS_MAX * 2;
        (0..last).for_each(|number| copy(&mut machine, number, None));
        copy(&mut machine, last, Some(BEFORE));
        assert!(!machine.is_past_over(), "one is shown");
        assert!(machine.past.goes_on(), "not all were looked at");
        for _ in 0..3 {
            machine.past.pause();
            assert!(!machine.is_past_over() && !machine.past.goes_on(), "one is shown");
        }
        copy(&mut machine, last, Some(Incarnation(2)));
        assert!(machine.is_past_over());
        copy(&mut machine, last + 1, Some(BEFORE));
        assert!(machine.is_past_over(), "it is asked once");
    }

    #[test]
    fn a_run_before_whose_sessions_are_in_grace_is_not_waited_for() {
        let mut machine = start(Duration::from_secs(30));
        copy(&mut machine, 0, Some(BEFORE));
        assert!(machine.is_past_over());
        machine.publisher.ends.insert(BEFORE, Duration::ZERO);
        assert!(!machine.is_past_over(), "it is not ended yet");
    }
}
