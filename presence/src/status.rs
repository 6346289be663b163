//! What others see of a user, and what the user asked to be seen as.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What others see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Present, and active as far as anyone knows.
    Online,
    /// Present, and away from the keyboard or shown so by custom status.
    Idle,
    /// Present, and asking not to be disturbed.
    DoNotDisturb,
    /// Nobody there.
    #[default]
    Offline,
}

impl Status {
    /// Every status, in the order in which they are listed and counted.
    pub const ALL: [Self; 4] = [Self::Online, Self::Idle, Self::DoNotDisturb, Self::Offline];

    /// The word on the wire.
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

/// What the user wants to be shown as while present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CustomStatus {
    /// As the sessions say.
    #[default]
    Online,
    /// Away, whatever the sessions say.
    Idle,
    /// Not to be disturbed, whatever the sessions say.
    DoNotDisturb,
}

impl CustomStatus {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "ONLINE",
            Self::Idle => "IDLE",
            Self::DoNotDisturb => "DO_NOT_DISTURB",
        }
    }
}

/// Who made a custom status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Actor {
    /// The user: it is activity.
    User,
    /// An operator: it takes effect alike, but moves no time.
    Operator,
}

impl Actor {
    /// The word on the wire and on disk.
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
