//! Whether the process runs: one that was stopped must not show as current what it knew before, in the moment before it notices.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{STALL, Stopwatch};

/// The beats of the timer loop.
pub(super) struct Beats {
    since_start: Stopwatch,
    /// When the last one was, in milliseconds since the start; the largest number before the first one.
    last: AtomicU64,
}

impl Default for Beats {
    fn default() -> Self {
        Self {
            since_start: Stopwatch::start(),
            last: AtomicU64::new(u64::MAX),
        }
    }
}

impl Beats {
    /// The loop runs, and a stall before this was noted.
    pub(super) fn note(&self) {
        self.last.store(millis(self.since_start.elapsed()), Ordering::SeqCst);
    }

    /// Whether there was none for so long that the process was stopped.
    pub(super) fn are_missing(&self) -> bool {
        let now = millis(self.since_start.elapsed());
        now.saturating_sub(self.last.load(Ordering::SeqCst)) > millis(STALL)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
