//! The queue between those who change state and the one thread that delivers: connections that are owed something and
//! whose sockets are free. Each is in it at most once, so its bound is the number of connections.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::conn::Conn;

/// Connections to deliver to.
#[derive(Default)]
pub(crate) struct Ready {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    conns: Vec<Arc<Conn>>,
    is_closed: bool,
}

impl Ready {
    /// Adds one.
    pub(crate) fn push(&self, conn: Arc<Conn>) {
        let mut state = self.state.lock();
        state.conns.push(conn);
        if state.conns.len() == 1 {
            self.changed.notify_one();
        }
    }

    /// Adds several at once.
    pub(crate) fn extend(&self, conns: &mut Vec<Arc<Conn>>) {
        if conns.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        let was_empty = state.conns.is_empty();
        state.conns.append(conns);
        if was_empty {
            self.changed.notify_one();
        }
    }

    /// Waits for some and takes them all; none once it is closed.
    pub(crate) fn take(&self) -> Option<Vec<Arc<Conn>>> {
        let mut state = self.state.lock();
        while state.conns.is_empty() {
            if state.is_closed {
                return None;
            }
            self.changed.wait(&mut state);
        }
        Some(std::mem::take(&mut state.conns))
    }

    /// Ends the delivery thread once nothing is left.
    pub(crate) fn close(&self) {
        self.state.lock().is_closed = true;
        self.changed.notify_all();
    }
}
