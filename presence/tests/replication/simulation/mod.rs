//! Many nodes on the model of the scripts, in virtual time, from a seed: safety at every step, then everything heals and
//! all must agree. `PRESENCE_SIMULATION_SEED=7 cargo test -p presence --test replication one_seed -- --nocapture` runs one
//! again and prints every step (`PRESENCE_SIMULATION_RULE=OwnTicks` takes a rule out);
//! `PRESENCE_SIMULATION_STEPS=1000000` goes that far with fresh seeds, `PRESENCE_SIMULATION_RANGE=0..500` tells which of these
//! fail, and `PRESENCE_SIMULATION_RULES=500` counts the seeds that find each rule missing.

mod check;
mod check_scripts;
mod client_cursors;
mod convergence;
mod database;
mod deliver;
mod effects;
mod forgotten;
mod graces;
mod leaving;
mod no_room;
mod node;
mod planned;
mod plans;
mod reported;
mod resume;
mod rng;
mod rules;
mod server;
mod steps;
mod storing;
mod world;

use std::hash::{BuildHasher, RandomState};

use world::World;

/// Seeds that found something once, and a few more.
const FIXED: [u64; 33] = [
    0, 1, 11, 44, 82, 129, 172, 220, 240, 315, 409, 482, 550, 676, 923, 1_000, 1_121, 1_133, 1_341, 1_878, 2_307,
    4_213, 4_723, 10_521, 10_562, 5_697, 200_659, 400_254, 600_595, 600_681, 602_563, 602_218, 700_080,
];
/// As many steps as five fresh seeds take.
const FRESH_STEPS: u64 = 100_000;

fn run(seed: u64) -> u64 {
    let mut world = World::new(seed, &[], None);
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
fn nodes_agree_after_faults_with_fresh_seeds() {
    let asked = std::env::var("PRESENCE_SIMULATION_STEPS").ok();
    let wanted = asked.map_or(FRESH_STEPS, |steps| steps.parse().unwrap());
    let mut steps = 0;
    while steps < wanted {
        steps += run(RandomState::new().hash_one("simulation") >> 16);
    }
}

#[test]
fn a_seed_runs_the_same_way_again() {
    let trace = |seed| {
        let mut world = World::new(seed, &[], None);
        world.keeps_all = true;
        world.run();
        world.trace
    };
    assert!(trace(6) == trace(6));
}

#[test]
fn one_seed() {
    let Some(seed) = std::env::var("PRESENCE_SIMULATION_SEED").ok() else {
        return;
    };
    let (rules, script) = rules::taken_out();
    let mut world = World::new(seed.parse().unwrap(), rules, script);
    world.keeps_all = true;
    world.run();
    for line in &world.trace {
        println!("{line}");
    }
    println!("{} steps, {:#?}", world.steps, world.failures);
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
        let mut world = World::new(seed, &[], None);
        world.run();
        steps += world.steps;
        if let Some(first) = world.failures.first() {
            let kind = first.split(':').next().unwrap().to_owned();
            failed.entry(kind).or_default().push(seed);
        }
    }
    println!("{steps} steps");
    assert!(failed.is_empty(), "{failed:?}");
}
