//! The rule of presence: which status is shown, and why. The first condition that matches decides.

use serde::{Deserialize, Serialize};

use crate::durable_part::Preference;
use crate::report::Report;
use crate::sessions::{Activity, Contribution};
use crate::status::{CustomStatus, Status};

/// Why a status is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No session and no grace period.
    #[default]
    NoSession,
    /// The custom status is DO_NOT_DISTURB or IDLE.
    Custom,
    /// A report says DO_NOT_DISTURB.
    Reported,
    /// All sessions with known activity are idle.
    Inactive,
    /// Connected; no idle report and no custom status.
    Active,
}

impl Reason {
    /// The text on the wire.
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

/// The outcome of the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The status to show.
    pub status: Status,
    /// Which rule decided, 1 to 5.
    pub rule: u8,
    /// The condition that matched.
    pub reason: Reason,
}

impl Default for Decision {
    /// The decision for a user of whom nothing is known.
    fn default() -> Self {
        Self {
            status: Status::Offline,
            rule: 1,
            reason: Reason::NoSession,
        }
    }
}

/// Decides from every node's contribution, the reports and the custom status. `chosen` is the activity of a custom status that
/// the user set by a request: it counts like a session's, and keeps nobody present.
#[must_use]
pub fn decide(
    contributions: &[Contribution],
    reports: &[Report],
    preference: &Preference,
    chosen: Activity,
) -> Decision {
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
    let counted = || reports.iter().filter(|report| report.counts_after(preference));
    if counted().any(|report| report.status == CustomStatus::DoNotDisturb) {
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
        .chain(counted().map(Report::activity))
        .fold(chosen, Activity::and);
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
