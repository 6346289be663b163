//! The last minutes, second by second, for the sparklines of the overview.

use std::collections::VecDeque;

use presence::wire::rest::Counts;

/// For how many seconds it goes back: wider than any screen.
pub(crate) const SECONDS_MAX: usize = 600;

/// One second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sample {
    /// Users by status at its end.
    pub(crate) users: Counts,
    /// Changes that came in it.
    pub(crate) changes: u64,
    /// Whether the daemon was heard in it: without that nothing is known, which is not nothing.
    pub(crate) is_known: bool,
}

/// The last seconds, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct History {
    samples: VecDeque<Sample>,
}

impl History {
    /// A second is over.
    pub(crate) fn push(&mut self, sample: Sample) {
        if self.samples.len() == SECONDS_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// The last so many seconds, oldest first.
    pub(crate) fn last(&self, seconds: usize) -> impl Iterator<Item = &Sample> {
        self.samples.range(self.samples.len().saturating_sub(seconds)..)
    }
}
