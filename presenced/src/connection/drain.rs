//! Draining: all connections learn at once that the daemon stops, and each client gets a jittered delay to reconnect.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use presence::SessionId;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// The end of the daemon, as connections learn of it.
pub(crate) struct Drain {
    /// Over how long the clients' return is spread.
    pub(crate) spread: Duration,
    has_begun: AtomicBool,
    begins: Notify,
}

impl Drain {
    pub(crate) fn new(spread: Duration) -> Self {
        Self {
            spread,
            has_begun: AtomicBool::new(false),
            begins: Notify::new(),
        }
    }

    /// Condemns every connection.
    pub(crate) fn begin(&self) {
        self.has_begun.store(true, Ordering::SeqCst);
        self.begins.notify_waiters();
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::SeqCst)
    }

    /// Is over when the drain begins. Make it before looking whether that has happened, so that it is not missed.
    pub(super) fn begins(&self) -> Notified<'_> {
        self.begins.notified()
    }

    /// The reconnect delay of a client, spread by its session id, so that no randomness is needed.
    pub(super) fn delay_of(&self, id: SessionId) -> Duration {
        const EARLIEST: Duration = Duration::from_millis(500);
        let spread = u64::try_from(self.spread.as_millis()).unwrap_or(u64::MAX).max(1);
        EARLIEST + Duration::from_millis((id.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16) % spread)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn reconnect_delays_are_spread_over_the_interval() {
        let drain = Drain::new(Duration::from_secs(10));
        let delays: BTreeSet<Duration> = (1..=1000).map(|id| drain.delay_of(SessionId(id))).collect();
        assert!(delays.len() > 900, "{} different ones", delays.len());
        let bounds = Duration::from_millis(500)..Duration::from_millis(10_500);
        assert!(delays.iter().all(|delay| bounds.contains(delay)), "{delays:?}");
        let without_grace = Drain::new(Duration::ZERO);
        assert_eq!(without_grace.delay_of(SessionId(7)), Duration::from_millis(500));
    }
}
