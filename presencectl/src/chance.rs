//! Chance, from one seed: jitter of reconnects, and what simulated people do next. Not for secrets.

use std::time::Duration;

/// SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014): eight bytes of state.
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    /// The same seed gives the same run.
    pub(crate) const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// Different in each process. Without the system's randomness jitter is fixed, which hurts nobody.
    pub(crate) fn new() -> Self {
        Self(getrandom::u64().unwrap_or(0x9e37_79b9))
    }

    /// Any number.
    pub(crate) const fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }

    /// Between 0 and 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit into a float exactly")]
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A wait until the next of events that come independently of each other, `mean` apart on average; at most ten
    /// times that.
    pub(crate) fn wait(&mut self, mean: Duration) -> Duration {
        let exponential = -(1.0 - self.fraction()).ln();
        mean.mul_f64(exponential.min(10.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_replays() {
        let run = |seed| {
            let mut chance = Chance::seeded(seed);
            [chance.number(), chance.number(), chance.below(10)]
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }

    #[test]
    fn waits_have_the_mean_that_was_asked_for_and_are_bounded() {
        let mut chance = Chance::seeded(1);
        let mean = Duration::from_secs(1);
        let waits: Vec<_> = (0..10_000).map(|_| chance.wait(mean)).collect();
        let total: Duration = waits.iter().sum();
        assert!((0.95..1.05).contains(&(total.as_secs_f64() / 10_000.0)), "{total:?}");
        assert!(waits.iter().all(|wait| *wait <= mean * 10));
    }
}
