//! Each rule taken out is found: a table of rules with a seed that fails without it.

use std::collections::BTreeMap;

use presence::replication::Rule;

use super::world::World;
use super::{forgotten, leaving, no_room, plans, reported, resume};
use crate::model::ScriptRule;

/// What is taken out.
type Without = (&'static [Rule], Option<ScriptRule>);

/// What finds that something is taken out.
enum FoundBy {
    /// A seed that fails.
    Seed(u64),
    /// A plan that fails.
    Plan(fn(&mut World)),
}

/// Rules, and what finds that they are missing. `LookAtHead` alone is covered by `OfferInEpoch`: a tick over a connection that
/// is not registered any more leads to the new epoch within 3 s.
const FOUND: &[(Without, FoundBy)] = &[
    (
        (&[Rule::SelfCorrection], None),
        FoundBy::Plan(plans::a_session_ends_as_redis_is_emptied),
    ),
    (
        (&[Rule::Predecessor], None),
        FoundBy::Plan(plans::a_follower_misses_entries),
    ),
    (
        (&[Rule::OfferInEpoch], None),
        FoundBy::Plan(plans::users_move_as_redis_restarts),
    ),
    ((&[Rule::HoldOffers], None), FoundBy::Seed(0)),
    ((&[Rule::HoldTelling], None), FoundBy::Seed(0)),
    (
        (&[Rule::HoldAfterEpoch], None),
        FoundBy::Plan(plans::users_move_as_redis_restarts),
    ),
    (
        (&[Rule::KeepOldEpoch], None),
        FoundBy::Plan(plans::redis_is_emptied_after_a_node_died),
    ),
    (
        (&[Rule::LookAtHead, Rule::OfferInEpoch], None),
        FoundBy::Plan(plans::a_new_epoch_begins_below_what_was_read),
    ),
    ((&[Rule::OfferAboveTold], None), FoundBy::Seed(0)),
    ((&[Rule::NodeGrace], None), FoundBy::Seed(0)),
    ((&[Rule::OwnTicks], None), FoundBy::Seed(0)),
    (
        (&[Rule::WaitForEpoch], None),
        FoundBy::Plan(plans::redis_is_restored_from_an_older_copy),
    ),
    (
        (&[Rule::CursorsWait], None),
        FoundBy::Plan(plans::a_cursor_is_taken_while_offline_is_withheld),
    ),
    (
        (&[Rule::OfferWhenCurrent], None),
        FoundBy::Plan(plans::a_report_ends_while_a_node_is_behind),
    ),
    ((&[Rule::OfferKept], None), FoundBy::Plan(plans::reports_are_of_no_node)),
    ((&[Rule::DropAfterWrite], None), FoundBy::Seed(0)),
    ((&[Rule::CommandsEndSessions], None), FoundBy::Seed(0)),
    ((&[Rule::SessionLimit], None), FoundBy::Seed(0)),
    (
        (&[Rule::TickThroughLog], None),
        FoundBy::Plan(plans::a_follower_reads_what_stands_still),
    ),
    (
        (&[Rule::OfferUnpublished], None),
        FoundBy::Plan(plans::a_node_dies_with_a_custom_status),
    ),
    ((&[Rule::VersionsOrder], None), FoundBy::Seed(0)),
    (
        (&[Rule::ListAnew], None),
        FoundBy::Plan(plans::somebody_deletes_what_other_services_read),
    ),
    (
        (&[Rule::ListUnchanged], None),
        FoundBy::Plan(plans::a_custom_status_changes_while_all_are_listed),
    ),
    ((&[], Some(ScriptRule::RunId)), FoundBy::Seed(0)),
    (
        (&[], Some(ScriptRule::Connection)),
        FoundBy::Plan(plans::an_offer_comes_late),
    ),
    ((&[], Some(ScriptRule::Compare)), FoundBy::Seed(0)),
    (
        (&[], Some(ScriptRule::Floor)),
        FoundBy::Plan(plans::the_clock_of_redis_goes_back),
    ),
    (
        (&[], Some(ScriptRule::ReadTo)),
        FoundBy::Plan(plans::a_user_is_dropped_while_all_are_listed),
    ),
];

/// How many seeds may be needed when a change of the machine or of the simulation makes the one in the table miss.
const TRIED: u64 = 200;

fn fails(mut world: World) -> bool {
    world.run();
    !world.failures.is_empty()
}

#[test]
fn every_rule_taken_out_is_found() {
    let mut missed = Vec::new();
    for (without, by) in FOUND {
        let (rules, script) = *without;
        let of_seed = |seed| fails(World::new(seed, rules, script));
        let is_found = match by {
            FoundBy::Seed(seed) => of_seed(*seed) || (0..TRIED).any(of_seed),
            FoundBy::Plan(plan) => fails(World::planned(*plan, rules, script)),
        };
        if !is_found {
            missed.push(name(without));
        }
    }
    assert!(missed.is_empty(), "it is not found that these are missing: {missed:?}");
}

#[test]
fn every_rule_is_in_the_table() {
    let missing = |of: &dyn Fn(&Without) -> bool| !FOUND.iter().any(|(without, _)| of(without));
    let rules = Rule::ALL
        .into_iter()
        .filter(|rule| missing(&|(rules, _)| rules.contains(rule)));
    assert_eq!(rules.collect::<Vec<_>>(), []);
    let scripts = ScriptRule::ALL.into_iter();
    let scripts = scripts.filter(|rule| missing(&|(_, script)| *script == Some(*rule)));
    assert_eq!(scripts.collect::<Vec<_>>(), []);
}

#[test]
fn plans_of_faults_do_no_harm_with_all_rules() {
    for (without, by) in FOUND {
        if let FoundBy::Plan(plan) = by {
            does_no_harm(&name(without), *plan);
        }
    }
}

#[test]
fn a_report_that_ends_before_its_offer_comes_is_over() {
    does_no_harm("late", plans::a_report_ends_before_its_offer_comes);
}

#[test]
fn a_partition_whose_follower_always_fails_is_unreachable_after_2_s() {
    does_no_harm("fails", plans::every_attempt_to_reach_redis_fails);
}

#[test]
fn times_that_a_dead_node_has_written_alone_are_told() {
    does_no_harm("times", plans::a_user_and_the_node_leave_in_an_outage);
}

#[test]
fn a_report_that_was_heard_later_and_comes_later_is_told() {
    does_no_harm("overtaken", plans::a_report_overtakes_one_that_was_heard_later);
    for plan in [
        leaving::a_user_leaves_before_the_offer_of_an_older_report_comes,
        leaving::a_user_is_dropped_unread_before_the_offer_of_an_older_report_comes,
        leaving::a_user_leaves_unread_before_the_offer_of_an_older_report_comes,
    ] {
        does_no_harm("older report", plan);
    }
}

#[test]
fn a_node_that_starts_tells_of_who_comes_back() {
    does_no_harm("comes back", leaving::a_user_comes_back_to_a_node_that_starts);
}

#[test]
fn a_node_that_starts_shows_whom_the_database_has_as_present() {
    does_no_harm("others are away", leaving::a_node_starts_before_the_others_are_back);
}

#[test]
fn a_session_of_a_moment_leaves_when_the_user_was_seen() {
    does_no_harm("short", plans::a_session_ends_before_it_is_offered);
}

#[test]
fn an_older_log_tells_none_again_of_those_who_left() {
    does_no_harm("twice", plans::redis_is_restored_from_older_copies_twice);
}

#[test]
fn users_of_an_epoch_below_what_was_read_are_told() {
    does_no_harm("below", plans::a_node_that_starts_begins_an_epoch_below_the_others);
}

#[test]
fn a_kick_takes_effect_at_its_entry_on_a_node_that_was_cut_off() {
    does_no_harm("kick", plans::a_user_is_kicked_while_a_node_is_cut_off);
    does_no_harm("kick", plans::a_user_of_a_node_that_is_cut_off_is_kicked);
}

#[test]
fn a_session_that_one_node_alone_told_is_ended_for_its_watchers() {
    does_no_harm("alone", plans::a_user_comes_and_leaves_in_an_outage);
}

#[test]
fn a_state_of_before_is_left_to_the_node_that_it_names() {
    does_no_harm("before", plans::redis_is_restored_to_before_a_user_left);
}

#[test]
fn the_log_decides_which_of_two_sessions_continues_a_lost_one() {
    let mut winners = Vec::new();
    for plan in [
        resume::a_lost_session_is_named_on_two_nodes,
        resume::a_lost_session_is_named_here_and_on_another_node,
        resume::a_lost_session_is_named_here_first,
        resume::a_session_of_a_dead_node_is_named_on_two_nodes,
    ] {
        let world = does_no_harm("named twice", plan);
        let decided = world.decided.into_values().flatten();
        winners.extend(decided.filter(|(_, is_won)| *is_won).map(|(node, _)| node));
    }
    assert_eq!(winners, [1, 1, 0, 1]);
}

#[test]
fn a_place_of_a_node_that_has_not_registered_yet_is_left_to_it() {
    does_no_harm("continued", resume::a_session_is_continued_before_its_node_registers);
    does_no_harm("continued", resume::a_session_is_continued_whose_node_never_registers);
    does_no_harm("continued", resume::a_session_is_continued_whose_node_has_stopped);
}

#[test]
fn a_node_that_starts_knows_when_sessions_of_an_ended_one_are_over() {
    does_no_harm("ended", plans::a_node_starts_after_another_was_ended);
}

#[test]
fn a_grace_period_is_counted_by_the_clock_of_who_has_read_its_begin() {
    does_no_harm("clock", plans::the_clock_of_redis_jumps_in_a_grace_period);
}

#[test]
fn no_caller_waits_for_a_claim_that_is_held_back() {
    does_no_harm("held back", resume::a_claim_is_held_back);
}

#[test]
fn a_session_that_is_refused_leaves_the_place_that_it_claimed() {
    does_no_harm("refused", resume::a_session_that_continues_another_is_refused);
    does_no_harm("refused here", resume::a_session_that_continues_another_here_is_refused);
}

#[test]
fn all_nodes_say_stale_while_redis_has_no_room_for_users_of_one() {
    does_no_harm("full", no_room::a_user_comes_while_redis_has_no_room);
    does_no_harm(
        "full, and it dies",
        no_room::a_node_dies_whose_user_redis_had_no_room_for,
    );
    does_no_harm("room for one first", no_room::there_is_room_for_one_user_first);
    does_no_harm("full, and one starts", no_room::a_node_starts_while_redis_has_no_room);
}

#[test]
fn nothing_is_told_of_a_forgotten_user_by_a_node_that_was_cut_off() {
    does_no_harm("forgotten", forgotten::a_user_is_forgotten_whose_node_is_cut_off);
    does_no_harm("heard of at once", forgotten::a_user_is_forgotten_and_heard_of_at_once);
    does_no_harm("back elsewhere", forgotten::a_forgotten_user_comes_back_elsewhere);
}

#[test]
fn a_user_is_present_since_the_report_whichever_node_offers_it() {
    does_no_harm("reported", reported::a_user_is_reported_in_an_outage);
}

#[test]
fn redis_that_fails_late_is_unreachable_after_two_seconds() {
    does_no_harm("late failure", plans::redis_fails_late);
}

#[test]
fn a_node_with_the_name_of_a_living_one_refuses_to_start() {
    let world = does_no_harm("name", plans::a_node_starts_under_the_name_of_another);
    assert!(world.refused == [3].into() && world.nodes[3].ready.is_empty());
}

#[test]
fn a_node_with_the_name_of_a_dead_one_starts_after_a_lease() {
    let world = does_no_harm("name", plans::a_node_starts_under_the_name_of_a_dead_one);
    assert!(world.refused.is_empty() && !world.nodes[3].ready.is_empty());
}

fn does_no_harm(name: &str, plan: fn(&mut World)) -> World {
    let mut world = World::planned(plan, &[], None);
    world.run();
    let trace = Vec::from(std::mem::take(&mut world.trace)).join("\n");
    assert!(world.failures.is_empty(), "{name}: {:#?}\n{trace}", world.failures);
    world
}

/// `PRESENCE_SIMULATION_PLAN=Floor` prints the plan that aims at it, with that rule taken out.
#[test]
fn one_plan() {
    let Some(only) = std::env::var("PRESENCE_SIMULATION_PLAN").ok() else {
        return;
    };
    for (without, by) in FOUND.iter().filter(|(without, _)| name(without).contains(&only)) {
        if let FoundBy::Plan(plan) = by {
            let mut world = World::planned(*plan, without.0, without.1);
            world.keeps_all = true;
            world.run();
            println!(
                "{}\n{} steps, {:#?}",
                Vec::from(world.trace).join("\n"),
                world.steps,
                world.failures
            );
        }
    }
}

#[test]
fn rules_taken_out() {
    let Some(count) = std::env::var("PRESENCE_SIMULATION_RULES").ok() else {
        return;
    };
    let only = std::env::var("PRESENCE_SIMULATION_RULE").ok();
    for (rules, script) in all() {
        let name = name(&(rules, script));
        if only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            continue;
        }
        let mut first = None;
        let mut kinds = BTreeMap::<String, u32>::new();
        let count: u64 = count.parse().unwrap();
        for seed in 0..count {
            let mut world = World::new(seed, rules, script);
            world.run();
            if let Some(failure) = world.failures.first() {
                first = first.or(Some(seed));
                *kinds.entry(failure.split(':').next().unwrap().to_owned()).or_default() += 1;
            }
        }
        println!(
            "| {name} | {} of {count} | {first:?} | {kinds:?} |",
            kinds.values().sum::<u32>()
        );
    }
}

/// What the environment says is taken out.
pub(crate) fn taken_out() -> Without {
    let only = std::env::var("PRESENCE_SIMULATION_RULE").unwrap_or_default();
    let found = all()
        .into_iter()
        .find(|one| !only.is_empty() && name(one).contains(&only));
    found.unwrap_or((&[], None))
}

fn name((rules, script): &Without) -> String {
    format!("{rules:?} {script:?}")
}

fn all() -> Vec<Without> {
    let one = |rule: &'static Rule| (std::slice::from_ref(rule), None);
    let both: [Without; 2] = [
        (&[Rule::LookAtHead, Rule::OfferInEpoch], None),
        (&[Rule::OfferInEpoch, Rule::OfferWhenCurrent], None),
    ];
    let scripts = ScriptRule::ALL.into_iter().map(|rule| (&[][..], Some(rule)));
    ALL.iter().map(one).chain(both).chain(scripts).collect()
}

static ALL: [Rule; Rule::ALL.len()] = Rule::ALL;
