//! The ready queue between the callers that change users and the one thread that delivers: connections that have something
//! to be sent and whose sockets are free. Each is in it at most once, so its bound is the number of connections.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::Connection;
use crate::clock::Clock;

/// Connections to deliver to.
pub(crate) struct Ready {
    clock: Arc<Clock>,
    state: Mutex<ReadyState>,
    changed: Condvar,
}

#[derive(Default)]
struct ReadyState {
    conns: Vec<Arc<Connection>>,
    /// Since when the first of them waits, as time since the start of the process.
    since: Duration,
    is_closed: bool,
}

impl Ready {
    pub(crate) fn new(clock: Arc<Clock>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    pub(crate) fn push(&self, conn: Arc<Connection>) {
        self.extend(&mut vec![conn]);
    }

    /// Adds several at once.
    pub(crate) fn extend(&self, conns: &mut Vec<Arc<Connection>>) {
        if conns.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        let was_empty = state.conns.is_empty();
        state.conns.append(conns);
        if was_empty {
            state.since = self.clock.elapsed();
            self.changed.notify_one();
        }
    }

    /// Waits for some and takes them all, with the time since when the first waits; none once it is closed.
    pub(crate) fn take(&self) -> Option<(Vec<Arc<Connection>>, Duration)> {
        let mut state = self.state.lock();
        while state.conns.is_empty() {
            if state.is_closed {
                return None;
            }
            self.changed.wait(&mut state);
        }
        Some((std::mem::take(&mut state.conns), state.since))
    }

    /// Takes what is there, without waiting.
    #[cfg(test)]
    pub(crate) fn try_take(&self) -> Vec<Arc<Connection>> {
        std::mem::take(&mut self.state.lock().conns)
    }

    /// Ends the delivery thread once nothing is left.
    pub(crate) fn close(&self) {
        self.state.lock().is_closed = true;
        self.changed.notify_all();
    }
}
