//! One rate limiter for everything that is limited: the generic cell rate algorithm (ITU-T I.371), eight bytes a key.

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

/// What one key has used: the theoretical arrival time, in microseconds of the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bucket {
    full_at_micros: u64,
}

impl Bucket {
    /// Takes `amount`, or says how long to wait until that much is there. An amount over the burst never fits.
    ///
    /// # Errors
    /// The time to wait; nothing was taken.
    pub fn take(&mut self, rate: Rate, now: Mono, amount: u64) -> Result<(), Duration> {
        let now = now.as_millis().saturating_mul(1000);
        let period = u64::try_from(rate.period.as_micros()).unwrap_or(u64::MAX);
        let cost = |units: u64| {
            let micros = u128::from(units) * u128::from(period) / u128::from(rate.amount.max(1));
            u64::try_from(micros).unwrap_or(u64::MAX)
        };
        let full_at = self.full_at_micros.max(now).saturating_add(cost(amount));
        let allowed = now.saturating_add(cost(rate.burst));
        if full_at > allowed {
            return Err(Duration::from_micros(full_at - allowed));
        }
        self.full_at_micros = full_at;
        Ok(())
    }

    /// Whether nothing is used up any more, so that the key may be forgotten.
    #[must_use]
    pub fn is_full(&self, now: Mono) -> bool {
        self.full_at_micros <= now.as_millis().saturating_mul(1000)
    }
}
