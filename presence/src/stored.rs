//! A profile as it is on disk, and what it tells of the sessions that the run that wrote it had.

use crate::durable_part::DurablePart;
use crate::revision::Revision;
use crate::rule::decide;
use crate::sessions::Activity;
use crate::status::{Actor, CustomStatus, Status};
use crate::time::Wall;

/// A profile as it is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stored {
    /// Custom status and reports.
    pub durable: DurablePart,
    /// The status last written.
    pub status: Status,
    /// When the status began.
    pub since: Option<Wall>,
    /// When the user was last heard.
    pub last_seen: Option<Wall>,
    /// When the user was last active.
    pub last_active: Option<Wall>,
    /// The revision last written.
    pub revision: Revision,
}

impl Stored {
    /// The latest time in it.
    #[must_use]
    pub fn latest_time(&self) -> Option<Wall> {
        let reports = self.durable.reports.iter();
        let of_reports = reports.flat_map(|report| [Some(report.since), Some(report.heard), report.last_active]);
        let own = [
            self.since,
            self.last_seen,
            self.last_active,
            self.durable.preference.set_at,
        ];
        own.into_iter().chain(of_reports).max().flatten()
    }

    /// The activity of the sessions that the previous run lost, as far as the stored values tell: the status stays what it
    /// was, and no user whose client never reports activity is held idle by a guess.
    #[must_use]
    pub fn activity_in_grace(&self) -> Activity {
        let DurablePart {
            preference, reports, ..
        } = &self.durable;
        // The custom status is on disk before the status that follows from it, which is written together with the activity
        // that it was. It may have been that of the idle session.
        let is_since_chosen = preference.set_by == Some(Actor::User)
            && preference.set_at > self.since
            && preference.set_at > self.last_active;
        let is_idle_without_sessions = || decide(&[], reports, preference, Activity::Unknown).status == Status::Idle;
        match self.status {
            Status::Online => Activity::Active,
            Status::Idle if preference.custom == CustomStatus::Idle || is_idle_without_sessions() => Activity::Unknown,
            Status::Idle if is_since_chosen => Activity::Active,
            Status::Idle => Activity::Idle,
            Status::DoNotDisturb | Status::Offline => Activity::Unknown,
        }
    }
}
