//! The only file that reads clocks. Everything else takes a [`Now`] as an argument.
//!
//! Deadlines use [`presence::Mono`], which never runs ahead of the timer loop by more than [`RUN_AHEAD`]: it pauses while the
//! process is stopped or starved, so that a stall expires no deadline. Records carry the wall clock, which never goes back
//! within a process.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use presence::{Mono, Now, Wall};

/// A timer loop whose beat is later than this was stalled.
pub(crate) const STALL: Duration = Duration::from_secs(1);
/// How far the monotonic clock may run ahead of the timer loop's last beat; more than the loop ever sleeps.
pub(crate) const RUN_AHEAD: Duration = Duration::from_millis(300);

/// Both clocks of the process.
#[derive(Debug)]
pub(crate) struct Clock {
    source: TimeSource,
    /// Milliseconds lost to stalls so far.
    stalled: AtomicU64,
    /// How far the monotonic clock may run before the next beat of the timer loop.
    limit: AtomicU64,
    /// When the timer loop last beat, in real milliseconds since the start.
    beat: AtomicU64,
    /// The latest wall clock time returned.
    wall: AtomicI64,
}

/// Where the time comes from.
#[derive(Debug)]
enum TimeSource {
    /// The system's clocks; the monotonic one counts from here.
    System(Instant),
    /// A test, which moves both clocks.
    #[cfg(test)]
    Manual { real: AtomicU64, wall: AtomicI64 },
}

impl Clock {
    /// Starts the monotonic clock at zero.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads clocks")]
    pub(crate) fn new() -> Self {
        Self::from_source(TimeSource::System(Instant::now()))
    }

    /// A clock that stands still until a test moves it.
    #[cfg(test)]
    pub(crate) fn manual(wall: Wall) -> Self {
        Self::from_source(TimeSource::Manual {
            real: AtomicU64::new(0),
            wall: AtomicI64::new(wall.as_millis()),
        })
    }

    fn from_source(source: TimeSource) -> Self {
        Self {
            source,
            stalled: AtomicU64::new(0),
            limit: AtomicU64::new(millis(RUN_AHEAD)),
            beat: AtomicU64::new(0),
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
        // The limit is read first: a beat stores it last, so a new limit is never met with an old offset.
        let limit = self.limit.load(Ordering::SeqCst);
        let stalled = self.stalled.load(Ordering::SeqCst);
        Mono::from_millis(self.real_millis().saturating_sub(stalled).min(limit))
    }

    /// The wall clock; it pauses while the system's clock is behind a time returned before.
    pub(crate) fn wall(&self) -> Wall {
        let read = self.system_wall_millis();
        Wall::from_millis(self.wall.fetch_max(read, Ordering::SeqCst).max(read))
    }

    /// Real time since the start, for measurements; deadlines don't use it.
    pub(crate) fn elapsed(&self) -> Duration {
        match &self.source {
            TimeSource::System(started) => started.elapsed(),
            #[cfg(test)]
            TimeSource::Manual { real, .. } => Duration::from_millis(real.load(Ordering::SeqCst)),
        }
    }

    /// The beat of the timer loop. Returns how long the loop was stalled, if it was.
    pub(crate) fn beat(&self) -> Option<Duration> {
        self.beat_at(self.real_millis())
    }

    /// How long ago the timer loop last beat, in real time.
    pub(crate) fn since_beat(&self) -> Duration {
        Duration::from_millis(self.real_millis().saturating_sub(self.beat.load(Ordering::SeqCst)))
    }

    fn beat_at(&self, real: u64) -> Option<Duration> {
        let late = real.saturating_sub(self.beat.swap(real, Ordering::SeqCst));
        let stall = if late > millis(STALL) {
            late - millis(RUN_AHEAD)
        } else {
            0
        };
        let stalled = self.stalled.fetch_add(stall, Ordering::SeqCst) + stall;
        self.limit
            .store(real.saturating_sub(stalled) + millis(RUN_AHEAD), Ordering::SeqCst);
        (stall > 0).then(|| Duration::from_millis(stall))
    }

    fn real_millis(&self) -> u64 {
        millis(self.elapsed())
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads clocks")]
    fn system_wall_millis(&self) -> i64 {
        match &self.source {
            TimeSource::System(_) => {
                let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
            }
            #[cfg(test)]
            TimeSource::Manual { wall, .. } => wall.load(Ordering::SeqCst),
        }
    }
}

/// A clock that a test moves.
#[cfg(test)]
impl Clock {
    /// Time passes on both clocks, and the timer loop beats all along.
    pub(crate) fn advance(&self, by: Duration) {
        let TimeSource::Manual { real, wall } = &self.source else {
            panic!("only a manual clock is moved")
        };
        let by_millis = i64::try_from(by.as_millis()).expect("a test's time");
        wall.fetch_add(by_millis, Ordering::SeqCst);
        let now = real.fetch_add(millis(by), Ordering::SeqCst) + millis(by);
        self.beat.store(now, Ordering::SeqCst);
        let limit = now - self.stalled.load(Ordering::SeqCst) + millis(RUN_AHEAD);
        self.limit.store(limit, Ordering::SeqCst);
    }

    /// Time passes while the process is stopped: the timer loop does not beat.
    pub(crate) fn stall(&self, by: Duration) {
        let TimeSource::Manual { real, wall } = &self.source else {
            panic!("only a manual clock is moved")
        };
        wall.fetch_add(i64::try_from(by.as_millis()).expect("a test's time"), Ordering::SeqCst);
        real.fetch_add(millis(by), Ordering::SeqCst);
    }

    /// Somebody sets the wall clock.
    pub(crate) fn set_wall(&self, to: Wall) {
        let TimeSource::Manual { wall, .. } = &self.source else {
            panic!("only a manual clock is moved")
        };
        wall.store(to.as_millis(), Ordering::SeqCst);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Measures how long something took, for metrics only: records and deadlines must not use it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads clocks")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_moves_no_deadline_closer() {
        let clock = Clock::new();
        assert_eq!(clock.beat_at(200), None);
        assert_eq!(clock.beat_at(400), None);
        // The process was stopped for a minute.
        let stall = clock.beat_at(60_400);
        assert_eq!(stall, Some(Duration::from_millis(60_000) - RUN_AHEAD));
        assert_eq!(clock.limit.load(Ordering::SeqCst), 400 + 2 * millis(RUN_AHEAD));
    }

    #[test]
    fn a_late_beat_within_the_stall_limit_lets_time_catch_up() {
        let clock = Clock::new();
        assert_eq!(clock.beat_at(900), None);
        assert_eq!(clock.limit.load(Ordering::SeqCst), 900 + millis(RUN_AHEAD));
    }

    #[test]
    fn the_wall_clock_pauses_when_the_systems_goes_back() {
        let clock = Clock::new();
        let ahead = clock.wall().after(Duration::from_secs(3600));
        // Returned before the system's clock was set back by an hour.
        clock.wall.store(ahead.as_millis(), Ordering::SeqCst);
        assert_eq!(clock.wall(), ahead);
        assert_eq!(clock.now().wall, ahead);
    }

    #[test]
    fn without_a_beat_the_monotonic_clock_pauses() {
        let clock = Clock {
            limit: AtomicU64::new(0),
            ..Clock::new()
        };
        assert_eq!(clock.mono(), Mono::from_millis(0));
    }
}
