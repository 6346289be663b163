//! The rule of section 3.1 as its table reads, over plain lists. The daemon's random walk includes this file too.

use presence::{CustomStatus, Reason, Status};

/// The rule as the contract's table reads, over plain lists: the activity of each session (`None`: unknown), that of the
/// grace period if there is one, of each report its status and whether it is newer than the last custom status, and whether
/// a custom status that the user set by a request still counts like an active session.
pub(crate) fn plain_rule(
    connections: &[Option<KnownActivity>],
    grace: Option<Option<KnownActivity>>,
    reports: &[(CustomStatus, Age)],
    custom: CustomStatus,
    chosen: Option<KnownActivity>,
) -> (Status, u8, Reason) {
    if connections.is_empty() && grace.is_none() && reports.is_empty() {
        return (Status::Offline, 1, Reason::NoSession);
    }
    if custom == CustomStatus::DoNotDisturb {
        return (Status::DoNotDisturb, 2, Reason::Custom);
    }
    if reports.contains(&(CustomStatus::DoNotDisturb, Age::Newer)) {
        return (Status::DoNotDisturb, 2, Reason::Reported);
    }
    if custom == CustomStatus::Idle {
        return (Status::Idle, 3, Reason::Custom);
    }
    let mut known_activities: Vec<KnownActivity> = connections.iter().copied().flatten().collect();
    known_activities.extend(grace.flatten());
    known_activities.extend(chosen);
    for report in reports {
        match report {
            (CustomStatus::Online, Age::Newer) => known_activities.push(KnownActivity::Active),
            (CustomStatus::Idle, Age::Newer) => known_activities.push(KnownActivity::Idle),
            _ => {}
        }
    }
    if !known_activities.is_empty() && !known_activities.contains(&KnownActivity::Active) {
        return (Status::Idle, 4, Reason::Inactive);
    }
    (Status::Online, 5, Reason::Active)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KnownActivity {
    Idle,
    Active,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    /// Not newer than the last custom status.
    Older,
    Newer,
}
