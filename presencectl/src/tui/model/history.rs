//! The last ten minutes, one sample per second, for the sparklines of the overview.

use std::collections::VecDeque;

use presence::wire::rest::Counts;

/// Wider than any screen.
pub(crate) const SECONDS_MAX: usize = 600;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sample {
    /// At the end of the second.
    pub(crate) users: Counts,
    pub(crate) changes: u64,
    /// Whether the connection was up: otherwise the values are unknown, not zero.
    pub(crate) is_known: bool,
}

/// Samples from the oldest to the newest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct History {
    samples: VecDeque<Sample>,
}

impl History {
    pub(crate) fn push(&mut self, sample: Sample) {
        if self.samples.len() == SECONDS_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// The last seconds were silent, as was noticed only now: their values are unknown.
    pub(crate) fn forget_last(&mut self, seconds: usize) {
        for sample in self.samples.iter_mut().rev().take(seconds) {
            sample.is_known = false;
        }
    }

    /// The last samples, oldest first.
    pub(crate) fn last(&self, seconds: usize) -> impl Iterator<Item = &Sample> {
        self.samples.range(self.samples.len().saturating_sub(seconds)..)
    }
}
