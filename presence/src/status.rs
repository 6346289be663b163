//! The status of a user as others see it, and the custom status that the user set.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The status of a user as others see it. On the wire: the variant in upper snake case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Present; no custom status, report or idleness says otherwise.
    Online,
    /// Present; all sessions with known activity are idle, or the custom status is `IDLE`.
    Idle,
    /// Present; the custom status or a report is `DO_NOT_DISTURB`.
    DoNotDisturb,
    /// No session and no grace period.
    #[default]
    Offline,
}

impl Status {
    /// Every status, in the order in which they are listed and counted.
    pub const ALL: [Self; 4] = [Self::Online, Self::Idle, Self::DoNotDisturb, Self::Offline];

    /// Returns the value on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "ONLINE",
            Self::Idle => "IDLE",
            Self::DoNotDisturb => "DO_NOT_DISTURB",
            Self::Offline => "OFFLINE",
        }
    }
}

/// The status that the user wants to be shown as while present. Durable; it makes nobody present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CustomStatus {
    /// Shown as the sessions and reports say: `ONLINE` or `IDLE`, or `DO_NOT_DISTURB` if a report says so.
    #[default]
    Online,
    /// Shown as `IDLE`, unless a newer report says `DO_NOT_DISTURB`.
    Idle,
    /// Shown as `DO_NOT_DISTURB`, whatever sessions and reports say.
    DoNotDisturb,
}

impl CustomStatus {
    /// Returns the value on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "ONLINE",
            Self::Idle => "IDLE",
            Self::DoNotDisturb => "DO_NOT_DISTURB",
        }
    }
}

/// The author of a change of custom status. On the wire and on disk: the variant in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Actor {
    /// The user: the change counts as activity and moves last active.
    User,
    /// An operator: the change takes effect the same way, but is no activity and moves no time.
    Operator,
}

impl Actor {
    /// Returns the value on the wire and on disk.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Operator => "operator",
        }
    }
}

/// A text that names no value of the enum it was parsed as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one of the expected values")]
pub struct UnknownValue;

impl FromStr for Status {
    type Err = UnknownValue;

    fn from_str(value: &str) -> Result<Self, UnknownValue> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == value)
            .ok_or(UnknownValue)
    }
}

impl FromStr for CustomStatus {
    type Err = UnknownValue;

    fn from_str(value: &str) -> Result<Self, UnknownValue> {
        [Self::Online, Self::Idle, Self::DoNotDisturb]
            .into_iter()
            .find(|status| status.as_str() == value)
            .ok_or(UnknownValue)
    }
}

impl FromStr for Actor {
    type Err = UnknownValue;

    fn from_str(value: &str) -> Result<Self, UnknownValue> {
        [Self::User, Self::Operator]
            .into_iter()
            .find(|actor| actor.as_str() == value)
            .ok_or(UnknownValue)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for CustomStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
