//! The only place of the tests that reads a clock. Nothing waits here.
#![expect(clippy::disallowed_methods, reason = "the tests' one file that reads clocks")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use presence::Wall;

/// The wall clock that the daemon, on this machine, reads too.
pub fn wall_now() -> Wall {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Wall::from_millis(i64::try_from(since_epoch.as_millis()).unwrap())
}

/// Measures how long something took.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts to measure.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
