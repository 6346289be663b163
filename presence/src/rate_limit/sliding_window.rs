//! A sliding window log: at most `amount` events in any period, exactly. For limits of few events per long period,
//! where [`crate::TokenBucket`] would let up to `burst + amount` through within the first period.

use std::collections::VecDeque;
use std::time::Duration;

use super::Rate;
use crate::time::Mono;

/// The state of one key: the times of its latest events, at most a rate's `amount` of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SlidingWindow {
    taken: VecDeque<Mono>,
}

impl SlidingWindow {
    /// Whether another event fits now.
    ///
    /// # Errors
    /// The time until one does.
    pub fn check(&self, rate: Rate, now: Mono) -> Result<(), Duration> {
        let mut held = self.taken.iter().filter(|at| now.since(**at) < rate.period);
        let oldest = held.next();
        match oldest {
            Some(oldest) if 1 + held.count() as u64 >= rate.amount => Err(rate.period - now.since(*oldest)),
            _ => Ok(()),
        }
    }

    /// Takes one event, unless `amount` were taken within the last `period`. The rate's burst is ignored.
    ///
    /// # Errors
    /// The time until the oldest event leaves the window; nothing was taken.
    pub fn take(&mut self, rate: Rate, now: Mono) -> Result<(), Duration> {
        while self.taken.front().is_some_and(|at| now.since(*at) >= rate.period) {
            self.taken.pop_front();
        }
        match self.taken.front() {
            Some(oldest) if self.taken.len() as u64 >= rate.amount => Err(rate.period - now.since(*oldest)),
            _ => {
                // Of most keys one event is held at a time, and a queue that grows by itself begins with room for four.
                if self.taken.is_empty() {
                    self.taken.reserve_exact(1);
                }
                self.taken.push_back(now);
                Ok(())
            }
        }
    }

    /// Whether the window holds no event any more, so that the key can be dropped.
    #[must_use]
    pub fn is_over(&self, rate: Rate, now: Mono) -> bool {
        self.taken.back().is_none_or(|at| now.since(*at) >= rate.period)
    }
}
