//! Deadlines: one timing wheel for every user and connection, and one thread that turns it. Its turns also are the clock's
//! beat, by which a stall of the process is noticed.

mod wheel;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use presence::Mono;

use self::wheel::Wheel;
use super::users::LockedEntry;
use crate::clock::Clock;
use crate::connection::Connection;
use crate::connection::user_pin::UserRef;

/// The longest the loop sleeps; well below the second after which it counts as stalled.
const SLEEP_MAX: Duration = Duration::from_millis(200);
/// An entry of the wheel stays until it is due, even if its user has left memory: reports may hold for a day, and many end
/// long before that. A deadline further away than this gets an intermediate entry.
const ARM_AHEAD_MAX: Duration = Duration::from_secs(600);

/// Whose deadline it is.
pub(super) enum DeadlineOf {
    /// A user's grace period, idleness or report, or a change that the limit holds back.
    User(UserRef),
    /// A connection's ping or timeout.
    Connection(Weak<Connection>),
}

/// The earliest deadline that the wheel is armed for on behalf of a user; its other entries for the user are stale.
#[derive(Debug)]
pub(super) struct ArmedUser(Mono);

impl ArmedUser {
    /// For none. A sentinel instead of an `Option` keeps an entry small.
    const NONE: Mono = Mono::from_millis(u64::MAX);
}

impl Default for ArmedUser {
    fn default() -> Self {
        Self(Self::NONE)
    }
}

/// The wheel, shared by those who arm it and the thread that turns it.
pub(super) struct Deadlines {
    turning: Mutex<Turning>,
    /// An earlier deadline than the one the thread sleeps for was added.
    earlier: Condvar,
    is_stopped: AtomicBool,
}

struct Turning {
    wheel: Wheel<DeadlineOf>,
    /// Until when the thread sleeps.
    sleeps_until: Mono,
}

impl Deadlines {
    pub(super) fn new(now: Mono) -> Arc<Self> {
        Arc::new(Self {
            turning: Mutex::new(Turning {
                wheel: Wheel::new(now),
                sleeps_until: now,
            }),
            earlier: Condvar::new(),
            is_stopped: AtomicBool::new(false),
        })
    }

    /// Arms the wheel for the next deadline of a user. A later one than it is armed for needs no entry: the earlier one
    /// changes nothing and arms the wheel again.
    pub(super) fn arm_user(&self, entry: &mut LockedEntry<'_>, deadline: Option<Mono>, now: Mono) {
        let deadlines = [deadline, entry.publication.held_until()];
        let Some(next) = deadlines.into_iter().flatten().min() else {
            return;
        };
        let next = next.min(now.after(ARM_AHEAD_MAX));
        if next < entry.armed.0 {
            entry.armed.0 = next;
            self.insert(next, DeadlineOf::User(entry.at()));
        }
    }

    /// Whether the wheel is armed for this deadline of the user; if so, it is not any more.
    pub(super) fn take_user(&self, entry: &mut LockedEntry<'_>, at: Mono) -> bool {
        let is_current = entry.armed.0 == at;
        if is_current {
            entry.armed.0 = ArmedUser::NONE;
        }
        is_current
    }

    /// Arms the wheel for a connection.
    pub(super) fn arm_connection(&self, conn: &Arc<Connection>, at: Mono) {
        self.insert(at, DeadlineOf::Connection(Arc::downgrade(conn)));
    }

    /// Takes the deadlines that are due.
    pub(super) fn take_due(&self, now: Mono) -> Vec<(Mono, DeadlineOf)> {
        self.turning.lock().wheel.take_due(now)
    }

    /// Every connection that the wheel is armed for, some of them twice.
    pub(super) fn connections(&self) -> Vec<Arc<Connection>> {
        let turning = self.turning.lock();
        let of_connection = |(_, whose): &(Mono, DeadlineOf)| match whose {
            DeadlineOf::User(_) => None,
            DeadlineOf::Connection(conn) => conn.upgrade(),
        };
        turning.wheel.iter().filter_map(of_connection).collect()
    }

    /// How many deadlines were looked at so far.
    #[cfg(test)]
    pub(super) fn visits(&self) -> u64 {
        self.turning.lock().wheel.visits.count()
    }

    /// The deadline furthest away.
    #[cfg(test)]
    pub(super) fn latest(&self) -> Option<Mono> {
        self.turning.lock().wheel.latest()
    }

    /// Ends the thread.
    pub(super) fn stop(&self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        self.earlier.notify_one();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }

    /// Sleeps until the next deadline, or for [`SLEEP_MAX`].
    pub(super) fn sleep(&self, clock: &Clock) {
        let now = clock.mono();
        let mut turning = self.turning.lock();
        let longest = now.after(SLEEP_MAX);
        let until = turning.wheel.next_due().map_or(longest, |due| due.min(longest));
        turning.sleeps_until = until;
        if until > now && !self.is_stopped() {
            self.earlier.wait_for(&mut turning, until.since(now));
        }
    }

    fn insert(&self, at: Mono, whose: DeadlineOf) {
        let mut turning = self.turning.lock();
        turning.wheel.insert(at, whose);
        if at < turning.sleeps_until {
            turning.sleeps_until = at;
            self.earlier.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use presence::Wall;

    use super::*;
    use crate::clock::Stopwatch;

    /// A thread that sleeps once. How long it slept comes back.
    fn sleep(deadlines: &Arc<Deadlines>, clock: &Arc<Clock>) -> mpsc::Receiver<Duration> {
        let (deadlines, clock) = (Arc::clone(deadlines), Arc::clone(clock));
        let (end, ended) = mpsc::channel();
        std::thread::spawn(move || {
            let sleeping = Stopwatch::start();
            deadlines.sleep(&clock);
            end.send(sleeping.elapsed())
        });
        ended
    }

    #[test]
    fn an_earlier_deadline_wakes_the_thread() {
        let clock = Arc::new(Clock::manual(Wall::from_millis(0)));
        // A busy machine may let the thread oversleep now and then.
        let is_woken = |_| {
            let deadlines = Deadlines::new(clock.mono());
            let sleeping = sleep(&deadlines, &clock);
            let is_asleep = || deadlines.turning.lock().sleeps_until > clock.mono();
            while !is_asleep() {
                std::thread::yield_now();
            }
            deadlines.insert(clock.mono().after(SLEEP_MAX / 2), DeadlineOf::User(UserRef::new(0, 0)));
            sleeping.recv().is_ok_and(|slept| slept < SLEEP_MAX / 4)
        };
        assert!((0..100).any(is_woken));
    }

    /// Each connection has one at least, and a user who may become idle another.
    #[test]
    fn a_deadline_in_the_wheel_is_small() {
        assert!(size_of::<(Mono, DeadlineOf)>() <= 24);
    }

    #[test]
    fn a_distant_deadline_does_not_delay_the_beat() {
        let clock = Arc::new(Clock::manual(Wall::from_millis(0)));
        let deadlines = Deadlines::new(clock.mono());
        let distant = clock.mono().after(Duration::from_secs(60));
        deadlines.insert(distant, DeadlineOf::User(UserRef::new(0, 0)));
        let slept = sleep(&deadlines, &clock).recv_timeout(Duration::from_secs(20));
        assert!(slept.is_ok());
    }
}
