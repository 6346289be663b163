//! What the store keeps of users and nodes, as values. No SQL lives here.

use std::sync::Arc;

use presence::{
    Actor, CustomStatus, History, NodeName, Preference, Revision, Source, Status, SystemWall, UserId, Version, Wall,
};

use super::StoreError;

/// All that is stored of one user.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Row {
    pub(crate) durable: DurableRow,
    pub(crate) status: Status,
    pub(crate) since: Option<Wall>,
    /// The nodes where the user had connections, or lost ones in grace, when the status was written: each as often as
    /// sessions would be in grace if it stopped then.
    pub(crate) connected_on: Arc<[NodeName]>,
    pub(crate) last_seen: Option<Wall>,
    pub(crate) last_active: Option<Wall>,
    /// Of which revision `status`, `since` and `connected_on` are.
    pub(crate) revision: Revision,
}

impl Row {
    /// Every time in it that was the present when it was written.
    pub(crate) fn times(&self) -> impl Iterator<Item = Wall> {
        let reports = self.durable.reports.iter();
        let of_reports = reports.flat_map(|report| [Some(report.since), Some(report.heard), report.last_active]);
        let own = [
            self.since,
            self.last_seen,
            self.last_active,
            self.durable.preference.set_at,
        ];
        own.into_iter().chain(of_reports).flatten()
    }
}

/// What a read of one user came to. A row that can't be understood fails alone.
pub(crate) type LoadedRow = Result<Option<Row>, StoreError>;

/// A user of a list; a row that can't be understood fails alone.
pub(crate) type ListedRow = (UserId, Result<Row, StoreError>);

/// Custom status and reports as one write left them: [`presence::DurablePart`] with deadlines on the wall clock.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct DurableRow {
    /// The version of the last write; 0 if there was none.
    pub(crate) version: Version,
    pub(crate) preference: Preference,
    /// Ordered by source.
    pub(crate) reports: Vec<ReportRow>,
}

/// A stored report. See [`presence::Report`], which differs in having its deadline on the monotonic clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReportRow {
    pub(crate) source: Source,
    pub(crate) status: CustomStatus,
    /// When the source opened it.
    pub(crate) since: Wall,
    /// When it was last made or refreshed.
    pub(crate) heard: Wall,
    /// The version of the write that made or refreshed it.
    pub(crate) version: Version,
    /// The version of the write that first said what it says.
    pub(crate) said: Version,
    pub(crate) last_active: Option<Wall>,
    /// When it ends by itself; never, if none.
    pub(crate) expires_at: Option<Wall>,
}

/// A custom status to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NewPreference {
    pub(crate) custom: CustomStatus,
    pub(crate) set_at: Wall,
    pub(crate) set_by: Actor,
}

/// A report to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewReport {
    pub(crate) source: Source,
    pub(crate) status: CustomStatus,
    /// The version of the write that first said the same, if this is a refresh that says nothing new.
    pub(crate) said: Option<Version>,
    pub(crate) since: Wall,
    pub(crate) heard: Wall,
    pub(crate) last_active: Option<Wall>,
    pub(crate) expires_at: Option<Wall>,
}

/// The times of the user that a report moves. They only ever move forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReportTimes {
    /// When the report was received.
    pub(crate) last_seen: Wall,
    /// The same, if it reports that the user did something.
    pub(crate) last_active: Option<Wall>,
}

/// A report whose deadline has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExpiredReport {
    pub(crate) user: UserId,
    pub(crate) source: Source,
    /// The version that expired: a report that was refreshed since has a higher one, and stays.
    pub(crate) version: Version,
}

/// The part of a row that is written behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StatusRow {
    pub(crate) user: UserId,
    pub(crate) status: Status,
    pub(crate) since: Option<Wall>,
    /// All nodes where the user has connections, or lost ones in grace: each as often as sessions would be in grace if it
    /// stopped now. Shared, so that rows of one node need no allocation.
    pub(crate) connected_on: Arc<[NodeName]>,
    /// Moves forward only, also with a lower revision.
    pub(crate) last_seen: Option<Wall>,
    /// Moves forward only, also with a lower revision.
    pub(crate) last_active: Option<Wall>,
    /// A stored row with a higher one keeps its status, since and nodes.
    pub(crate) revision: Revision,
    /// Stored times after this are from a clock that was wrong, and are taken back to it.
    pub(crate) clamp_to: Option<Wall>,
    /// The version of the durable part that the log has with this status: the mark of this one or a lower one is cleared, a
    /// higher one that is stored is marked. None: marks stay.
    pub(crate) published: Option<Version>,
}

