//! The database as all nodes share it: versions of durable parts, marks, records, tombstones.

use std::collections::BTreeMap;

use presence::replication::{SharedPart, State};
use presence::{CustomStatus, Report, Revision, Source, Status, UserId, Version, Wall};

#[derive(Debug, Clone, Default)]
pub(crate) struct DbRow {
    pub(crate) durable: SharedPart,
    /// Since when the durable part may not be in the log.
    pub(crate) unpublished: Option<u64>,
    pub(crate) status: Status,
    pub(crate) revision: Revision,
    pub(crate) last_seen: Option<Wall>,
    pub(crate) last_active: Option<Wall>,
    pub(crate) since: Option<Wall>,
    /// Only the version is left.
    pub(crate) is_deleted: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Database {
    pub(crate) is_up: bool,
    pub(crate) rows: BTreeMap<UserId, DbRow>,
}

impl Database {
    /// A write of the durable part: its new version and the whole part.
    pub(crate) fn change(
        &mut self,
        user: &UserId,
        now: u64,
        change: impl FnOnce(&mut SharedPart, Version),
    ) -> SharedPart {
        let row = self.rows.entry(user.clone()).or_default();
        let version = row.durable.part.version.next();
        change(&mut row.durable, version);
        row.durable.part.version = version;
        row.unpublished = Some(now);
        row.is_deleted = false;
        row.durable.clone()
    }

    pub(crate) fn set_custom(&mut self, user: &UserId, now: u64, custom: CustomStatus) -> SharedPart {
        self.change(user, now, |durable, version| {
            durable.part.preference.custom = custom;
            durable.part.preference.version = version;
        })
    }

    pub(crate) fn set_report(&mut self, user: &UserId, now: u64, report: Report, end: Option<Wall>) -> SharedPart {
        self.change(user, now, |durable, version| {
            remove(durable, &report.source);
            let mut reports = std::mem::take(&mut durable.part.reports).into_vec();
            reports.push(Report {
                version,
                said: version,
                ..report
            });
            durable.part.reports = reports.into_boxed_slice();
            durable.ends.push(end);
        })
    }

    /// Of a user who was deleted there is none to end, and it stays so.
    pub(crate) fn end_reports(&mut self, user: &UserId, now: u64) -> SharedPart {
        let is_deleted = self.rows.get(user).is_some_and(|row| row.is_deleted);
        let part = self.change(user, now, |durable, _| {
            durable.part.reports = Box::default();
            durable.ends.clear();
        });
        self.rows.entry(user.clone()).or_default().is_deleted = is_deleted;
        part
    }

    /// A report that ended by itself; nothing if it was refreshed since.
    pub(crate) fn expire(&mut self, user: &UserId, source: &Source, version: Version) {
        if let Some(row) = self.rows.get_mut(user) {
            let is_it = |report: &Report| report.source == *source && report.version == version;
            if row.durable.part.reports.iter().any(is_it) {
                remove(&mut row.durable, source);
            }
        }
    }

    /// The write-behind of a log entry.
    pub(crate) fn write(&mut self, user: &UserId, now: u64, revision: Revision, state: &State) {
        if state.is_removed() {
            return;
        }
        let row = self.rows.entry(user.clone()).or_default();
        if revision > row.revision {
            row.revision = revision;
            row.status = state.status;
            row.since = state.since;
            row.is_deleted = false;
        }
        if !row.is_deleted {
            row.last_seen = row.last_seen.max(state.last_seen);
            row.last_active = row.last_active.max(state.last_active);
        }
        // An entry with an older part may have come late, after the user was dropped with the newer one.
        row.unpublished = match row.durable.part.version <= state.durable.part.version {
            true => None,
            false => row.unpublished.or(Some(now)),
        };
    }

    /// Times alone, which only grow.
    pub(crate) fn write_times(&mut self, user: &UserId, last_seen: Option<Wall>, last_active: Option<Wall>) {
        if let Some(row) = self.rows.get_mut(user).filter(|row| !row.is_deleted) {
            row.last_seen = row.last_seen.max(last_seen);
            row.last_active = row.last_active.max(last_active);
        }
    }

    pub(crate) fn published(&mut self, user: &UserId, version: Version) {
        if let Some(row) = self.rows.get_mut(user)
            && row.durable.part.version <= version
        {
            row.unpublished = None;
        }
    }

    /// Forgets a user: the durable part unless a newer one was written, the record unless a newer one was. Versions go on above.
    pub(crate) fn delete(&mut self, user: &UserId, revision: Revision, version: Version) -> SharedPart {
        let row = self.rows.entry(user.clone()).or_default();
        if row.durable.part.version <= version {
            let version = row.durable.part.version.next();
            row.durable = SharedPart::default();
            row.durable.part.version = version;
            row.unpublished = None;
            if row.revision <= revision {
                *row = DbRow {
                    durable: row.durable.clone(),
                    revision,
                    is_deleted: true,
                    ..DbRow::default()
                };
            }
        }
        row.durable.clone()
    }
}

fn remove(durable: &mut SharedPart, source: &Source) {
    let SharedPart { part, ends } = durable;
    let Some(at) = part.reports.iter().position(|report| report.source == *source) else {
        return;
    };
    let mut reports = std::mem::take(&mut part.reports).into_vec();
    reports.remove(at);
    ends.remove(at);
    part.reports = reports.into_boxed_slice();
}
