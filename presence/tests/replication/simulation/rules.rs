//! Each rule taken out is found: a table of rules with a seed that fails without it.

use std::collections::BTreeMap;

use presence::replication::Rule;

use super::world::World;
use crate::model::ScriptRule;

/// What is taken out.
type Without = (&'static [Rule], Option<ScriptRule>);

/// Rules, and a seed that fails without them. Not in it are `OfferKept` and `OfferInEpoch`, which 1 of 400 seeds finds or fewer, and four that others cover as well: `OfferWhenCurrent`
/// (durable parts loaded anew correct what was offered too early), `LookAtHead` (a tick over a
/// connection that is not registered any more leads to the new epoch within 3 s), the connection number (compare-and-set and
/// self-correction converge, it keeps a late call from being told for a moment), and the floor of the script (whoever told
/// more offers again until the clock has passed that).
const FOUND: &[(Without, u64)] = &[
    ((&[Rule::SelfCorrection], None), 8),
    ((&[Rule::Predecessor], None), 0),
    ((&[Rule::HoldOffers], None), 0),
    ((&[Rule::HoldTelling], None), 0),
    ((&[Rule::HoldAfterEpoch], None), 11),
    ((&[Rule::KeepOldEpoch], None), 1),
    ((&[Rule::OfferAboveTold], None), 0),
    ((&[Rule::NodeGrace], None), 0),
    ((&[Rule::OwnTicks], None), 0),
    ((&[Rule::WaitForEpoch], None), 11),
    ((&[Rule::CursorsWait], None), 26),
    ((&[Rule::DropAfterWrite], None), 0),
    ((&[Rule::CommandsEndSessions], None), 0),
    ((&[Rule::SessionLimit], None), 0),
    ((&[Rule::OfferUnpublished], None), 95),
    ((&[Rule::TickThroughLog], None), 28),
    ((&[Rule::VersionsOrder], None), 0),
    ((&[], Some(ScriptRule::RunId)), 0),
    ((&[], Some(ScriptRule::Compare)), 0),
];

/// How many seeds may be needed when a change of the machine or of the simulation makes the one in the table miss.
const TRIED: u64 = 600;

#[test]
fn every_rule_taken_out_is_found() {
    for ((rules, script), seed) in FOUND {
        let fails = |seed: u64| {
            let mut world = World::new(seed, rules, *script);
            world.run();
            !world.failures.is_empty()
        };
        let is_found = fails(*seed) || (0..TRIED).any(fails);
        assert!(is_found, "no seed finds that {rules:?}, {script:?} is missing");
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
    let scripts = [
        ScriptRule::RunId,
        ScriptRule::Connection,
        ScriptRule::Compare,
        ScriptRule::Floor,
    ];
    let scripts = scripts.into_iter().map(|rule| (&[][..], Some(rule)));
    ALL.iter().map(one).chain(both).chain(scripts).collect()
}

static ALL: [Rule; Rule::ALL.len()] = Rule::ALL;
