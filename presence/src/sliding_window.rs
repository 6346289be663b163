//! A limit that holds in every stretch of time, exactly: the moments of what was taken are kept until they are too old to
//! count. For limits of few per long period, where [`crate::Bucket`] would let twice as many through at first.

use std::collections::VecDeque;

use crate::bucket::Rate;
use crate::time::Mono;

/// What one key has taken of late: at most a rate's `amount` of moments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SlidingWindow {
    taken: VecDeque<Mono>,
}

impl SlidingWindow {
    /// Takes one, unless `amount` were taken within the last `period`; the rate's burst is not looked at.
    ///
    /// # Errors
    /// The time to wait; nothing was taken.
    pub fn take(&mut self, rate: Rate, now: Mono) -> Result<(), std::time::Duration> {
        while self.taken.front().is_some_and(|at| now.since(*at) >= rate.period) {
            self.taken.pop_front();
        }
        match self.taken.front() {
            Some(oldest) if self.taken.len() as u64 >= rate.amount => Err(rate.period - now.since(*oldest)),
            _ => {
                self.taken.push_back(now);
                Ok(())
            }
        }
    }

    /// Whether nothing counts any more, so that the key may be forgotten.
    #[must_use]
    pub fn is_over(&self, rate: Rate, now: Mono) -> bool {
        self.taken.back().is_none_or(|at| now.since(*at) >= rate.period)
    }
}
