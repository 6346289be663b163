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
/// How far the monotonic clock may run ahead of the timer loop's last beat; more than the loop ever sleeps.
pub(crate) const RUN_AHEAD: Duration = Duration::from_millis(300);
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
    /// Milliseconds lost to stalls so far.
    stalled: AtomicU64,
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
            stalled: AtomicU64::new(0),
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

    /// Reads both clocks.
    pub(crate) fn read(&self) -> Reading {
        Reading {
            mono: self.mono(),
            system: self.system(),
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
        let stalled = self.stalled.load(Ordering::SeqCst);
        Mono::from_millis(self.real_millis().saturating_sub(stalled).min(limit))
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
        let limit = now - self.stalled.load(Ordering::SeqCst) + millis(RUN_AHEAD);
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

    const BEGIN: Wall = Wall::from_millis(1_800_000_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn the_systems_clock_is_read_as_it_is() {
        let clock = Clock::manual(BEGIN);
        for wall in [BEGIN.after(HOUR), BEGIN, Wall::from_millis(-5), Wall::from_millis(0)] {
            clock.set_wall(wall);
            let read = SystemWall::from_millis(wall.as_millis());
            assert_eq!((clock.system(), clock.read().system), (read, read));
        }
    }

    #[test]
    fn a_step_of_the_systems_clock_moves_no_monotonic_time() {
        let clock = Clock::manual(BEGIN);
        for wall in [BEGIN.after(24 * HOUR), BEGIN, Wall::from_millis(0)] {
            clock.set_wall(wall);
            assert_eq!(clock.mono(), Mono::from_millis(0));
        }
        clock.advance(HOUR);
        assert_eq!(clock.mono(), Mono::from_millis(0).after(HOUR));
    }

    #[test]
    fn a_step_of_the_systems_clock_is_noticed_once() {
        let clock = Clock::manual(BEGIN);
        clock.advance(HOUR);
        assert_eq!(clock.take_step(), None, "time has passed on both");
        clock.set_wall(BEGIN.after(2 * HOUR));
        assert_eq!(clock.take_step(), Some(ClockStep::Forward(HOUR)));
        assert_eq!(clock.take_step(), None);
        clock.set_wall(BEGIN);
        clock.advance(Duration::from_millis(200));
        assert_eq!(clock.take_step(), Some(ClockStep::Back(2 * HOUR)));
        assert_eq!(clock.take_step(), None);
        clock.set_wall(BEGIN.after(Duration::from_millis(1_199)));
        assert_eq!(clock.take_step(), None, "too little to tell from a correction");
    }

    #[test]
    fn a_clock_that_stands_still_goes_back_step_by_step() {
        let clock = Clock::manual(BEGIN);
        clock.advance(HOUR);
        clock.set_wall(BEGIN);
        assert_eq!(clock.take_step(), Some(ClockStep::Back(HOUR)));
    }

    #[test]
    fn a_clock_that_went_back_is_behind_until_it_has_caught_up() {
        let clock = Clock::manual(BEGIN);
        assert_eq!(clock.behind(), None);
        clock.set_wall(BEGIN.after(HOUR));
        assert_eq!(clock.behind(), None);
        clock.set_wall(BEGIN);
        assert_eq!(clock.behind(), Some(HOUR));
        clock.advance(HOUR);
        assert_eq!(clock.behind(), None);
    }

    #[test]
    fn a_clock_behind_that_of_the_last_run_is_behind() {
        let clock = Clock::manual(BEGIN);
        clock.note_earlier_run(BEGIN);
        assert_eq!(clock.behind(), None);
        clock.note_earlier_run(BEGIN.after(HOUR));
        assert_eq!(clock.behind(), Some(HOUR));
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
