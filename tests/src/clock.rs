//! The only file of the tests that reads a clock. Waiting is in `wait`.
#![expect(clippy::disallowed_methods, reason = "the tests' one file that reads clocks")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use presence::Wall;

/// Reads the wall clock, which the daemon under test shares.
pub fn wall_now() -> Wall {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Wall::from_millis(i64::try_from(since_epoch.as_millis()).unwrap())
}

/// Measures how long something took.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
