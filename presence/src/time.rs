//! Three kinds of time, as types that don't mix: records carry [`Wall`], which does not go back for one user; deadlines use
//! [`Mono`]; tokens are compared with [`SystemWall`], the system's clock as it is, right or wrong. A reading of the system's
//! clock becomes a record time in one function, [`SystemWall::record_time`]. Nothing here reads a clock.

mod rfc3339;

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A wall clock timestamp, in milliseconds since the Unix epoch. Records carry it; no deadline uses it.
/// On the wire: RFC 3339, UTC, with exactly three decimals.
///
/// Stored with the sign bit flipped. That preserves the order and frees zero as the niche of `Option<Wall>`, which then
/// takes 8 bytes instead of 16: a user has several optional timestamps, and a million users are in memory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(NonZeroU64);

/// XOR with it maps the order of `i64` to that of `u64`, and back.
const SIGN_BIT: u64 = 1 << 63;

impl Wall {
    /// Converts from milliseconds since the Unix epoch. `i64::MIN` becomes `i64::MIN + 1`, because of the niche.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        match NonZeroU64::new(millis.cast_unsigned() ^ SIGN_BIT) {
            Some(flipped) => Self(flipped),
            None => Self(NonZeroU64::MIN),
        }
    }

    /// Returns the milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        (self.0.get() ^ SIGN_BIT).cast_signed()
    }

    /// Returns the timestamp that is later by `by`, saturating.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.as_millis().saturating_add(by))
    }

    /// Returns the timestamp that is earlier by `by`, saturating.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.as_millis().saturating_sub(by))
    }

    /// Returns the time elapsed since `earlier`; zero if `earlier` is later than `self`.
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
    /// Writes RFC 3339. A timestamp outside its range is clamped to the nearest one inside.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(rfc3339::Text::of(*self).as_str())
    }
}

impl Wall {
    /// Appends what [`fmt::Display`] writes.
    pub(crate) fn push_to(self, text: &mut String) {
        text.push_str(rfc3339::Text::of(self).as_str());
    }
}

impl FromStr for Wall {
    type Err = InvalidTime;

    /// RFC 3339, with an offset or `Z`.
    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        let moment: Timestamp = text.parse().map_err(|_| InvalidTime)?;
        Ok(Self::from_millis(moment.as_millisecond()))
    }
}

/// A text that is no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a time as in RFC 3339, such as 2026-11-30T06:00:00Z")]
pub struct InvalidTime;

impl Serialize for Wall {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(rfc3339::Text::of(*self).as_str())
    }
}

impl<'de> Deserialize<'de> for Wall {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// A monotonic timestamp, in milliseconds since the process started. Deadlines use it. The clock does not advance while
/// the process is stalled, so a stall expires no deadline.
///
/// Stored as one more than that, so that `Option<Mono>` takes 8 bytes: a user has several optional deadlines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(NonZeroU64);

impl Mono {
    /// Converts from milliseconds since the process started.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(millis))
    }

    /// Returns the milliseconds since the process started.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0.get() - 1
    }

    /// Returns the timestamp that is later by `by`, saturating.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Returns the time elapsed since `earlier`; zero if `earlier` is later than `self`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.as_millis().saturating_sub(earlier.as_millis()))
    }
}

impl Default for Mono {
    /// The start of the process.
    fn default() -> Self {
        Self::from_millis(0)
    }
}

/// A reading of the system's clock as it is, in milliseconds since the Unix epoch. It may go back, stand still and be wrong.
/// Tokens are compared with it, and nothing else; it is no time of a record before it went through [`Self::record_time`].
///
/// Stored as [`Wall`] is: each connection may have the time at which its token expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SystemWall(Wall);

impl SystemWall {
    /// Converts from milliseconds since the Unix epoch. `i64::MIN` becomes `i64::MIN + 1`, because of the niche.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(Wall::from_millis(millis))
    }

    /// Returns the milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0.as_millis()
    }

    /// Returns the reading that is later by `by`, saturating.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.after(by))
    }

    /// Returns the time elapsed since `earlier`; zero if `earlier` is later than `self`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.since(earlier.0)
    }

    /// The record time of something that happens at this reading, or is told at it: not before `told`, the latest time that
    /// was told of the same user, or that stands beside it.
    #[must_use]
    pub fn record_time(self, told: Option<Wall>) -> Wall {
        told.map_or(self.0, |told| told.max(self.0))
    }
}

/// One reading of both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// The monotonic clock.
    pub mono: Mono,
    /// The system's clock.
    pub system: SystemWall,
    /// By how much the clock of records is ahead of it, in milliseconds: in a cluster records carry Redis's clock.
    pub records_ahead: i64,
}

impl Reading {
    /// The reading as the rules take it for one user, of whom nothing later than `told` was told.
    #[must_use]
    pub fn for_user(self, told: Option<Wall>) -> Now {
        Now {
            mono: self.mono,
            wall: self.records().record_time(told),
        }
    }

    /// The clock of records.
    #[must_use]
    pub const fn records(self) -> SystemWall {
        SystemWall::from_millis(self.system.as_millis().saturating_add(self.records_ahead))
    }
}

/// The present as the rules take it, for one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// The monotonic timestamp, for deadlines.
    pub mono: Mono,
    /// The record time: at least the latest that was told of the user.
    pub wall: Wall,
}

impl Now {
    /// Predicts the wall clock timestamp of `deadline`, assuming that the wall clock is not adjusted. A past deadline
    /// is now.
    #[must_use]
    pub fn wall_at(self, deadline: Mono) -> Wall {
        self.wall.after(deadline.since(self.mono))
    }

    /// Returns the wall-clock time of an earlier moment.
    #[must_use]
    pub fn wall_before(self, moment: Mono) -> Wall {
        self.wall.before(self.mono.since(moment))
    }
}
