//! Sessions that an outside gateway reports. They belong to no node and know no grace.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::durable::{Preference, Version};
use crate::sessions::Activity;
use crate::status::{CustomStatus, Status};
use crate::time::{Mono, Wall};

/// Longest name of a source, in bytes.
pub const SOURCE_MAX_BYTES: usize = 64;
/// Longest time for which a report may hold, in seconds.
pub const REPORT_TTL_MAX_SECONDS: u64 = 86_400;

/// Who reports: 1 to 64 of `A-Za-z0-9._-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Source(Box<str>);

/// The text names no source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a source is 1 to 64 of A-Z a-z 0-9 . _ -")]
pub struct InvalidSource;

impl FromStr for Source {
    type Err = InvalidSource;

    fn from_str(text: &str) -> Result<Self, InvalidSource> {
        let fits = (1..=SOURCE_MAX_BYTES).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if fits {
            Ok(Self(Box::from(text)))
        } else {
            Err(InvalidSource)
        }
    }
}

impl Default for Source {
    fn default() -> Self {
        Self(Box::from("gateway"))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Source {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a gateway says, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportInput {
    /// Whose word it is.
    pub source: Source,
    /// The state; `OFFLINE` ends the report.
    pub status: Status,
    /// For how long it holds without being refreshed; for ever if none.
    pub ttl: Option<Duration>,
    /// Whether the user did something, by this report.
    pub update_last_active: bool,
}

/// A report that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Whose word it is.
    pub source: Source,
    /// ONLINE is an active session, IDLE an idle one, DO_NOT_DISTURB asks to be shown as that.
    pub status: CustomStatus,
    /// When the source opened it.
    pub since: Wall,
    /// When it was last made or refreshed.
    pub heard: Wall,
    /// The version of the write that made or refreshed it: it is newer than a custom status with a lower one.
    pub version: Version,
    /// Whether, and when, it last said that the user did something.
    pub last_active: Option<Wall>,
    /// When it ends by itself.
    pub expires: Option<Mono>,
}

impl Report {
    /// Whether it is newer than the custom status; an older one abstains, so the latest word wins.
    #[must_use]
    pub fn counts_after(&self, preference: &Preference) -> bool {
        self.version > preference.version
    }

    /// What it says of activity.
    #[must_use]
    pub fn activity(&self) -> Activity {
        match self.status {
            CustomStatus::Idle => Activity::Idle,
            CustomStatus::Online => Activity::Active,
            CustomStatus::DoNotDisturb => Activity::Unknown,
        }
    }
}
