//! The limit on open connections. A permit is acquired before a connection's first byte is read and released when its last
//! holder drops it: the HTTP task, or the WebSocket it was upgraded to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus_client::metrics::gauge::Gauge;

/// Counts open connections up to a maximum.
#[derive(Debug)]
pub(crate) struct ConnectionLimit {
    max: usize,
    open: AtomicUsize,
    shown: Gauge,
}

/// One connection's permit. Shared as `Arc<ConnectionPermit>` in every request's extensions; released when the last is
/// dropped.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    connection_limit: Arc<ConnectionLimit>,
}

impl ConnectionLimit {
    /// Allows `max` connections; the gauge `shown` follows how many are open.
    pub(crate) fn new(max: usize, shown: Gauge) -> Arc<Self> {
        Arc::new(Self {
            max,
            open: AtomicUsize::new(0),
            shown,
        })
    }

    /// A permit, unless `max` are out.
    pub(crate) fn acquire(self: &Arc<Self>) -> Option<Arc<ConnectionPermit>> {
        let fits = |open: usize| (open < self.max).then_some(open + 1);
        self.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).ok()?;
        self.shown.inc();
        Some(Arc::new(ConnectionPermit {
            connection_limit: Arc::clone(self),
        }))
    }

    pub(crate) const fn max(&self) -> usize {
        self.max
    }

    #[cfg(test)]
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.connection_limit.open.fetch_sub(1, Ordering::AcqRel);
        self.connection_limit.shown.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_is_free_again_once_its_last_holder_drops_it() {
        let connection_limit = ConnectionLimit::new(2, Gauge::default());
        let first = connection_limit.acquire().unwrap();
        let second = connection_limit.acquire().unwrap();
        assert!(connection_limit.acquire().is_none());
        let travelling = Arc::clone(&second);
        drop(second);
        assert!(
            connection_limit.acquire().is_none(),
            "an upgraded connection still holds it"
        );
        drop(travelling);
        assert!(connection_limit.acquire().is_some());
        drop(first);
        assert_eq!(connection_limit.open(), 0);
    }
}
