//! Stalls of the process since its start: how many there were, and how long they took. What follows from one for deadlines
//! is decided in `clock`.

use std::time::Duration;

use parking_lot::Mutex;
use presence::Wall;
use presence::wire::rest::StallStats;

/// Keeps count of the stalls.
#[derive(Debug, Default)]
pub(super) struct Stalls(Mutex<StallStats>);

impl Stalls {
    /// The process did not run for so long, until now.
    pub(super) fn record(&self, length: Duration, now: Wall) {
        let mut stats = self.0.lock();
        stats.count += 1;
        stats.last_at = Some(now);
        stats.last_seconds = length.as_secs_f64();
        stats.longest_seconds = stats.longest_seconds.max(stats.last_seconds);
    }

    pub(super) fn stats(&self) -> StallStats {
        *self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_and_the_longest_stall_are_kept() {
        let stalls = Stalls::default();
        assert_eq!(stalls.stats(), StallStats::default());
        stalls.record(Duration::from_millis(1600), Wall::from_millis(1));
        stalls.record(Duration::from_millis(1200), Wall::from_millis(9));
        assert_eq!(
            stalls.stats(),
            StallStats {
                count: 2,
                last_at: Some(Wall::from_millis(9)),
                last_seconds: 1.2,
                longest_seconds: 1.6,
            }
        );
    }
}
