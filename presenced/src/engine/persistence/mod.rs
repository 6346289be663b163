//! Persistence: which users are not on disk as they are in memory, and which must be read again. Statuses and times are written behind
//! ([`write_behind`]); durable changes are written by their use cases, and end here if their outcome is unknown
//! ([`retries`]).

mod retries;
mod write_behind;

use presence::{Mono, Now};

pub(super) use self::retries::{PendingLoads, UnknownOutcome, UnknownOutcomes};
pub(super) use self::write_behind::BATCH_MAX_USERS;
use self::write_behind::WriteBehind;
use super::users::{ExpiredSource, LockedEntry};
use crate::connection::Connection;
use crate::store::{ExpiredReport, Store};

/// How far a user's status and times are on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum OnDisk {
    /// As they are in memory.
    #[default]
    Current,
    /// They wait to be written.
    Queued,
    /// A write is under way.
    Writing,
    /// A write is under way, and they have changed since.
    WritingBehind,
}

/// The persistence's note about one user.
#[derive(Debug)]
pub(super) struct DiskState {
    on_disk: OnDisk,
    /// When last seen should be written again while nothing else is.
    times_due: Mono,
    /// How many sessions would have been in grace at the last change; the row on disk has it as well.
    places: u32,
}

impl Default for DiskState {
    fn default() -> Self {
        Self {
            on_disk: OnDisk::Current,
            times_due: Mono::from_millis(0),
            places: 0,
        }
    }
}

impl DiskState {
    /// Whether everything is on disk as it is in memory.
    pub(super) fn is_current(&self) -> bool {
        self.on_disk == OnDisk::Current
    }

    /// Whether it waits for the next batch.
    #[cfg(test)]
    pub(super) fn is_queued(&self) -> bool {
        self.on_disk == OnDisk::Queued
    }

    /// Whether it is being written as it is.
    #[cfg(test)]
    pub(super) fn is_writing(&self) -> bool {
        self.on_disk == OnDisk::Writing
    }

    /// Lets the times be written at the next occasion.
    #[cfg(test)]
    pub(super) fn set_times_due(&mut self, at: Mono) {
        self.times_due = at;
    }

    #[cfg(test)]
    pub(super) fn times_due(&self) -> Mono {
        self.times_due
    }
}

/// The store, and what waits to be written to it or to be read from it again.
pub(super) struct Persistence {
    pub(super) store: Store,
    pub(super) write_behind: WriteBehind,
    /// Users whose profile could not be loaded.
    pub(super) pending_loads: PendingLoads,
    /// Users with a durable write that may be done or not.
    pub(super) unknown_outcomes: UnknownOutcomes,
}

impl Persistence {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            write_behind: WriteBehind::default(),
            pending_loads: PendingLoads::default(),
            unknown_outcomes: UnknownOutcomes::default(),
        }
    }

    /// Queues the user's row if a change was published, or if a restart would now find more or fewer sessions in grace.
    pub(super) fn note_change(&self, entry: &mut LockedEntry<'_>, is_published: bool) {
        let places = entry.state.places();
        let before = std::mem::replace(&mut entry.disk.places, places);
        if is_published || before != places {
            self.write_behind.write_soon(entry);
        }
    }

    /// The user's times moved: they are written at most once a minute while nothing else of the user is. Whether they are now.
    pub(super) fn note_times(&self, entry: &mut LockedEntry<'_>, now: Now, conn: &Connection) -> bool {
        let is_due = entry.disk.times_due <= now.mono;
        if is_due {
            self.defer_times(entry, now, conn);
            self.write_behind.write_sometime(entry);
        }
        is_due
    }

    /// The user's times need not be written for a while: something else writes them.
    pub(super) fn defer_times(&self, entry: &mut LockedEntry<'_>, now: Now, conn: &Connection) {
        entry.disk.times_due = now.mono.after(write_behind::times_delay(conn.id()));
    }

    /// Queues the removal of a report that ended by the log.
    pub(super) fn end_report_of(&self, user: presence::UserId, source: presence::Source, version: presence::Version) {
        let expired = ExpiredReport { user, source, version };
        self.write_behind.expire_reports(std::iter::once(expired));
    }

    /// Queues the removal of expired reports from the disk.
    pub(super) fn expire_reports(&self, entry: &LockedEntry<'_>, expired: Vec<ExpiredSource>) {
        let of_user = |expired: ExpiredSource| ExpiredReport {
            user: entry.user().clone(),
            source: expired.source,
            version: expired.version,
        };
        if !expired.is_empty() {
            self.write_behind.expire_reports(expired.into_iter().map(of_user));
        }
    }
}
