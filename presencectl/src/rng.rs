//! A small pseudo-random generator: reconnect jitter, and what simulated users do next. Not for secrets.

use std::time::Duration;

/// SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014): eight bytes of state.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    /// The same seed gives the same sequence.
    pub(crate) const fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// Seeds from the operating system. Without its randomness the seed is fixed, which is harmless for jitter.
    pub(crate) fn new() -> Self {
        Self(getrandom::u64().unwrap_or(0x9e37_79b9))
    }

    pub(crate) const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which must not be 0.
    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        self.next_u64() % bound
    }

    /// A number in `0.0..1.0`.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit into a float exactly")]
    pub(crate) fn next_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// An exponentially distributed delay, as between independent events, cut at ten times the mean.
    pub(crate) fn exponential(&mut self, mean: Duration) -> Duration {
        let factor = -(1.0 - self.next_f64()).ln();
        mean.mul_f64(factor.min(10.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let run = |seed| {
            let mut rng = Rng::from_seed(seed);
            [rng.next_u64(), rng.next_u64(), rng.below(10)]
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }

    #[test]
    fn exponential_delays_have_the_requested_mean_and_a_bound() {
        let mut rng = Rng::from_seed(1);
        let mean = Duration::from_secs(1);
        let delays: Vec<_> = (0..10_000).map(|_| rng.exponential(mean)).collect();
        let total: Duration = delays.iter().sum();
        assert!((0.95..1.05).contains(&(total.as_secs_f64() / 10_000.0)), "{total:?}");
        assert!(delays.iter().all(|delay| *delay <= mean * 10));
    }
}
