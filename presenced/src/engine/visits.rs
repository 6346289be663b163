//! Counts the entries of a table that operations look at. It does so in tests alone: they hold the count against how many users an
//! operation is about, so that none passes over all of them.

#[cfg(test)]
use std::sync::atomic::{AtomicU64, Ordering};

/// How many entries of a table were looked at. Takes no room outside tests.
#[derive(Debug, Default)]
pub(super) struct Visits {
    #[cfg(test)]
    count: AtomicU64,
}

impl Visits {
    /// So many more were looked at.
    pub(super) fn add(&self, count: usize) {
        #[cfg(test)]
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        #[cfg(not(test))]
        let _ = count;
    }

    /// Counts the entries of a pass as they are taken.
    pub(super) fn of<E>(&self, entries: impl Iterator<Item = E>) -> impl Iterator<Item = E> {
        entries.inspect(|_| self.add(1))
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}