/// Of whom an operator revoked tokens, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredRevocation {
    /// SHA-256 of the user id.
    pub(crate) user_hash: [u8; 32],
    /// Tokens that were issued before this are revoked.
    pub(crate) issued_before: SystemWall,
    /// Of the last revocation of this user; above all that were there before it.
    pub(crate) number: u64,
}

/// What a running node leaves for its next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heartbeat {
    /// When the node was last alive.
    pub(crate) wall: Wall,
    /// The node gave no revision above this. Never goes down in the store.
    pub(crate) ceiling: u64,
    /// Whether the node ended with this heartbeat and had written everything.
    pub(crate) clean: bool,
    /// Which cursors of the run that ended so resume in the next one.
    pub(crate) history: Option<History>,
}

impl Heartbeat {
    /// As the store has it; a clean end alone leaves a history, of an incarnation from a revision on.
    pub(super) fn stored(wall: Wall, ceiling: Revision, clean: bool, history: Option<(i64, i64)>) -> Self {
        Self {
            wall,
            ceiling: ceiling.get(),
            clean,
            history: history.map(|(incarnation, from)| History {
                incarnation: incarnation.cast_unsigned(),
                from: Revision::new(u64::try_from(from).unwrap_or(u64::MAX)),
                to: ceiling,
            }),
        }
    }
}

/// What a running node leaves beside the store, for when the store can't be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Alive {
    /// When the node was last alive.
    pub(crate) wall: Wall,
    /// The node gave no revision above this.
    pub(crate) ceiling: u64,
    /// The wall clock of the last heartbeat that the store had taken. A store whose own is older is a backup that was put in
    /// its place.
    pub(crate) stored: Wall,
}

/// What a start needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Startup {
    /// The random number that tells the database from every other.
    pub(crate) identity: String,
    /// The last heartbeat of each node, ordered by name; none in a new store.
    pub(crate) heartbeats: Vec<(NodeName, Heartbeat)>,
    /// What the last run left beside the store.
    pub(crate) alive: Option<Alive>,
    /// Every user that was shown as present, was connected on some node or has a report, ordered by id; none for a node of a
    /// cluster, which reads them in pages when it needs them.
    pub(crate) present: Vec<(UserId, Row)>,
    /// What the last run changed, if it ended with everything written.
    pub(crate) past_changes: Option<PastChanges>,
    /// All revocations, in order of their numbers.
    pub(crate) revocations: Vec<StoredRevocation>,
}

/// The last changes of a run that ended with everything written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PastChanges {
    /// Which cursors resume: every change since then is in `changed`, but for removals.
    pub(crate) history: History,
    /// Users with the revision of their last change, the lowest first.
    pub(crate) changed: Vec<(UserId, Revision)>,
    /// No user was removed at a higher revision.
    pub(crate) removed_to: Revision,
}

impl Startup {
    /// The heartbeat that a node without a cluster continues from, whatever name it had then: the one with the highest
    /// ceiling. A run begins above all ceilings and raises its own with every heartbeat, so the last run's is the highest
    /// even if the clock was set back since. A run that could not write to the store to its end told more beside it.
    pub(crate) fn latest_heartbeat(&self) -> Option<Heartbeat> {
        let stored = self.latest_stored();
        let Some(alive) = self.alive else { return stored };
        match stored {
            Some(stored) if (stored.ceiling, stored.wall) >= (alive.ceiling, alive.wall) => Some(stored),
            Some(stored) => Some(Heartbeat {
                // Whoever a backup has as present was so when it was made, however short the downtime.
                wall: if stored.wall < alive.stored {
                    stored.wall
                } else {
                    alive.wall
                },
                ceiling: alive.ceiling,
                clean: false,
                history: None,
            }),
            None => Some(Heartbeat {
                wall: alive.wall,
                ceiling: alive.ceiling,
                clean: false,
                history: None,
            }),
        }
    }

    /// The last heartbeat that the store had taken, if it has only an older one: what was stored since is lost.
    pub(super) fn lost_heartbeat(&self) -> Option<Wall> {
        let stored = self.latest_stored()?;
        let had = self.alive?.stored;
        (had > stored.wall).then_some(had)
    }

    /// The heartbeat with the highest ceiling in the store alone.
    pub(super) fn latest_stored(&self) -> Option<Heartbeat> {
        let heartbeats = self.heartbeats.iter().map(|(_, heartbeat)| *heartbeat);
        heartbeats.max_by_key(|heartbeat| (heartbeat.ceiling, heartbeat.wall))
    }
}
