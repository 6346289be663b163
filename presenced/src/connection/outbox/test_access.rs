//! What tests see of an outbox, and how they hold it up. Not part of the daemon.

use super::{Outbox, WriteState};

impl Outbox {
    pub(crate) fn is_queued(&self) -> bool {
        self.is_queued
    }

    /// Whether nothing is under way and nothing waits.
    pub(crate) fn is_quiet(&self) -> bool {
        !self.is_queued && self.is_flushed() && !self.has_something_to_deliver()
    }

    /// From now on it counts as queued: the test puts the connection into the ready queue.
    pub(crate) fn hold_delivery(&mut self) {
        self.is_queued = true;
    }

    /// Simulates a write under way, so that nothing else is sent.
    pub(crate) fn hold_writes(&mut self) {
        self.writer = WriteState::Writing { blocked_since: None };
    }

    /// Ends [`Self::hold_writes`]. Whether the connection belongs into the ready queue.
    pub(crate) fn release_writes(&mut self) -> bool {
        self.writer = WriteState::Idle;
        self.enqueue()
    }
}
