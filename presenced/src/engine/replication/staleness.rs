//! Whether this node may be out of date, as connections are told: one message when it may be, one when it is right again. What is
//! told is of the node, not of single users: their records say it by themselves. A pass over everyone in memory tells all
//! connections, beside the partitions, which don't wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use crate::cluster::Shared;
use crate::connection::Connection;
use crate::engine::Engine;

/// What connections were told last.
#[derive(Default)]
pub(in crate::engine) struct Staleness {
    is_stale: AtomicBool,
    /// A partition was lost, or is back.
    changed: Notify,
}

impl Staleness {
    /// Whether that is to be told; it is what connections are told from here on.
    fn change(&self, is_stale: bool) -> bool {
        self.is_stale.swap(is_stale, Ordering::SeqCst) != is_stale
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

    /// Tells all connections, again and again, until the daemon ends.
    pub(super) async fn run_staleness(&self, shared: &Shared) {
        let mut is_logged = false;
        loop {
            self.staleness.changed.notified().await;
            let is_stale = shared.is_stale();
            if self.staleness.change(is_stale) {
                // The start logs by itself what it waits for.
                if is_logged || self.takes_connections() {
                    is_logged = is_stale;
                    log_change(shared, is_stale);
                }
                self.tell_all(is_stale).await;
            }
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
        tracing::info!("all partitions can be reached again: no record is stale");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_while_a_connection_is_told_is_its_last_word() {
        let staleness = Staleness::default();
        assert!(staleness.change(true));
        let mut told = Vec::new();
        staleness.tell(|is_stale| {
            told.push(is_stale);
            // All others are told that it is over, and this connection too: before the word of now.
            staleness.change(false);
        });
        assert_eq!(told, [true, false]);
    }
}
