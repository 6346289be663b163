//! Revisions and cursors: the two numbers by which a receiver knows what is newer.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::time::Wall;

/// Grows with each published change of a user: microseconds of a hybrid logical clock (Kulkarni et al., "Logical
/// Physical Clocks", 2014), below 2^53 until the year 2255 so that a JavaScript number holds it. 0: never seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(u64);

impl Revision {
    /// The revision of a user nobody has ever seen.
    pub const NEVER: Self = Self(0);

    /// From its number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// The hybrid logical clock of one node. It gives no revision above its ceiling before a higher ceiling was stored,
/// so that a restart begins above everything that was told, whatever the wall clock says by then.
#[derive(Debug, Clone)]
pub struct RevisionClock {
    /// The last revision given.
    last: u64,
    /// The highest revision that the stored ceiling covers.
    ceiling: u64,
}

/// How far ahead of use a ceiling is stored, in microseconds: a minute, which a store that can't write for a while
/// still leaves 60 million revisions.
pub const CEILING_AHEAD_MICROS: u64 = 60_000_000;

/// The highest wall clock that revisions follow, in microseconds: a clock that claims the year 2255 is wrong, and must not
/// use up what a JavaScript number can count (2^53 - 1). Some 13 days' worth is left above for counting on.
const PHYSICAL_MAX_MICROS: u64 = (1 << 53) - 1 - (1 << 40);

impl RevisionClock {
    /// Continues above the ceiling that the previous run had stored (0: there was none).
    #[must_use]
    pub const fn new(stored_ceiling: u64) -> Self {
        Self {
            last: stored_ceiling,
            ceiling: stored_ceiling,
        }
    }

    /// The lowest revision this run can give; everything told before lies below it.
    #[must_use]
    pub const fn last(&self) -> Revision {
        Revision(self.last)
    }

    /// The ceiling that should be stored now; [`Self::raise`] it once it is on disk.
    #[must_use]
    pub fn wanted_ceiling(&self, wall: Wall) -> u64 {
        self.last.max(micros(wall)).saturating_add(CEILING_AHEAD_MICROS)
    }

    /// A ceiling is on disk: revisions up to it may be given.
    pub fn raise(&mut self, stored: u64) {
        self.ceiling = self.ceiling.max(stored);
    }

    /// The next revision: above all given before and above `floor`, near the wall clock as far as the ceiling allows.
    pub fn next(&mut self, floor: Revision, wall: Wall) -> Revision {
        // Half of what the ceiling covers is left for counting on while it can't be raised.
        let physical = micros(wall).min(self.ceiling.saturating_sub(CEILING_AHEAD_MICROS / 2));
        self.last = physical.max(self.last.max(floor.0).saturating_add(1));
        Revision(self.last)
    }
}

fn micros(wall: Wall) -> u64 {
    let micros = u64::try_from(wall.as_millis()).unwrap_or(0).saturating_mul(1000);
    micros.min(PHYSICAL_MAX_MICROS)
}

/// A point in one node's order of changes. Whatever a connection was still to be sent up to it has been sent.
/// On the wire: incarnation and counter in hexadecimal, joined by a dot; opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// Which life of which node; a cursor of another one says nothing here.
    pub incarnation: u64,
    /// How many changes this node had published by then. 0 is before everything and never resumes.
    pub counter: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}.{:x}", self.incarnation, self.counter)
    }
}

/// The text is no cursor of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor")]
pub struct InvalidCursor;

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (incarnation, counter) = text.split_once('.').ok_or(InvalidCursor)?;
        // `from_str_radix` alone would take a sign, and any number of leading zeros.
        let parse = |part: &str| {
            let fits = part.len() <= 16 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            u64::from_str_radix(if fits { part } else { "" }, 16).map_err(|_| InvalidCursor)
        };
        Ok(Self {
            incarnation: parse(incarnation)?,
            counter: parse(counter)?,
        })
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}
