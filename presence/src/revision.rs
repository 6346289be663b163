//! Revisions order the records of one user; a hybrid logical clock gives them.

use serde::{Deserialize, Serialize};

use crate::time::Wall;

/// The version of a user's record: it grows with each published change of that user. Microseconds of a hybrid logical
/// clock (Kulkarni et al., "Logical Physical Clocks", 2014); below 2^53 until the year 2255, so that a JavaScript
/// number holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(u64);

impl Revision {
    /// The revision of a user that was never seen, 0.
    pub const NEVER: Self = Self(0);

    /// The highest one that a JavaScript number holds. No clock gets there before the year 2255.
    pub const MAX: Self = Self((1 << 53) - 1);

    /// Converts from the number on the wire.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number on the wire.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The time that it was made of, unless the clock was behind what was told before.
    #[must_use]
    pub fn time(self) -> Wall {
        Wall::from_millis(i64::try_from(self.0 / 1_000).unwrap_or(i64::MAX))
    }
}

/// The hybrid logical clock of one node. It follows the wall clock only below a stored ceiling, so that a restart,
/// which begins at that ceiling or the wall clock, is above every revision published before, whatever the wall clock then
/// says.
#[derive(Debug, Clone)]
pub struct RevisionClock {
    /// The last revision issued, in microseconds.
    last: u64,
    /// The ceiling that is on disk, in microseconds.
    ceiling: u64,
}

/// How far ahead of the clock a ceiling is stored, in microseconds: one minute. If the store then fails, at
/// least 30 million revisions can still be issued below it.
pub const CEILING_AHEAD_MICROS: u64 = 60_000_000;

/// The highest wall clock that revisions follow, in microseconds. A clock beyond it (the year 2255) is wrong, and
/// following it would exhaust the integers that a JavaScript number can represent (2^53 - 1). 2^40 of them, some 13
/// days, are left above.
const PHYSICAL_MAX_MICROS: u64 = Revision::MAX.0 - (1 << 40);

impl RevisionClock {
    /// Continues above the ceiling that the previous run stored, in microseconds (0 at the first run), and above the wall
    /// clock: a database that was put back from a backup has a ceiling from before what was told since.
    #[must_use]
    pub fn new(stored_ceiling: u64, wall: Wall) -> Self {
        Self {
            last: stored_ceiling.max(micros(wall)),
            ceiling: stored_ceiling,
        }
    }

    /// Returns the last revision issued; right after [`Self::new`], an upper bound of those of previous runs: the floor of
    /// this one.
    #[must_use]
    pub const fn last(&self) -> Revision {
        Revision(self.last)
    }

    /// Returns the ceiling to store now, in microseconds: not below the one that is stored, up to which revisions may follow
    /// a clock that has gone back since. Call [`Self::raise`] with it once it is on disk.
    #[must_use]
    pub fn wanted_ceiling(&self, wall: Wall) -> u64 {
        let ahead = self.last.max(micros(wall)).saturating_add(CEILING_AHEAD_MICROS);
        ahead.max(self.ceiling)
    }

    /// Raises the ceiling to `stored` microseconds, which must be on disk. A lower one changes nothing.
    pub fn raise(&mut self, stored: u64) {
        self.ceiling = self.ceiling.max(stored);
    }

    /// Issues the next revision: above all issued before and above `floor`, following the wall clock as far as the
    /// ceiling allows.
    pub fn next(&mut self, floor: Revision, wall: Wall) -> Revision {
        // Half of the range below the ceiling is reserved for increments by one, for while the store fails.
        let physical = micros(wall).min(self.ceiling.saturating_sub(CEILING_AHEAD_MICROS / 2));
        self.last = physical.max(self.last.max(floor.0).saturating_add(1));
        Revision(self.last)
    }
}

fn micros(wall: Wall) -> u64 {
    let micros = u64::try_from(wall.as_millis()).unwrap_or(0).saturating_mul(1000);
    micros.min(PHYSICAL_MAX_MICROS)
}
