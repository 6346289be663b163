//! Many nodes on the model of the scripts, in virtual time, from a seed: safety at every step, then everything heals and
//! all must agree. `PRESENCE_SIMULATION_SEED=7 cargo test -p presence --test replication one_seed` runs one again and prints
//! every step; `PRESENCE_SIMULATION_STEPS=1000000` goes that far with fresh seeds.

mod check;
mod convergence;
mod database;
mod deliver;
mod node;
mod rng;
mod steps;
mod world;

use presence::replication::Rule;

use crate::model::ScriptRule;
use world::World;

/// Seeds that once failed stay.
const FIXED: std::ops::Range<u64> = 0..40;

fn run(seed: u64) -> u64 {
    let mut world = World::new(seed, None, None);
    world.run();
    if !world.failures.is_empty() {
        let trace = Vec::from(world.trace).join("\n");
        panic!("seed {seed}: {:#?}\n{trace}", world.failures);
    }
    world.steps
}

#[test]
fn nodes_agree_after_faults_with_fixed_seeds() {
    for seed in FIXED {
        run(seed);
    }
}

#[test]
fn many_seeds() {
    let Some(range) = std::env::var("PRESENCE_SIMULATION_RANGE").ok() else {
        return;
    };
    let (from, to) = range.split_once("..").unwrap();
    let mut steps = 0;
    let mut failed = std::collections::BTreeMap::<String, Vec<u64>>::new();
    for seed in from.parse().unwrap()..to.parse().unwrap() {
        let mut world = World::new(seed, None, None);
        world.run();
        steps += world.steps;
        if let Some(first) = world.failures.first() {
            let kind = first.split(':').next().unwrap().to_owned();
            failed.entry(kind).or_default().push(seed);
        }
    }
    println!("{steps} steps, {failed:?}");
}

#[test]
fn rules_taken_out() {
    let Some(count) = std::env::var("PRESENCE_SIMULATION_RULES").ok() else {
        return;
    };
    for (rule, script) in rules() {
        let mut first = None;
        let mut failing = 0;
        let mut kinds = std::collections::BTreeMap::<String, u32>::new();
        for seed in 0..count.parse().unwrap() {
            let mut world = World::new(seed, rule, script);
            world.run();
            if let Some(failure) = world.failures.first() {
                failing += 1;
                first = first.or(Some(seed));
                *kinds.entry(failure.split(':').next().unwrap().to_owned()).or_default() += 1;
            }
        }
        println!("| {rule:?} {script:?} | {failing} | {first:?} | {kinds:?} |");
    }
}

/// Every rule that can be taken out.
fn rules() -> Vec<(Option<Rule>, Option<ScriptRule>)> {
    let scripts = [
        ScriptRule::RunId,
        ScriptRule::Connection,
        ScriptRule::Compare,
        ScriptRule::Floor,
    ];
    let scripts = scripts.into_iter().map(|rule| (None, Some(rule)));
    Rule::ALL
        .into_iter()
        .map(|rule| (Some(rule), None))
        .chain(scripts)
        .collect()
}

#[test]
fn one_seed() {
    let Some(seed) = std::env::var("PRESENCE_SIMULATION_SEED").ok() else {
        return;
    };
    let mut world = World::new(seed.parse().unwrap(), None, None);
    world.keeps_all = true;
    world.run();
    for line in &world.trace {
        println!("{line}");
    }
    println!("{} steps, {:#?}", world.steps, world.failures);
}
