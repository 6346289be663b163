//! What a service manager is told over `NOTIFY_SOCKET`, as `sd_notify(3)` describes it: that the daemon accepts, reloads or stops, and
//! that it is alive. Without a service manager nothing is sent.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;

use crate::clock::Clock;
use crate::vital::{self, VitalTask};

/// So many times within the limit of the watchdog it is told that the daemon is alive: one that comes late does no harm.
const KEEPALIVES: u32 = 3;

/// The listeners accept.
pub(crate) fn accepting(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A reload has begun; [`accepting`] says that it is over.
pub(crate) fn reloading() {
    // Newer versions of systemd need both in one message.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "the monotonic clock can't be read"),
    }
}

pub(crate) fn stopping() {
    notify(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// Tells the watchdog that the daemon is alive, if there is one: while tasks run and the timer loop beats.
pub(crate) fn watch(clock: &Arc<Clock>) -> Option<VitalTask> {
    let limit = sd_notify::watchdog_enabled()?;
    let clock = Arc::clone(clock);
    let every = (limit / KEEPALIVES).max(Duration::from_millis(1));
    Some(vital::start_task(async move {
        let mut ticks = tokio::time::interval(every);
        loop {
            ticks.tick().await;
            if is_alive(&clock, limit) {
                notify(&[NotifyState::Watchdog]);
            }
        }
    }))
}

/// A timer loop that stands still for as long as the watchdog waits at most has ended nobody's grace period meanwhile.
fn is_alive(clock: &Clock, limit: Duration) -> bool {
    clock.since_beat() < limit
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager can't be told of the daemon's state");
    }
}

#[cfg(test)]
mod tests {
    use presence::Wall;

    use super::*;

    #[test]
    fn a_timer_loop_that_stands_still_is_not_alive() {
        let clock = Clock::manual(Wall::from_millis(0));
        let limit = Duration::from_secs(10);
        clock.stall(Duration::from_secs(9));
        assert!(is_alive(&clock, limit));
        clock.stall(Duration::from_secs(1));
        assert!(!is_alive(&clock, limit));
        let _ = clock.beat();
        assert!(is_alive(&clock, limit));
    }
}
