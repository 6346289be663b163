//! A token bucket, implemented as the generic cell rate algorithm (GCRA, ITU-T I.371). The arithmetic is exact: nothing
//! is rounded, so a key that takes many small amounts gets no more than one that takes few large ones.

use std::time::Duration;

use super::Rate;
use crate::time::Mono;

impl Rate {
    /// The time in which `units` are refilled, in parts of a microsecond; `amount` parts are one microsecond.
    fn cost(self, units: u64) -> u128 {
        u128::from(units).saturating_mul(self.period.as_micros())
    }

    fn parts_per_micro(self) -> u128 {
        u128::from(self.amount.max(1))
    }
}

/// The state of one key: GCRA's theoretical arrival time, at which the bucket is full again. The default is a full
/// bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TokenBucket {
    /// Whole microseconds of the monotonic clock.
    full_at_micros: u64,
    /// The fraction of a microsecond, in parts of which the rate's `amount` make one.
    full_at_parts: u64,
}

impl TokenBucket {
    /// Takes `amount` units. An amount over the burst never fits.
    ///
    /// # Errors
    /// The time until `amount` units are available, rounded up to a microsecond; nothing was taken.
    pub fn take(&mut self, rate: Rate, now: Mono, amount: u64) -> Result<(), Duration> {
        self.reserve(rate, now, amount, Duration::ZERO).map(|_| ())
    }

    /// Takes `amount` units in advance, if they are available within `patience`. How long the caller must wait for them.
    ///
    /// # Errors
    /// The time until `amount` units are available, rounded up to a microsecond; nothing was taken.
    pub fn reserve(&mut self, rate: Rate, now: Mono, amount: u64, patience: Duration) -> Result<Duration, Duration> {
        let parts = rate.parts_per_micro();
        let now = u128::from(micros(now)) * parts;
        let used_up = u128::from(self.full_at_micros) * parts + u128::from(self.full_at_parts);
        let full_at = used_up.max(now).saturating_add(rate.cost(amount));
        let allowed = now.saturating_add(rate.cost(rate.burst));
        let wait_micros = full_at.saturating_sub(allowed).div_ceil(parts);
        let wait = Duration::from_micros(u64::try_from(wait_micros).unwrap_or(u64::MAX));
        if wait > patience {
            return Err(wait);
        }
        self.full_at_micros = u64::try_from(full_at / parts).unwrap_or(u64::MAX);
        // The remainder is below the rate's amount, so it fits.
        self.full_at_parts = u64::try_from(full_at % parts).unwrap_or(0);
        Ok(wait)
    }

    /// Whether the bucket is full, so that the key can be dropped.
    #[must_use]
    pub fn is_full(&self, now: Mono) -> bool {
        let whole = self.full_at_micros.saturating_add(u64::from(self.full_at_parts > 0));
        whole <= micros(now)
    }
}

fn micros(now: Mono) -> u64 {
    now.as_millis().saturating_mul(1000)
}
