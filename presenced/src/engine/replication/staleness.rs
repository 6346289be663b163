//! Whether this node may be out of date, as connections are told: one message when it may be, one when it is right again. What is
//! told is of the node, not of single users: their records say it by themselves. A pass over everyone in memory tells all
//! connections, beside the partitions, which don't wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::cluster::Shared;
use crate::connection::Connection;
use crate::engine::Engine;

/// For how long nothing may be out of date until it is over. An outage takes partitions one by one, each when its own call or tick
/// is late: around one that is as short as that, the first is back before the last is lost.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// What connections were told last.
#[derive(Default)]
pub(in crate::engine) struct Staleness {
    is_stale: AtomicBool,
    /// All partitions were reached: before, there is no connection.
    begun: Notify,
    /// A partition was lost, or is back.
    changed: Notify,
}

impl Staleness {
    /// Connections are told from here on.
    pub(super) fn begin(&self) {
        self.begun.notify_one();
    }

    /// Waits until something else is to be told, and returns it: at once that this node may be out of date, and that it is not
    /// when nothing has changed for so long. `is_behind` is asked with what was told last.
    async fn next(&self, settled_after: Duration, is_behind: impl Fn(bool) -> bool) -> bool {
        let told = self.is_stale.load(Ordering::SeqCst);
        if told {
            // Not all that makes it so wakes this when it ends.
            let mut was_over = false;
            loop {
                let is_quiet = timeout(settled_after, self.changed.notified()).await.is_err();
                let is_over = !is_behind(told);
                if is_quiet && was_over && is_over {
                    break;
                }
                was_over = is_over;
            }
        } else {
            while !is_behind(told) {
                self.changed.notified().await;
            }
        }
        self.is_stale.store(!told, Ordering::SeqCst);
        !told
    }

    /// Tells a single connection. A change meanwhile may have been told to it before: the newest word is the last.
    fn tell(&self, mut tell: impl FnMut(bool)) {
        let mut told = self.is_stale.load(Ordering::SeqCst);
        loop {
            tell(told);
            let is_stale = self.is_stale.load(Ordering::SeqCst);
            if is_stale == told {
                return;
            }
            told = is_stale;
        }
    }
}

impl Engine {
    /// The partition can't be reached, or can be again.
    pub(super) fn set_stale(&self, shared: &Shared, number: u16, is_stale: bool) {
        shared.partition(number).set_stale(is_stale);
        self.staleness.changed.notify_one();
    }

    /// Redis refuses what some node adds to the partition, or does not any more.
    pub(super) fn set_additions_refused(&self, shared: &Shared, number: u16, are_refused: bool) {
        shared.partition(number).set_additions_refused(are_refused);
        self.staleness.changed.notify_one();
    }

    /// Tells all connections, again and again, until the daemon ends.
    pub(super) async fn run_staleness(&self, shared: &Shared) {
        // The start logs by itself what it waits for.
        self.staleness.begun.notified().await;
        loop {
            // Records say it too until those who left meanwhile are told.
            let is_behind = |told: bool| shared.is_stale() || told && shared.is_withholding();
            let is_stale = self.staleness.next(SETTLED_AFTER, is_behind).await;
            log_change(shared, is_stale);
            self.tell_all(is_stale).await;
        }
    }

    async fn tell_all(&self, is_stale: bool) {
        let observers = std::iter::once_with(|| self.publisher.observers());
        for audience in self.users.audiences().chain(observers) {
            let mut ready = Vec::new();
            for conn in audience {
                conn.set_stale(is_stale, &mut ready);
            }
            self.ready.extend(&mut ready);
            tokio::task::yield_now().await;
        }
    }

    /// The connection is a session, or watches somebody from now on: it is told if this node may be out of date.
    pub(in crate::engine) fn tell_staleness(&self, conn: &Arc<Connection>) {
        let mut ready = Vec::new();
        self.staleness.tell(|is_stale| conn.set_stale(is_stale, &mut ready));
        self.ready.extend(&mut ready);
    }
}

/// One line at the beginning and one at the end, however many partitions there are.
fn log_change(shared: &Shared, is_stale: bool) {
    if is_stale {
        tracing::warn!(
            partitions = shared.stale_partitions(),
            of = shared.partitions(),
            "Redis can't be reached, is full or answers late, or this process stood still: records are stale, and nobody becomes OFFLINE"
        );
    } else {
        tracing::info!("all partitions can be reached again, and Redis refuses nothing: no record is stale");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_outage_that_takes_partitions_one_by_one_is_told_once() {
        const NEVER: Duration = Duration::from_hours(1);
        const SHORT: Duration = Duration::from_millis(20);
        let (staleness, lost) = (Staleness::default(), AtomicBool::new(false));
        let becomes = |is_lost| {
            lost.store(is_lost, Ordering::SeqCst);
            staleness.changed.notify_one();
        };
        let is_behind = |_| lost.load(Ordering::SeqCst);
        becomes(true);
        assert!(staleness.next(NEVER, is_behind).await);
        for _ in 0..2 {
            becomes(false);
            let told = timeout(SHORT, staleness.next(NEVER, is_behind)).await;
            assert!(told.is_err(), "the next partition may be lost in a moment");
            becomes(true);
            let told = timeout(SHORT, staleness.next(NEVER, is_behind)).await;
            assert!(told.is_err(), "it was told");
        }
        becomes(false);
        assert!(!staleness.next(SHORT, is_behind).await);
        becomes(true);
        assert!(staleness.next(NEVER, is_behind).await);
    }

    #[test]
    fn a_change_while_a_connection_is_told_is_its_last_word() {
        let staleness = Staleness::default();
        staleness.is_stale.store(true, Ordering::SeqCst);
        let mut told = Vec::new();
        staleness.tell(|is_stale| {
            told.push(is_stale);
            // All others are told that it is over, and this connection too: before the word of now.
            staleness.is_stale.store(false, Ordering::SeqCst);
        });
        assert_eq!(told, [true, false]);
    }
}
