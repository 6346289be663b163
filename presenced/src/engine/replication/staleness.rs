//! Whether this node may be out of date, as connections are told: one message when it may be, one when it is right again. What is
//! told is of the node, not of single users: their records say it by themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::cluster::Shared;
use crate::connection::Connection;
use crate::engine::Engine;

/// What connections were told last.
#[derive(Default)]
pub(in crate::engine) struct Staleness {
    is_stale: AtomicBool,
    /// Partitions are lost and come back at once: connections are told in order.
    telling: Mutex<()>,
}

impl Engine {
    /// The partition can't be reached, or can be again.
    pub(super) fn set_stale(&self, shared: &Shared, number: u16, is_stale: bool) {
        shared.partition(number).set_stale(is_stale);
        let _telling = self.staleness.telling.lock();
        let is_stale = shared.is_stale();
        if self.staleness.is_stale.swap(is_stale, Ordering::SeqCst) != is_stale {
            let mut ready = Vec::new();
            for conn in self.users.audience().iter().chain(&self.publisher.observers()) {
                conn.set_stale(is_stale, &mut ready);
            }
            self.ready.extend(&mut ready);
        }
    }

    /// The connection is a session, or watches somebody from now on: it is told if this node may be out of date.
    pub(in crate::engine) fn tell_staleness(&self, conn: &Arc<Connection>) {
        let mut ready = Vec::new();
        conn.set_stale(self.staleness.is_stale.load(Ordering::SeqCst), &mut ready);
        self.ready.extend(&mut ready);
    }
}
