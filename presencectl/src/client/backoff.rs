//! Reconnect backoff: exponential with jitter, up to a bound.

use std::time::Duration;

use crate::rng::Rng;

const DELAY_FIRST: Duration = Duration::from_millis(250);
/// Short enough that a stream is back soon after a long restart.
const DELAY_MAX: Duration = Duration::from_secs(10);
/// Bound for a delay that the server requested.
const REQUESTED_MAX: Duration = Duration::from_secs(300);

/// The state of one series of attempts.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    attempts: u32,
    max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::bounded_by(DELAY_MAX)
    }
}

impl Backoff {
    /// Bounds the delays by `max`.
    pub(crate) const fn bounded_by(max: Duration) -> Self {
        Self { attempts: 0, max }
    }

    /// The next delay: between half and the whole of a delay that doubles with each attempt. `requested` comes from the
    /// server, already with jitter.
    pub(crate) fn next(&mut self, requested: Option<Duration>, rng: &mut Rng) -> Duration {
        let delay = DELAY_FIRST.saturating_mul(1 << self.attempts.min(16)).min(self.max);
        self.attempts += 1;
        match requested {
            Some(requested) => requested.min(REQUESTED_MAX),
            None => delay.mul_f64(0.5 + rng.next_f64() / 2.0),
        }
    }

    /// Starts over after a success.
    pub(crate) const fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_bound_and_have_jitter() {
        let mut rng = Rng::from_seed(3);
        let mut backoff = Backoff::default();
        for whole in [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000].map(Duration::from_millis) {
            let delay = backoff.next(None, &mut rng);
            assert!(delay >= whole / 2 && delay <= whole, "{delay:?} of {whole:?}");
        }
        let mut other = Backoff::default();
        backoff.reset();
        assert_ne!(backoff.next(None, &mut rng), other.next(None, &mut rng));
    }

    #[test]
    fn many_attempts_do_not_overflow_and_a_requested_delay_is_used() {
        let mut backoff = Backoff::default();
        let mut rng = Rng::from_seed(3);
        for _ in 0..100 {
            assert!(backoff.next(None, &mut rng) <= DELAY_MAX);
        }
        let requested = Duration::from_millis(1234);
        assert_eq!(backoff.next(Some(requested), &mut rng), requested);
        assert_eq!(
            backoff.next(Some(Duration::from_secs(1 << 40)), &mut rng),
            REQUESTED_MAX
        );
    }
}
