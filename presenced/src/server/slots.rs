//! How many connections there are, and may be. A slot is taken before a connection's first byte is read and given back
//! when its last holder lets go of it: the HTTP task, or the WebSocket it was upgraded to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus_client::metrics::gauge::Gauge;

/// The places for connections.
#[derive(Debug)]
pub(crate) struct Slots {
    max: usize,
    open: AtomicUsize,
    shown: Gauge,
}

/// One connection's place. Shared as `Arc<Slot>`, in every request's extensions; free again when the last is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<Slots>,
}

impl Slots {
    /// `max` places; `shown` follows how many are taken.
    pub(crate) fn new(max: usize, shown: Gauge) -> Arc<Self> {
        Arc::new(Self {
            max,
            open: AtomicUsize::new(0),
            shown,
        })
    }

    /// Takes a place, if there is one.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Arc<Slot>> {
        let fits = |open: usize| (open < self.max).then_some(open + 1);
        self.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).ok()?;
        self.shown.inc();
        Some(Arc::new(Slot {
            slots: Arc::clone(self),
        }))
    }

    /// The most there may be.
    pub(crate) const fn max(&self) -> usize {
        self.max
    }

    /// How many are taken.
    #[cfg(test)]
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.open.fetch_sub(1, Ordering::AcqRel);
        self.slots.shown.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_place_is_given_once_and_again_when_it_is_free() {
        let slots = Slots::new(2, Gauge::default());
        let first = slots.take().unwrap();
        let second = slots.take().unwrap();
        assert!(slots.take().is_none());
        let travelling = Arc::clone(&second);
        drop(second);
        assert!(slots.take().is_none(), "an upgraded connection still holds it");
        drop(travelling);
        assert!(slots.take().is_some());
        drop(first);
        assert_eq!(slots.open(), 0);
    }
}
