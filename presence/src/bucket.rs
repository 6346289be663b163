//! One rate limiter for everything that is limited: the generic cell rate algorithm (ITU-T I.371), sixteen bytes a key.
//! It counts exactly: nothing is rounded, so no rate is exceeded by asking in small pieces.

use std::time::Duration;

use crate::time::Mono;

/// How much is allowed: `burst` at once, refilled at `amount` per `period`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// What is refilled in one period. Not zero.
    pub amount: u64,
    /// The period of the refill.
    pub period: Duration,
    /// The most that may be taken at once.
    pub burst: u64,
}

impl Rate {
    /// How long it takes to refill that much, in parts of a microsecond of which `amount` make one.
    fn cost(self, units: u64) -> u128 {
        u128::from(units).saturating_mul(self.period.as_micros())
    }

    fn parts(self) -> u128 {
        u128::from(self.amount.max(1))
    }
}

/// What one key has used: the theoretical arrival time, when all of it will be refilled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bucket {
    /// Whole microseconds of the monotonic clock.
    full_at_micros: u64,
    /// And parts of one, of which the rate's `amount` make one.
    full_at_parts: u64,
}

impl Bucket {
    /// Takes `amount`, or says how long to wait until that much is there. An amount over the burst never fits.
    ///
    /// # Errors
    /// The time to wait; nothing was taken.
    pub fn take(&mut self, rate: Rate, now: Mono, amount: u64) -> Result<(), Duration> {
        let parts = rate.parts();
        let now = u128::from(micros(now)) * parts;
        let used_up = u128::from(self.full_at_micros) * parts + u128::from(self.full_at_parts);
        let full_at = used_up.max(now).saturating_add(rate.cost(amount));
        let allowed = now.saturating_add(rate.cost(rate.burst));
        if full_at > allowed {
            let wait_micros = (full_at - allowed).div_ceil(parts);
            return Err(Duration::from_micros(u64::try_from(wait_micros).unwrap_or(u64::MAX)));
        }
        self.full_at_micros = u64::try_from(full_at / parts).unwrap_or(u64::MAX);
        // Below the rate's amount, so it fits.
        self.full_at_parts = u64::try_from(full_at % parts).unwrap_or(0);
        Ok(())
    }

    /// Whether nothing is used up any more, so that the key may be forgotten.
    #[must_use]
    pub fn is_full(&self, now: Mono) -> bool {
        let whole = self.full_at_micros.saturating_add(u64::from(self.full_at_parts > 0));
        whole <= micros(now)
    }
}

fn micros(now: Mono) -> u64 {
    now.as_millis().saturating_mul(1000)
}
