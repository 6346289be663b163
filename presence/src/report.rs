//! Sessions that an outside gateway reports. They belong to no node and have no grace period.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::durable_part::{Preference, Version};
use crate::sessions::Activity;
use crate::status::{CustomStatus, Status};
use crate::time::{Mono, Now, Wall};

/// The longest name of a source, in bytes.
pub const SOURCE_MAX_BYTES: usize = 64;
/// The longest time for which a report may hold, in seconds.
pub const REPORT_TTL_MAX_SECONDS: u64 = 86_400;

/// The name of a reporting gateway: 1 to 64 of `A-Za-z0-9._-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Source(Box<str>);

/// The text is not a valid source.
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
    /// The text of the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One report as a gateway sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportInput {
    /// The gateway that holds the session.
    pub source: Source,
    /// The reported status; `OFFLINE` ends the report.
    pub status: Status,
    /// For how long it holds unless it is refreshed; without end if none.
    pub ttl: Option<Duration>,
    /// Whether the report is activity of the user.
    pub update_last_active: bool,
}

/// A report that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The gateway that holds the session.
    pub source: Source,
    /// ONLINE is an active session, IDLE an idle one, DO_NOT_DISTURB asks to be shown as that.
    pub status: CustomStatus,
    /// When the source opened it.
    pub since: Wall,
    /// When it was last made or refreshed.
    pub heard: Wall,
    /// The version of the write that made or refreshed it.
    pub version: Version,
    /// The version of the write that first said what it says: that word is newer than a custom status with a lower one. A
    /// refresh that says the same is nothing new.
    pub said: Version,
    /// When it last was activity of the user.
    pub last_active: Option<Wall>,
    /// Its deadline; none if it holds until it is ended.
    pub expires: Option<Mono>,
}

impl Report {
    /// The report that `input`, asked for at `taken`, opens, or refreshes if its source holds `before`; none if it ends one.
    /// `version` is that of its write.
    pub(crate) fn after(before: Option<&Self>, input: &ReportInput, taken: Now, version: Version) -> Option<Self> {
        let status = match input.status {
            Status::Offline => return None,
            Status::Online => CustomStatus::Online,
            Status::Idle => CustomStatus::Idle,
            Status::DoNotDisturb => CustomStatus::DoNotDisturb,
        };
        Some(Self {
            source: input.source.clone(),
            status,
            since: before.map_or(taken.wall, |report| report.since),
            heard: taken.wall,
            version,
            said: before
                .filter(|report| report.status == status)
                .map_or(version, |report| report.said),
            last_active: match input.update_last_active {
                true => Some(taken.wall),
                false => before.and_then(|report| report.last_active),
            },
            expires: input.ttl.map(|ttl| taken.mono.after(ttl)),
        })
    }

    /// Whether what it says is newer than the custom status. An older one keeps the user present and takes no part otherwise, so the
    /// latest of both wins.
    #[must_use]
    pub fn counts_after(&self, preference: &Preference) -> bool {
        self.said > preference.version
    }

    /// The activity that its status stands for.
    #[must_use]
    pub fn activity(&self) -> Activity {
        match self.status {
            CustomStatus::Idle => Activity::Idle,
            CustomStatus::Online => Activity::Active,
            CustomStatus::DoNotDisturb => Activity::Unknown,
        }
    }
}
