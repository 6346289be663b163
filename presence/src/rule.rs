//! The rule of presence, once: which status is shown, and why. The first condition that fits decides.

use serde::{Deserialize, Serialize};

use crate::durable::Preference;
use crate::report::Report;
use crate::sessions::{Activity, Contribution};
use crate::status::{CustomStatus, Status};

/// Why a status is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No session and no grace.
    #[default]
    NoSession,
    /// The user, or an operator, chose it.
    Custom,
    /// A report says so.
    Reported,
    /// All sessions that speak of activity are idle.
    Inactive,
    /// Nothing speaks against it.
    Active,
}

impl Reason {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoSession => "no_session",
            Self::Custom => "custom",
            Self::Reported => "reported",
            Self::Inactive => "inactive",
            Self::Active => "active",
        }
    }
}

/// What the rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The status to show.
    pub status: Status,
    /// Which rule decided, 1 to 5.
    pub rule: u8,
    /// Why.
    pub reason: Reason,
}

impl Default for Decision {
    /// What it says of a user of whom nothing is known.
    fn default() -> Self {
        Self {
            status: Status::Offline,
            rule: 1,
            reason: Reason::NoSession,
        }
    }
}

/// Decides from every node's contribution, the reports and the custom status.
#[must_use]
pub fn decide(contributions: &[Contribution], reports: &[Report], preference: &Preference) -> Decision {
    let present = !reports.is_empty() || contributions.iter().any(Contribution::is_present);
    if !present {
        return Decision::default();
    }
    if preference.custom == CustomStatus::DoNotDisturb {
        return Decision {
            status: Status::DoNotDisturb,
            rule: 2,
            reason: Reason::Custom,
        };
    }
    let heard = || reports.iter().filter(|report| report.counts_after(preference));
    if heard().any(|report| report.status == CustomStatus::DoNotDisturb) {
        return Decision {
            status: Status::DoNotDisturb,
            rule: 2,
            reason: Reason::Reported,
        };
    }
    if preference.custom == CustomStatus::Idle {
        return Decision {
            status: Status::Idle,
            rule: 3,
            reason: Reason::Custom,
        };
    }
    let activity = contributions
        .iter()
        .map(Contribution::activity)
        .chain(heard().map(Report::activity))
        .fold(Activity::Unknown, Activity::and);
    match activity {
        Activity::Idle => Decision {
            status: Status::Idle,
            rule: 4,
            reason: Reason::Inactive,
        },
        Activity::Active | Activity::Unknown => Decision {
            status: Status::Online,
            rule: 5,
            reason: Reason::Active,
        },
    }
}
