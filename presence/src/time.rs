//! Two kinds of time that must not be mixed: what people read, and what deadlines run on. No clock lives here.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A moment on the wall clock, in milliseconds since the Unix epoch. Records carry it; no deadline uses it.
/// On the wire: RFC 3339, UTC, with exactly three decimals.
///
/// Kept with its sign bit flipped, which keeps the order and leaves zero free: a million users hold several times each
/// that may be none, and an `Option` of this takes no more room than itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(NonZeroU64);

/// What flips the order of signed numbers into that of unsigned ones, and back.
const SIGN_BIT: u64 = 1 << 63;
/// The first moment that RFC 3339 can write: 0000-01-01T00:00:00.000Z.
const WRITABLE_MIN_MILLIS: i64 = -62_167_219_200_000;
/// The last one that every time zone can still write: 9999-12-30T22:00:00.000Z.
const WRITABLE_MAX_MILLIS: i64 = 253_402_207_200_000;

impl Wall {
    /// From milliseconds since the Unix epoch. The lowest number there is becomes the one above it.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        match NonZeroU64::new(millis.cast_unsigned() ^ SIGN_BIT) {
            Some(flipped) => Self(flipped),
            None => Self(NonZeroU64::MIN),
        }
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        (self.0.get() ^ SIGN_BIT).cast_signed()
    }

    /// Later by that much.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.as_millis().saturating_add(by))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let millis = self.as_millis().saturating_sub(earlier.as_millis());
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }
}

impl Default for Wall {
    /// The Unix epoch.
    fn default() -> Self {
        Self::from_millis(0)
    }
}

impl fmt::Debug for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wall({})", self.as_millis())
    }
}

impl fmt::Display for Wall {
    /// Moments that RFC 3339 can't write are shown as the nearest one that it can.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.as_millis().clamp(WRITABLE_MIN_MILLIS, WRITABLE_MAX_MILLIS);
        let moment = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX);
        write!(f, "{moment:.3}")
    }
}

impl Serialize for Wall {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Wall {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let moment: Timestamp = text.parse().map_err(de::Error::custom)?;
        Ok(Self::from_millis(moment.as_millisecond()))
    }
}

/// A moment on the monotonic clock that deadlines run on, in milliseconds since the process began. It stands
/// still while the process was stalled, so a stall expires nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(u64);

impl Mono {
    /// From milliseconds since the process began.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the process began.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Later by that much.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// One reading of both clocks, handed to everything that needs the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// For deadlines.
    pub mono: Mono,
    /// For records.
    pub wall: Wall,
}

impl Now {
    /// When `deadline` will be on the wall clock, as far as is known now.
    #[must_use]
    pub fn wall_at(self, deadline: Mono) -> Wall {
        self.wall.after(deadline.since(self.mono))
    }
}
