//! A bounded queue between async callers and a thread or a task. A push never waits: a full queue refuses it.

use std::collections::VecDeque;

use parking_lot::{Condvar, Mutex};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;

/// Why something was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rejected {
    /// As many wait as the bound allows.
    Full,
    /// The queue was closed.
    Closed,
}

/// First in, first out, but for what is put first, with a bound.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<QueueState<T>>,
    /// Notified of each push and of the close: a thread that waits, and a task that does.
    changed: Condvar,
    changed_for_tasks: Notify,
    max: usize,
    /// How many wait, for `/metrics`.
    waiting: Gauge,
}

#[derive(Debug)]
struct QueueState<T> {
    items: VecDeque<T>,
    open: bool,
    #[cfg(test)]
    pushed: u64,
}

impl<T> Queue<T> {
    pub(super) fn new(max: usize, waiting: Gauge) -> Self {
        let state = QueueState {
            items: VecDeque::new(),
            open: true,
            #[cfg(test)]
            pushed: 0,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            changed_for_tasks: Notify::new(),
            max,
            waiting,
        }
    }

    pub(super) fn push(&self, item: T) -> Result<(), Rejected> {
        self.put(item, VecDeque::push_back)
    }

    /// Puts it before everything that waits.
    pub(super) fn push_first(&self, item: T) -> Result<(), Rejected> {
        self.put(item, VecDeque::push_front)
    }

    fn put(&self, item: T, put: fn(&mut VecDeque<T>, T)) -> Result<(), Rejected> {
        let mut state = self.state.lock();
        if !state.open {
            return Err(Rejected::Closed);
        }
        if state.items.len() >= self.max {
            return Err(Rejected::Full);
        }
        put(&mut state.items, item);
        #[cfg(test)]
        {
            state.pushed += 1;
        }
        drop(state);
        self.waiting.inc();
        self.changed.notify_one();
        self.changed_for_tasks.notify_one();
        Ok(())
    }

    /// Waits for the first item and takes it. None: closed, and nothing is left.
    pub(super) fn pop(&self) -> Option<T> {
        let mut state = self.state.lock();
        loop {
            if let Some(item) = state.items.pop_front() {
                self.waiting.dec();
                return Some(item);
            }
            if !state.open {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }

    /// The same for a task.
    pub(super) async fn popped(&self) -> Option<T> {
        loop {
            if let Some(item) = self.try_pop() {
                return Some(item);
            }
            let changed = self.changed_for_tasks.notified();
            if !self.state.lock().open {
                // Another task of the queue may wait as well.
                self.changed_for_tasks.notify_one();
                return self.try_pop();
            }
            changed.await;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state.lock().items.is_empty()
    }

    pub(super) fn is_closed(&self) -> bool {
        !self.state.lock().open
    }

    pub(super) fn try_pop(&self) -> Option<T> {
        let item = self.state.lock().items.pop_front()?;
        self.waiting.dec();
        Some(item)
    }

    /// Takes the first item that is like this, if there is one. The others are looked at, and keep their order.
    pub(super) fn try_pop_where(&self, is_like: impl FnMut(&T) -> bool) -> Option<T> {
        let items = &mut self.state.lock().items;
        let index = items.iter().position(is_like)?;
        let item = items.remove(index)?;
        self.waiting.dec();
        Some(item)
    }

    pub(super) fn drain(&self) -> VecDeque<T> {
        let items = std::mem::take(&mut self.state.lock().items);
        self.waiting.dec_by(i64::try_from(items.len()).unwrap_or(0));
        items
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.state.lock().items.len()
    }

    #[cfg(test)]
    pub(super) fn pushed(&self) -> u64 {
        self.state.lock().pushed
    }

    /// Refuses further pushes; what waits is still taken.
    pub(super) fn close(&self) {
        self.state.lock().open = false;
        self.changed.notify_all();
        self.changed_for_tasks.notify_one();
    }
}
