//! A seeded random walk over the whole daemon in memory: manual clock, sockets in memory, a store that fails and holds,
//! wrong clocks, crashes and restarts. After every step the daemon is compared with the naive model of `presence`; watchers
//! outlive their connections and the daemon's runs, and must end up with the truth. A difference prints its seed.

mod check;
mod durable_steps;
mod model;
#[expect(dead_code, reason = "the tests of `presence` use all of it")]
#[path = "../../../../../presence/tests/rules/naive.rs"]
mod naive;
#[path = "../../../../../presence/tests/rules/plain_rule.rs"]
mod plain_rule;
mod restart;
mod resume;
mod snapshots;
mod steps;
mod watcher;
mod world;

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use presence::Timers;

use self::world::World;

/// Steps of one walk: short walks from many seeds find more than long ones, and the naive model reads its whole past.
const STEPS: usize = 250;
/// Walks that run with every test run, by seed.
const FIXED_SEEDS: std::ops::RangeInclusive<u64> = 1..=120;
/// Walks with seeds that no run has seen before.
const FRESH_SEEDS: usize = 100;
/// Names one seed to walk again, or a number of steps to walk in all with fresh seeds: `PRESENCED_WALK_SEED=7`,
/// `PRESENCED_WALK_STEPS=1000000`.
const SEED: &str = "PRESENCED_WALK_SEED";
const TOTAL_STEPS: &str = "PRESENCED_WALK_STEPS";

const TIMERS: Timers = Timers {
    grace: Duration::from_secs(5),
    restart_grace: Duration::from_secs(30),
    idle_after: Duration::from_secs(300),
};

/// Runs one walk on a thread with its own runtime, so that a panic can be told with its seed.
fn walk(seed: u64) {
    let walking = std::thread::Builder::new().name(format!("walk {seed}"));
    let walked = walking.spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(World::walk(seed, STEPS));
    });
    let walked = walked.expect("a thread").join();
    assert!(
        walked.is_ok(),
        "the daemon and the model differ: {SEED}={seed} walks this again"
    );
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is a number, not {text:?}")),
    )
}

fn fresh_seed() -> u64 {
    RandomState::new().hash_one("walk")
}

#[test]
fn walks_with_fixed_seeds_agree_with_the_model() {
    match number(SEED) {
        Some(seed) => walk(seed),
        None => FIXED_SEEDS.for_each(walk),
    }
}

#[test]
fn walks_with_fresh_seeds_agree_with_the_model() {
    let total = number(TOTAL_STEPS).map(|steps| usize::try_from(steps).expect("a number of steps"));
    let walks = total.map_or(FRESH_SEEDS, |steps| steps.div_ceil(STEPS));
    for _ in 0..walks {
        walk(fresh_seed());
    }
}
