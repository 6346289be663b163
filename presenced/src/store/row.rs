//! What the store keeps of a user, as values. No SQL lives here.

use presence::profile::Stored;
use presence::{CustomStatus, Revision, Source, Status, UserId, Wall};

/// All that is on disk about one user.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Row {
    /// The profile. Its `reports` are left empty: deadlines of reports on disk are on the wall clock.
    pub(crate) stored: Stored,
    /// The reports, by source.
    pub(crate) reports: Vec<ReportRow>,
    /// Whether the user had a connection or a grace when this was written.
    pub(crate) connected: bool,
}

/// A report as it is on disk. See [`presence::Report`], which differs in running its end on the monotonic clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReportRow {
    /// Whose word it is.
    pub(crate) source: Source,
    /// What it says.
    pub(crate) status: CustomStatus,
    /// When the source opened it.
    pub(crate) since: Wall,
    /// When it was last made or refreshed.
    pub(crate) heard: Wall,
    /// Its place in the order of reports and custom statuses.
    pub(crate) order: Wall,
    /// When it last said that the user did something, if ever.
    pub(crate) last_active: Option<Wall>,
    /// When it ends by itself; never, if none.
    pub(crate) expires_at: Option<Wall>,
}

/// The times of the user that a report moves. They only ever move forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReportTimes {
    /// The moment of the report.
    pub(crate) last_seen: Wall,
    /// The same, if it says that the user did something.
    pub(crate) last_active: Option<Wall>,
}

/// A report whose time was up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExpiredReport {
    /// Whose.
    pub(crate) user: UserId,
    /// Of which source.
    pub(crate) source: Source,
    /// When it was last heard: one that was refreshed after that is not the one that expired, and stays.
    pub(crate) heard: Wall,
}

/// The part of a profile that is written behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StatusRow {
    /// Whose.
    pub(crate) user: UserId,
    /// The status.
    pub(crate) status: Status,
    /// Since when.
    pub(crate) since: Option<Wall>,
    /// Whether there is a connection or a grace.
    pub(crate) connected: bool,
    /// When last heard. Moves forward only, whatever the revision.
    pub(crate) last_seen: Option<Wall>,
    /// When last active. Moves forward only, whatever the revision.
    pub(crate) last_active: Option<Wall>,
    /// Of which revision this is; a row on disk with a higher one keeps its status.
    pub(crate) revision: Revision,
}

/// What the daemon leaves for its next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heartbeat {
    /// When the daemon was last alive.
    pub(crate) wall: Wall,
    /// No revision above this was ever given. Never goes down on disk.
    pub(crate) ceiling: u64,
    /// Whether the daemon wrote this as its last word before it ended.
    pub(crate) clean: bool,
}

/// What a start finds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Startup {
    /// The last heartbeat; none in a new file.
    pub(crate) heartbeat: Option<Heartbeat>,
    /// Everyone with `connected` or with a report, by user id.
    pub(crate) present: Vec<(UserId, Row)>,
}
