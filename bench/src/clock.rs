//! The only file of the benchmark that reads clocks.
#![expect(clippy::disallowed_methods, reason = "the benchmark's one file that reads clocks")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Measures how long something took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// From an earlier start to this one.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// One that was started so much later.
    #[cfg(test)]
    pub(crate) fn plus(self, later: Duration) -> Self {
        Self(self.0 + later)
    }
}

/// Reads the wall clock: seconds since 1970.
pub(crate) fn unix_seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
