//! A sliding window log: at most `amount` events in any period, exactly. For limits of few events per long period,
//! where [`crate::TokenBucket`] would let up to `burst + amount` through within the first period.

use std::collections::VecDeque;
use std::time::Duration;

use super::Rate;
use crate::time::Mono;

/// The state of one key: the times of its latest events, at most a rate's `amount` of them. Of most keys one event is held at
/// a time, which needs no memory beside this.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SlidingWindow {
    /// The earliest of them.
    first: Option<Mono>,
    /// The others, if there are any.
    later: Option<Box<Later>>,
}

/// Events of one key after its first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Later(VecDeque<Mono>);

impl SlidingWindow {
    /// Whether another event fits now.
    ///
    /// # Errors
    /// The time until one does.
    pub fn check(&self, rate: Rate, now: Mono) -> Result<(), Duration> {
        let mut held = self.taken().filter(|at| now.since(*at) < rate.period);
        let oldest = held.next();
        match oldest {
            Some(oldest) if 1 + held.count() as u64 >= rate.amount => Err(rate.period - now.since(oldest)),
            _ => Ok(()),
        }
    }

    /// Takes one event, unless `amount` were taken within the last `period`. The rate's burst is ignored.
    ///
    /// # Errors
    /// The time until the oldest event leaves the window; nothing was taken.
    pub fn take(&mut self, rate: Rate, now: Mono) -> Result<(), Duration> {
        while self.first.is_some_and(|at| now.since(at) >= rate.period) {
            self.drop_first();
        }
        let Some(first) = self.first else {
            self.first = Some(now);
            return Ok(());
        };
        let later = self.later.as_ref().map_or(0, |later| later.0.len());
        if 1 + later as u64 >= rate.amount {
            return Err(rate.period - now.since(first));
        }
        self.later.get_or_insert_default().0.push_back(now);
        Ok(())
    }

    /// Whether the window holds no event any more, so that the key can be dropped.
    #[must_use]
    pub fn is_over(&self, rate: Rate, now: Mono) -> bool {
        let latest = self.later.as_ref().and_then(|later| later.0.back().copied());
        latest.or(self.first).is_none_or(|at| now.since(at) >= rate.period)
    }

    /// The events, the earliest first.
    fn taken(&self) -> impl Iterator<Item = Mono> {
        self.first
            .into_iter()
            .chain(self.later.iter().flat_map(|later| later.0.iter().copied()))
    }

    fn drop_first(&mut self) {
        self.first = self.later.as_mut().and_then(|later| later.0.pop_front());
        if self.later.as_ref().is_some_and(|later| later.0.is_empty()) {
            self.later = None;
        }
    }
}
