//! Draining: connections learn that they must go, to other nodes or because the daemon stops, and each client gets a delay to
//! reconnect. On a node whose clients can go elsewhere they go one after the other, at a rate; else all at once, and come back
//! spread over time.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use presence::SessionId;

use super::close_reason::CloseReason;

/// The shortest delay: how long a balancer, or a daemon that restarts, has at least.
const EARLIEST: Duration = Duration::from_millis(500);

/// What a node does with its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum DrainPhase {
    /// It takes new ones.
    Serving,
    /// It takes no new ones, and closes those it has one after the other.
    Moving,
    /// The same, because the daemon stops.
    Stopping,
    /// All of them end.
    Ending,
}

/// How far the end of the connections has come, as they learn of it.
pub(crate) struct Drain {
    /// Over how long the clients' return is spread that leave together, in milliseconds.
    spread: AtomicU64,
    phase: AtomicU8,
}

impl Drain {
    pub(crate) fn new(spread: Duration) -> Self {
        Self {
            spread: AtomicU64::new(millis(spread)),
            phase: AtomicU8::new(DrainPhase::Serving as u8),
        }
    }

    /// From now on no connection is taken, and those that are open are closed one by one. Whether that is new.
    pub(crate) fn begin_moving(&self) -> bool {
        self.change(DrainPhase::Serving, DrainPhase::Moving)
    }

    /// Connections are taken again, unless all of them end. Whether that is new.
    pub(crate) fn cancel_moving(&self) -> bool {
        self.change(DrainPhase::Moving, DrainPhase::Serving)
    }

    /// The same as [`Self::begin_moving`] before the daemon stops: no cancel takes it back.
    pub(crate) fn begin_stop(&self) {
        self.phase.fetch_max(DrainPhase::Stopping as u8, Ordering::SeqCst);
    }

    /// Whether the daemon stops.
    pub(crate) fn is_stopping(&self) -> bool {
        self.phase.load(Ordering::SeqCst) >= DrainPhase::Stopping as u8
    }

    fn change(&self, from: DrainPhase, to: DrainPhase) -> bool {
        let order = Ordering::SeqCst;
        self.phase.compare_exchange(from as u8, to as u8, order, order).is_ok()
    }

    /// Condemns every connection. Each learns of it when its task is woken.
    pub(crate) fn end_all(&self) {
        self.phase.store(DrainPhase::Ending as u8, Ordering::SeqCst);
    }

    /// The same, and the clients return within this, if that is sooner.
    pub(crate) fn end_all_within(&self, spread: Duration) {
        self.spread.fetch_min(millis(spread), Ordering::SeqCst);
        self.end_all();
    }

    /// Whether new connections are refused.
    pub(crate) fn has_begun(&self) -> bool {
        self.phase.load(Ordering::SeqCst) != DrainPhase::Serving as u8
    }

    /// Whether every connection ends.
    pub(crate) fn is_ending(&self) -> bool {
        self.phase.load(Ordering::SeqCst) == DrainPhase::Ending as u8
    }

    /// Why a connection ends with all others.
    pub(super) fn reason_of(&self, id: SessionId) -> CloseReason {
        CloseReason::Draining {
            retry_after: self.delay_of(id).into(),
        }
    }

    /// Why a connection ends that is moved alone: nobody comes back together with it, and it is to be away for a moment only.
    pub(crate) fn reason_of_one() -> CloseReason {
        CloseReason::Draining {
            retry_after: EARLIEST.into(),
        }
    }

    /// The reconnect delay of a client, spread by its session id, so that no randomness is needed.
    fn delay_of(&self, id: SessionId) -> Duration {
        let spread = self.spread.load(Ordering::SeqCst).max(1);
        EARLIEST + Duration::from_millis((id.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16) % spread)
    }
}

fn millis(spread: Duration) -> u64 {
    u64::try_from(spread.as_millis()).unwrap_or(u64::MAX)
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

    #[test]
    fn the_return_of_few_is_spread_over_less_and_never_over_more() {
        let sooner = |spread| {
            let drain = Drain::new(Duration::from_secs(10));
            drain.end_all_within(spread);
            (1..=1000).map(|id| drain.delay_of(SessionId(id))).max()
        };
        assert!(sooner(Duration::from_secs(2)) < Some(Duration::from_millis(2_500)));
        assert!(sooner(Duration::from_secs(60)) < Some(Duration::from_millis(10_500)));
    }

    #[test]
    fn a_move_can_be_cancelled_and_an_end_can_not() {
        let drain = Drain::new(Duration::ZERO);
        assert!(!drain.cancel_moving() && !drain.has_begun());
        assert!(drain.begin_moving() && !drain.begin_moving());
        assert!(drain.has_begun() && !drain.is_ending());
        assert!(drain.cancel_moving() && !drain.has_begun());
        assert!(drain.begin_moving() && !drain.is_stopping());
        drain.begin_stop();
        assert!(!drain.cancel_moving() && drain.has_begun() && drain.is_stopping() && !drain.is_ending());
        drain.end_all();
        assert!(drain.has_begun() && drain.is_ending());
        assert!(!drain.begin_moving() && !drain.cancel_moving());
        assert!(drain.is_ending());
    }
}
