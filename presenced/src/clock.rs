//! The one file that reads clocks. Everything else is handed a [`Now`].
//!
//! Deadlines run on [`presence::Mono`], which cannot run ahead of the timer loop by more than [`STALL_MAX`]: while the
//! process is stopped or starved it stands still, so that a stall expires nobody. Records carry the wall clock, which
//! never goes back within a process.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use presence::{Mono, Now, Wall};

/// How far the monotonic clock may run ahead of the timer loop's last beat. A loop later than that was stalled.
pub(crate) const STALL_MAX: Duration = Duration::from_secs(1);

/// Both clocks of the process.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    /// Real milliseconds since the start at which the timer loop last beat.
    beat: AtomicU64,
    /// Milliseconds lost to stalls so far.
    stalled: AtomicU64,
    /// The latest wall clock told.
    wall: AtomicI64,
}

impl Clock {
    /// Starts the monotonic clock at zero.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads clocks")]
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            beat: AtomicU64::new(0),
            stalled: AtomicU64::new(0),
            wall: AtomicI64::new(0),
        }
    }

    /// Reads both clocks.
    pub(crate) fn now(&self) -> Now {
        Now {
            mono: self.mono(),
            wall: self.wall(),
        }
    }

    /// The monotonic clock.
    pub(crate) fn mono(&self) -> Mono {
        // The beat is read before the offset: a stall noticed in between makes the result too small, never too large.
        let beat = self.beat.load(Ordering::SeqCst);
        let real = self.real_millis().min(beat + millis(STALL_MAX));
        Mono::from_millis(real.saturating_sub(self.stalled.load(Ordering::SeqCst)))
    }

    /// The wall clock; it stands still where the system's goes back.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads clocks")]
    pub(crate) fn wall(&self) -> Wall {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let read = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
        Wall::from_millis(self.wall.fetch_max(read, Ordering::SeqCst).max(read))
    }

    /// The timer loop beats, at least every half second. Says how long it was stalled, if it was.
    pub(crate) fn beat(&self) -> Option<Duration> {
        let real = self.real_millis();
        let late = real.saturating_sub(self.beat.load(Ordering::SeqCst));
        let stall = late.saturating_sub(millis(STALL_MAX));
        if stall > 0 {
            self.stalled.fetch_add(stall, Ordering::SeqCst);
        }
        self.beat.store(real, Ordering::SeqCst);
        (stall > 0).then(|| Duration::from_millis(stall))
    }

    fn real_millis(&self) -> u64 {
        millis(self.started.elapsed())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Measures how long something took, for metrics alone: no record and no deadline may come from it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts it.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads clocks")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since then.
    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
