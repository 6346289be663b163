//! The only file that reads clocks. Everything else takes a [`Reading`], or what became of one, as an argument.
//!
//! Deadlines use [`presence::Mono`], which never runs ahead of the timer loop by more than [`RUN_AHEAD`]: it pauses while the
//! process is stopped or starved, so that a stall expires no deadline. The system's clock is given out as it is: that times
//! don't go back is kept for each user ([`SystemWall::record_time`]), so that a clock that was ahead for a moment holds up
//! nobody who was not told of then.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use presence::replication::CLOCK_FOLLOWS_FROM_MS;
use presence::{Mono, Reading, SystemWall, Wall};

/// A timer loop whose beat is later than this was stalled.
pub(crate) const STALL: Duration = Duration::from_secs(1);
/// How far the monotonic clock may run ahead of the timer loop's last beat; more than the loop ever sleeps. What a beat is later
/// than that is lost: a deadline that was set meanwhile would be reached too early if the clock caught up.
pub(crate) const RUN_AHEAD: Duration = Duration::from_millis(500);
/// How often the clocks are read again if a thread stands still between the two.
const READ_AGAIN_MAX: usize = 3;
/// By how much the system's clock must leave the monotonic one, between two looks at both, to have been set. Corrections
/// that slew it are slower by far.
const STEP_MIN: Duration = Duration::from_secs(1);

/// The system's clock was set, or the machine slept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClockStep {
    Forward(Duration),
    Back(Duration),
}

/// Both clocks of the process.
#[derive(Debug)]
pub(crate) struct Clock {
    source: TimeSource,
    /// Milliseconds lost to late beats so far.
    lost: AtomicU64,
    /// Those of them that [`Self::take_parted`] has not told.
    parted: AtomicU64,
    /// How far the monotonic clock may run before the next beat of the timer loop.
    limit: AtomicU64,
    /// When the timer loop last beat, in real milliseconds since the start.
    beat: AtomicU64,
    /// The latest that the system's clock said in this run.
    latest: AtomicI64,
    /// The latest that it said in an earlier run, as far as is known.
    latest_before: AtomicI64,
    /// By how much the clock of records is ahead of the system's, in milliseconds.
    records_ahead: AtomicI64,
    /// Where both clocks were at the last look for a step, in milliseconds.
    looked: Mutex<(u64, i64)>,
}

/// Where the time comes from.
#[derive(Debug)]
enum TimeSource {
    /// The system's clocks; the monotonic one counts from here.
    System(Instant),
    /// A test, which moves both clocks.
    #[cfg(test)]
    Manual { real: AtomicU64, system: AtomicI64 },
}

impl Clock {
    /// Starts the monotonic clock at zero.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads clocks")]
    pub(crate) fn new() -> Self {
        Self::from_source(TimeSource::System(Instant::now()))
    }

    /// A clock that stands still until a test moves it.
    #[cfg(test)]
    pub(crate) fn manual(system: Wall) -> Self {
        Self::from_source(TimeSource::Manual {
            real: AtomicU64::new(0),
            system: AtomicI64::new(system.as_millis()),
        })
    }

    fn from_source(source: TimeSource) -> Self {
        let clock = Self {
            source,
            lost: AtomicU64::new(0),
            parted: AtomicU64::new(0),
            limit: AtomicU64::new(millis(RUN_AHEAD)),
            beat: AtomicU64::new(0),
            latest: AtomicI64::new(i64::MIN),
            latest_before: AtomicI64::new(i64::MIN),
            records_ahead: AtomicI64::new(0),
            looked: Mutex::default(),
        };
        *clock.looked.lock() = (clock.real_millis(), clock.system().as_millis());
        clock
    }

    /// Reads both clocks, at the same moment to the millisecond: again if this thread stood still in between, which would move what
    /// is told of a deadline away from it.
    pub(crate) fn read(&self) -> Reading {
        let (mut system, mut mono) = (self.system(), self.mono());
        for _ in 0..READ_AGAIN_MAX {
            let after = self.system();
            if after.as_millis().abs_diff(system.as_millis()) <= 1 {
                break;
            }
            (system, mono) = (after, self.mono());
        }
        Reading {
            mono,
            system,
            records_ahead: self.records_ahead.load(Ordering::SeqCst),
        }
    }

    /// Redis's clock says so at this reading: records follow it, if it is further from them than an answer's way explains.
    pub(crate) fn follow(&self, time: Wall, reading: Reading) {
        let ahead = time.as_millis().saturating_sub(reading.system.as_millis());
        if ahead.abs_diff(reading.records_ahead) > CLOCK_FOLLOWS_FROM_MS {
            self.records_ahead.store(ahead, Ordering::SeqCst);
        }
    }

    /// The monotonic clock.
    pub(crate) fn mono(&self) -> Mono {
        // The limit is read first: a beat stores it last, so a new limit is never met with an old offset.
        let limit = self.limit.load(Ordering::SeqCst);
        let lost = self.lost.load(Ordering::SeqCst);
        Mono::from_millis(self.real_millis().saturating_sub(lost).min(limit))
    }

