//! Passes in their steps, and the time that they take.

use std::collections::BTreeMap;

use super::*;
use crate::Contribution;
use crate::replication::node_info::Tick;
use crate::replication::partition::{Start, reading_of_tests};
use crate::replication::settings::SCAN_USERS_MAX;
use crate::replication::state::{Share, State};
use crate::revision::Revision;
use crate::time::{Reading, SystemWall};

const BEFORE: Incarnation = Incarnation(9);

fn start(grace: Duration) -> Partition {
    let start = Start {
        previous: vec![(BEFORE, grace)],
        ..Start::of_tests(Incarnation(1))
    };
    let reading = reading_of_tests();
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
    (0..3_200).for_each(|number| copy(&mut machine, number, Some(gone)));
    end(&mut machine, gone, 0, Duration::ZERO);
    let begins = 5_000;
    machine.begin_clean_up(gone, Mono::from_millis(begins));
    for step in 0..32 {
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
    let_time_be(&mut machine, begins + 1_600);
    assert!(machine.passes.is_empty() && taken(&mut machine) == 0);
}

#[test]
fn a_node_with_more_connections_is_cleaned_up_for_longer() {
    let within = Duration::from_millis(1_850);
    let takes = |connections| PASS_STEP_EVERY * u32::try_from(steps_for(connections, within)).expect("few");
    assert_eq!(takes(0), within, "not known");
    assert_eq!(takes(1), Duration::from_millis(50));
    assert_eq!(takes(6_000), Duration::from_secs(1));
    assert_eq!(takes(u32::MAX), within);
}

/// How long after the last sign of life of a node with very many sessions the last of them are taken, and for how long they are:
/// that long after it the node was found dead, and so long after the grace period this one began.
fn cleaned_up(silence: u64, late: u64) -> (u64, u64) {
    cleaned_up_after(silence, late, |_| {})
}

/// The same, if this happens at that last sign of life.
fn cleaned_up_after(silence: u64, late: u64, happens: impl Fn(&mut Partition)) -> (u64, u64) {
    let mut machine = start(Duration::ZERO);
    let gone = Incarnation(3);
    (0..3_000).for_each(|number| copy(&mut machine, number, Some(gone)));
    let tick = Tick {
        connections: 30_000,
        ..Tick::default()
    };
    machine.leases.handle_registered(gone, Vec::new(), Mono::default());
    machine.leases.handle_heard(gone, Mono::default());
    machine.leases.handle_tick(gone, Mono::default(), tick);
    happens(&mut machine);
    let grace = machine.settings.node_grace;
    end(&mut machine, gone, silence, grace);
    let begins = silence + 12_000 + 200 + late;
    machine.begin_clean_up(gone, Mono::from_millis(begins));
    let (mut now, mut last) = (begins, begins);
    while let Some(pass) = machine.passes.front() {
        now = now.max(pass.goes_on_at.as_millis());
        let_time_be(&mut machine, now);
        if taken(&mut machine) > 0 {
            last = now;
        }
    }
    (last, last - begins)
}

#[test]
fn a_second_is_left_of_the_time_in_which_users_of_a_dead_node_are_offline() {
    for silence in [12_000, 12_200, 13_700, 14_900, 15_000, 15_100] {
        for late in [0, 100, 250] {
            let (last, takes) = cleaned_up(silence, late);
            let found_late = silence.saturating_sub(15_000);
            assert!(last <= 29_050 + found_late, "{silence} and {late}: {last}");
            assert!(takes >= 1_500, "{silence} and {late}: no longer than {takes} ms");
        }
    }
    let (last, takes) = cleaned_up(12_200, 100);
    assert!(takes > 4_000 && last > 28_900, "there is more time: {last}, {takes}");
    let (_, takes) = cleaned_up(100, 0);
    assert!(takes < 1_900, "it stopped, and did not die: {takes}");
}

#[test]
fn a_node_that_may_have_been_silent_for_longer_is_cleaned_up_at_once() {
    let registrations = BTreeMap::from([(Incarnation(3), Vec::new())]);
    let read_anew = |machine: &mut Partition| {
        let leases = &mut machine.leases;
        leases.restore(registrations.clone(), BTreeMap::new(), Mono::default());
    };
    let (last, _) = cleaned_up_after(12_200, 0, read_anew);
    assert!(
        last <= 12_200 + 12_200 + 1_850,
        "as if it had been a whole lease: {last}"
    );
}

#[test]
fn two_dead_nodes_are_cleaned_up_beside_each_other() {
    let mut machine = start(Duration::ZERO);
    let gone = [Incarnation(3), Incarnation(4)];
    for (number, one) in (0..9_200).zip(gone.into_iter().cycle()) {
        copy(&mut machine, number, Some(one));
    }
    for one in gone {
        end(&mut machine, one, 0, Duration::ZERO);
        machine.begin_clean_up(one, Mono::from_millis(5_000));
    }
    for _ in 0..2 * 33 {
        let_time_be(&mut machine, 6_600);
    }
    assert!(machine.passes.is_empty());
    assert_eq!(taken(&mut machine), 9_200);
}

#[test]
fn a_few_users_of_a_dead_node_are_taken_at_once() {
    let mut machine = start(Duration::ZERO);
    let gone = Incarnation(3);
    (0..PASS_STEP_MIN - 1).for_each(|number| copy(&mut machine, number, Some(gone)));
    end(&mut machine, gone, 0, Duration::ZERO);
    machine.begin_clean_up(gone, Mono::from_millis(5_000));
    let_time_be(&mut machine, 5_000);
    assert!(machine.passes.is_empty());
    assert_eq!(taken(&mut machine), PASS_STEP_MIN - 1);
}

/// The registration of that run ends at so many milliseconds.
fn end(machine: &mut Partition, gone: Incarnation, at: u64, grace: Duration) {
    machine
        .leases
        .handle_ended(gone, Revision::new(2), Mono::from_millis(at), grace);
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
