//! The grace period: for how long lost sessions of one user on one node still count. Each of them has a place in it, and a
//! session that continues a lost one takes that place.

use crate::sessions::{Activity, SessionId};
use crate::time::Mono;

/// Lost sessions that are known by name; of more than that the oldest are only counted. Twice the connections that a user may
/// have by default.
const NAMED_PLACES_MAX: usize = 64;

/// The session that a new one says it continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Predecessor {
    /// One of this run.
    Here(SessionId),
    /// One of an earlier run, of which only the number of the user's sessions is known.
    Earlier {
        /// The run, as session ids tell it.
        run: u32,
        /// The session in that run.
        session: SessionId,
    },
}

/// The grace period of lost sessions: it counts as one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GracePeriod {
    /// When it ends: the latest deadline of the sessions lost.
    pub until: Mono,
    /// Their activity when they were lost.
    pub activity: Activity,
    /// Lost sessions of this run that have not been continued, but for the oldest of very many.
    lost: Vec<SessionId>,
    /// How many those are. They can't be continued: it is not known which they are.
    counted: u32,
    /// How many sessions of the previous run have not been continued.
    unnamed: u32,
    /// Which sessions of earlier runs have been continued; each takes one place, so there are no more than there were places.
    continued: Vec<(u32, SessionId)>,
}

impl GracePeriod {
    /// The grace period of one session of this run.
    #[must_use]
    pub fn of_session(until: Mono, activity: Activity, session: SessionId) -> Self {
        Self {
            until,
            activity,
            lost: vec![session],
            counted: 0,
            unnamed: 0,
            continued: Vec::new(),
        }
    }

    /// The grace period of so many sessions of the previous run.
    #[must_use]
    pub const fn of_earlier(until: Mono, activity: Activity, places: u32) -> Self {
        Self {
            until,
            activity,
            lost: Vec::new(),
            counted: 0,
            unnamed: places,
            continued: Vec::new(),
        }
    }

    /// One period for the sessions of both: it ends at the later deadline, and is idle only if all sessions with known
    /// activity were.
    #[must_use]
    pub fn and(mut self, later: Self) -> Self {
        self.until = self.until.max(later.until);
        self.activity = self.activity.and(later.activity);
        self.lost.extend(later.lost);
        self.counted = self.counted.saturating_add(later.counted);
        self.unnamed = self.unnamed.saturating_add(later.unnamed);
        self.continued.extend(later.continued);
        let excess = self.lost.len().saturating_sub(NAMED_PLACES_MAX);
        self.lost.drain(..excess);
        self.counted = self.counted.saturating_add(u32::try_from(excess).unwrap_or(u32::MAX));
        self
    }

    /// How many lost sessions have not been continued. With the last one the period is over.
    #[must_use]
    pub fn places(&self) -> u32 {
        let named = u32::try_from(self.lost.len()).unwrap_or(u32::MAX);
        self.unnamed.saturating_add(self.counted).saturating_add(named)
    }

    /// The lost sessions of this run that have not been continued, as far as they are known by name.
    #[must_use]
    pub fn named(&self) -> &[SessionId] {
        &self.lost
    }

    /// Gives the place of a lost session to one that continues it. Whether it had one.
    pub(crate) fn take_place(&mut self, of: Predecessor) -> bool {
        match of {
            Predecessor::Here(session) => {
                let index = self.lost.iter().position(|lost| *lost == session);
                index.map(|index| self.lost.remove(index)).is_some()
            }
            Predecessor::Earlier { run, session } => {
                if self.unnamed == 0 || self.continued.contains(&(run, session)) {
                    return false;
                }
                self.unnamed -= 1;
                self.continued.push((run, session));
                true
            }
        }
    }
}
