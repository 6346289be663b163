//! How long to wait before trying again: longer each time, never the same for all, up to a bound.

use std::time::Duration;

use crate::rng::Rng;

/// The first wait.
const FIRST: Duration = Duration::from_millis(250);
/// The longest wait: short enough that a stream is back soon after a long restart.
const LONGEST: Duration = Duration::from_secs(10);
/// The server's own request to stay away is honoured up to here.
const ASKED_LONGEST: Duration = Duration::from_secs(300);

/// The state of one series of attempts.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    attempts: u32,
    longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::up_to(LONGEST)
    }
}

impl Backoff {
    /// Waits of at most so long.
    pub(crate) const fn up_to(longest: Duration) -> Self {
        Self { attempts: 0, longest }
    }

    /// The next wait: between half and the whole of a delay that doubles. `asked` is the server's own request, which
    /// is jittered already.
    pub(crate) fn next(&mut self, asked: Option<Duration>, rng: &mut Rng) -> Duration {
        let delay = FIRST.saturating_mul(1 << self.attempts.min(16)).min(self.longest);
        self.attempts += 1;
        match asked {
            Some(asked) => asked.min(ASKED_LONGEST),
            None => delay.mul_f64(0.5 + rng.next_f64() / 2.0),
        }
    }

    /// It worked: the next series begins anew.
    pub(crate) const fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_are_never_all_the_same() {
        let mut rng = Rng::from_seed(3);
        let mut backoff = Backoff::default();
        for whole in [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000].map(Duration::from_millis) {
            let wait = backoff.next(None, &mut rng);
            assert!(wait >= whole / 2 && wait <= whole, "{wait:?} of {whole:?}");
        }
        let mut other = Backoff::default();
        backoff.reset();
        assert_ne!(backoff.next(None, &mut rng), other.next(None, &mut rng));
    }

    #[test]
    fn a_hundred_attempts_do_not_overflow_and_the_server_may_ask_for_its_own_delay() {
        let mut backoff = Backoff::default();
        let mut rng = Rng::from_seed(3);
        for _ in 0..100 {
            assert!(backoff.next(None, &mut rng) <= LONGEST);
        }
        let asked = Duration::from_millis(1234);
        assert_eq!(backoff.next(Some(asked), &mut rng), asked);
        assert_eq!(
            backoff.next(Some(Duration::from_secs(1 << 40)), &mut rng),
            ASKED_LONGEST
        );
    }
}