    /// The system's clock as it is.
    pub(crate) fn system(&self) -> SystemWall {
        let read = self.system_millis();
        self.latest.fetch_max(read, Ordering::SeqCst);
        SystemWall::from_millis(read)
    }

    /// The time to tell now, beside times of which `beside` is the latest: it is not before them.
    pub(crate) fn record_time(&self, beside: Option<Wall>) -> Wall {
        self.read().records().record_time(beside)
    }

    /// A run before this one saw the system's clock say this.
    pub(crate) fn note_earlier_run(&self, wall: Wall) {
        self.latest_before.fetch_max(wall.as_millis(), Ordering::SeqCst);
    }

    /// The present of users that are loaded: the latest that the system's clock said in this run. Nothing was told in this
    /// run with a later time, so a stored one that is later comes from another run, whose clock or whose successor's is wrong.
    pub(crate) fn read_for_loads(&self) -> Reading {
        let read = self.read();
        let latest = SystemWall::from_millis(self.latest.load(Ordering::SeqCst));
        Reading { system: latest, ..read }
    }

    /// By how much the system's clock is behind what it said before, if it went back.
    pub(crate) fn behind(&self) -> Option<Duration> {
        let read = self.system();
        let latest = self.latest.load(Ordering::SeqCst);
        let latest = latest.max(self.latest_before.load(Ordering::SeqCst));
        Some(SystemWall::from_millis(latest).since(read)).filter(|behind| *behind >= STEP_MIN)
    }

    /// Whether the system's clock was set since the last call.
    pub(crate) fn take_step(&self) -> Option<ClockStep> {
        let (real, system) = (self.real_millis(), self.system().as_millis());
        let (real_before, system_before) = std::mem::replace(&mut *self.looked.lock(), (real, system));
        let passed = i64::try_from(real.saturating_sub(real_before)).unwrap_or(i64::MAX);
        let ahead = system.saturating_sub(system_before).saturating_sub(passed);
        let by = Duration::from_millis(ahead.unsigned_abs());
        (by >= STEP_MIN).then_some(if ahead > 0 {
            ClockStep::Forward(by)
        } else {
            ClockStep::Back(by)
        })
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
        let by = late.saturating_sub(millis(RUN_AHEAD));
        self.parted.fetch_add(by, Ordering::SeqCst);
        let lost = self.lost.fetch_add(by, Ordering::SeqCst) + by;
        self.limit
            .store(real.saturating_sub(lost) + millis(RUN_AHEAD), Ordering::SeqCst);
        (late > millis(STALL)).then(|| Duration::from_millis(by))
    }

    /// Whether the monotonic clock has lost [`STEP_MIN`] against the system's since this was last so.
    pub(crate) fn take_parted(&self) -> bool {
        let has_parted = |parted: u64| (parted >= millis(STEP_MIN)).then_some(0);
        self.parted
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, has_parted)
            .is_ok()
    }

    fn real_millis(&self) -> u64 {
        millis(self.elapsed())
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads clocks")]
    fn system_millis(&self) -> i64 {
        match &self.source {
            TimeSource::System(_) => {
                let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
            }
            #[cfg(test)]
            TimeSource::Manual { system, .. } => system.load(Ordering::SeqCst),
        }
    }
}

/// A clock that a test moves.
#[cfg(test)]
impl Clock {
    /// Time passes on both clocks, and the timer loop beats all along.
    pub(crate) fn advance(&self, by: Duration) {
        let TimeSource::Manual { real, system } = &self.source else {
            panic!("only a manual clock is moved")
        };
        let by_millis = i64::try_from(by.as_millis()).expect("a test's time");
        system.fetch_add(by_millis, Ordering::SeqCst);
        let now = real.fetch_add(millis(by), Ordering::SeqCst) + millis(by);
        self.beat.store(now, Ordering::SeqCst);
        let limit = now - self.lost.load(Ordering::SeqCst) + millis(RUN_AHEAD);
        self.limit.store(limit, Ordering::SeqCst);
    }

    /// Time passes while the process is stopped: the timer loop does not beat.
    pub(crate) fn stall(&self, by: Duration) {
        let TimeSource::Manual { real, system } = &self.source else {
            panic!("only a manual clock is moved")
        };
        system.fetch_add(i64::try_from(by.as_millis()).expect("a test's time"), Ordering::SeqCst);
        real.fetch_add(millis(by), Ordering::SeqCst);
    }

    /// What the system's clock says, for a test to compare record times with.
    pub(crate) fn wall(&self) -> Wall {
        self.record_time(None)
    }

    /// The present of a user of whom nothing was told.
    pub(crate) fn now(&self) -> presence::Now {
        self.read().for_user(None)
    }

    /// Somebody sets the system's clock.
    pub(crate) fn set_wall(&self, to: Wall) {
        let TimeSource::Manual { system, .. } = &self.source else {
            panic!("only a manual clock is moved")
        };
        system.store(to.as_millis(), Ordering::SeqCst);
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
mod tests;
