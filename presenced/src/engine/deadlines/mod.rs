//! The timer loop: one thread, one wheel. It also beats the clock, by which a stall of the process is noticed.

mod wheel;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use presence::Mono;

use super::Engine;
use crate::clock::Clock;
use crate::connection::Connection;
use crate::connection::outbox::UserRef;
use crate::engine::deadlines::wheel::Wheel;

/// The longest the loop sleeps; well below the second after which it counts as stalled.
const SLEEP_MAX: Duration = Duration::from_millis(200);

/// Whose deadline it is.
pub(crate) enum Target {
    /// A user's grace, idleness or report.
    User(UserRef),
    /// A connection's ping or timeout.
    Connection(Weak<Connection>),
}

/// The wheel, shared by those who arm it and the loop that turns it.
pub(crate) struct Deadlines {
    state: Mutex<State>,
    earlier: Condvar,
    is_stopped: AtomicBool,
}

struct State {
    wheel: Wheel<Target>,
    /// Until when the loop sleeps.
    sleeps_until: Mono,
}

impl Deadlines {
    pub(crate) fn new(now: Mono) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                wheel: Wheel::new(now),
                sleeps_until: now,
            }),
            earlier: Condvar::new(),
            is_stopped: AtomicBool::new(false),
        })
    }

    /// Adds a deadline.
    pub(crate) fn arm(&self, at: Mono, target: Target) {
        let mut state = self.state.lock();
        state.wheel.insert(at, target);
        if at < state.sleeps_until {
            state.sleeps_until = at;
            self.earlier.notify_one();
        }
    }

    /// The deadline furthest away.
    #[cfg(test)]
    pub(super) fn latest(&self) -> Option<Mono> {
        self.state.lock().wheel.latest()
    }

    /// Ends the loop.
    pub(crate) fn stop(&self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        self.earlier.notify_one();
    }

    /// Turns the wheel until it is stopped.
    pub(crate) fn run(&self, engine: &Arc<Engine>, clock: &Clock) {
        // Deadlines stood still while the daemon started, so that a restart grace counts from when it accepts.
        let _ = clock.beat();
        while !self.is_stopped.load(Ordering::SeqCst) {
            if let Some(stall) = clock.beat() {
                engine.metrics.stalls.inc();
                tracing::warn!(
                    stall_ms = stall.as_millis(),
                    "the process was stalled; every deadline moves by that much"
                );
            }
            engine.rates.sample(clock.mono());
            let due = self.state.lock().wheel.take_due(clock.mono());
            for (at, target) in due {
                match target {
                    Target::User(user) => engine.on_user_deadline(user, at),
                    Target::Connection(conn) => {
                        if let Some(conn) = conn.upgrade() {
                            engine.on_conn_deadline(&conn, at);
                        }
                    }
                }
            }
            self.sleep(clock);
        }
    }

    fn sleep(&self, clock: &Clock) {
        let now = clock.mono();
        let mut state = self.state.lock();
        let longest = now.after(SLEEP_MAX);
        let until = state.wheel.next_due().map_or(longest, |due| due.min(longest));
        state.sleeps_until = until;
        if until > now && !self.is_stopped.load(Ordering::SeqCst) {
            self.earlier.wait_for(&mut state, until.since(now));
        }
    }
}
