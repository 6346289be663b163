//! The grace period: for how long lost sessions of one user on one node still count.

use crate::sessions::Activity;
use crate::time::Mono;

/// The grace period of lost sessions: it counts as one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GracePeriod {
    /// When it ends: the latest deadline of the sessions lost.
    pub until: Mono,
    /// Their activity when they were lost.
    pub activity: Activity,
}

impl GracePeriod {
    /// One period for the sessions of both: it ends at the later deadline, and is idle only if all sessions with known
    /// activity were.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            until: self.until.max(other.until),
            activity: self.activity.and(other.activity),
        }
    }
}
