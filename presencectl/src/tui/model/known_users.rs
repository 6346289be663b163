//! All users that the stream reported: the present ones, and those that went OFFLINE since the dashboard was opened.
//! Rows are in slots, so that the table can sort a hundred thousand of them by number. Only the stream changes them;
//! responses refresh their times.

use std::collections::HashMap;

use presence::wire::record::{Record, Update};
use presence::wire::rest::Counts;
use presence::{Reason, Revision, Status, UserId, Wall};
use unicode_width::UnicodeWidthStr;

use super::change_log::Change;
use super::departures::Departures;
use super::node_names::NodeNames;
pub(crate) use super::row::Row;
use super::row::{blank, change_of, change_of_record, fill, is_same_change};
use super::row_slots::RowSlots;
pub(crate) use super::row_slots::Slot;
use super::unapplied_rows::UnappliedRows;
use crate::output::escape::escape;

#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct KnownUsers {
    rows: RowSlots,
    index: HashMap<UserId, Slot>,
    counts: Counts,
    departures: Departures,
    unapplied: UnappliedRows,
    nodes: NodeNames,
    /// The columns of the longest id so far: the table's columns stay where they are when it is gone.
    pub(crate) widest_id: usize,
    /// The number of the snapshot in progress.
    generation: u32,
    /// The rows as they were at the start of a pause.
    held: HashMap<Slot, Row>,
    /// When the first snapshot was complete: it is the baseline and no change.
    started_at: Option<Wall>,
}

impl KnownUsers {
    /// The present users by status.
    pub(crate) const fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether a snapshot was completed.
    pub(crate) const fn is_started(&self) -> bool {
        self.started_at.is_some()
    }

    pub(crate) fn find(&self, user: &UserId) -> Option<(Slot, &Row)> {
        let slot = *self.index.get(user.as_str())?;
        Some((slot, self.row(slot)?))
    }

    pub(crate) fn row(&self, slot: Slot) -> Option<&Row> {
        self.rows.get(slot)
    }

    /// The row as it is drawn: during a pause as it was at its start.
    pub(crate) fn shown(&self, slot: Slot) -> Option<&Row> {
        self.held.get(&slot).or_else(|| self.row(slot))
    }

    /// Holds these rows as they are.
    pub(crate) fn hold(&mut self, slots: &[Slot]) {
        let row = |slot: &Slot| Some((*slot, self.row(*slot)?.clone()));
        self.held = slots.iter().filter_map(row).collect();
    }

    pub(crate) fn release(&mut self) {
        self.held = HashMap::new();
    }

    /// The position of a row's nodes among all, by name.
    pub(crate) fn node_rank(&self, row: &Row) -> i64 {
        i64::try_from(self.nodes.rank(self.node_name(row))).unwrap_or(i64::MAX)
    }

    /// Makes the table apply a user's row again.
    pub(crate) fn touch_user(&mut self, user: &UserId) {
        if let Some(slot) = self.index.get(user.as_str()).copied() {
            self.touch(slot);
        }
    }

    /// All slots, with or without a row.
    pub(crate) const fn slots(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn node_name(&self, row: &Row) -> &str {
        self.nodes.name(row.node)
    }

    pub(crate) const fn begin_snapshot(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }

    /// Applies updates from the stream and returns the changes. Updates that are known already change nothing.
    pub(crate) fn apply(&mut self, users: Vec<Update>, now: Wall) -> Vec<Change> {
        let is_started = self.is_started();
        users
            .into_iter()
            .filter_map(|update| self.apply_one(update, now))
            .filter(|_| is_started)
            .collect()
    }

    /// The snapshot is complete: a user missing in it is OFFLINE, unless it was resumed.
    pub(crate) fn end_snapshot(&mut self, is_complete: bool, now: Wall) -> Vec<Change> {
        let mut changes = Vec::new();
        if is_complete {
            let generation = self.generation;
            let missing = |row: &Row| row.status != Status::Offline && row.generation != generation;
            let rows = self.rows.iter().filter(|(_, row)| missing(row));
            let slots: Vec<Slot> = rows.map(|(slot, _)| slot).collect();
            changes = slots
                .into_iter()
                .filter_map(|slot| self.presume_offline(slot, now))
                .collect();
        }
        self.started_at = self.started_at.or(Some(now));
        changes
    }

    /// Times and sessions from a REST response, which are no change. A record of another change than the stream's last one
    /// is ignored; after a restart the same one has a higher revision.
    pub(crate) fn refresh(&mut self, records: Vec<Record>) {
        for record in records {
            let Some(slot) = self.index.get(record.user_id.as_str()).copied() else {
                continue;
            };
            let node = self.node_number(record.nodes.as_deref().unwrap_or_default());
            let Some(row) = self.rows.get_mut(slot) else {
                continue;
            };
            let is_now_known = row.is_presumed_offline && record.status == Status::Offline;
            if is_now_known && row.revision < record.revision {
                fill(row, &record, node);
                self.touch(slot);
            } else if is_same_change(row, &record) {
                row.last_active = row.last_active.max(record.last_active);
                row.last_seen = row.last_seen.max(record.last_seen);
                row.sessions = record.sessions.unwrap_or(row.sessions);
                row.node = node;
                self.touch(slot);
            }
        }
    }

    /// Evicts the earliest departures beyond the limit, but never the selected user.
    pub(crate) fn evict_departed(&mut self, selected: Option<&UserId>) {
        while let Some(slot) = self.departures.next_evicted(&self.rows, selected) {
            self.remove(slot);
        }
        self.departures.compact(&self.rows);
    }

    /// The rows that changed since the last call, each once, including removed ones.
    pub(crate) fn take_unapplied(&mut self) -> Vec<Slot> {
        self.unapplied.take(&mut self.rows)
    }

    /// Whether a row was removed. [`Self::drop_row`] drops it when the table has no reference left.
    pub(crate) fn is_removed(&self, slot: Slot) -> bool {
        self.row(slot).is_none_or(|row| row.is_removed)
    }

    pub(crate) fn drop_row(&mut self, slot: Slot) {
        if self.row(slot).is_some_and(|row| row.is_removed) {
            self.rows.free(slot);
        }
    }

    /// How many users the stream changed since the table applied them.
    pub(crate) const fn unapplied_changes(&self) -> usize {
        self.unapplied.changes()
    }

    fn apply_one(&mut self, update: Update, now: Wall) -> Option<Change> {
        let slot = self.index.get(update.user_id().as_str()).copied();
        match (update, slot) {
            (Update::Removed(removed), Some(slot)) => {
                let row = self.row(slot).filter(|row| row.revision < removed.revision)?;
                let change = Change {
                    revision: removed.revision,
                    ..change_of(row, None, now)
                };
                self.touch_changed(slot);
                self.remove(slot);
                Some(change)
            }
            (Update::Removed(_), None) => None,
            (Update::Record(record), Some(slot)) => self.on_known(slot, record, now),
            (Update::Record(record), None) => self.on_new(record, now),
        }
    }

    fn on_known(&mut self, slot: Slot, record: Record, now: Wall) -> Option<Change> {
        let node = self.node_number(record.nodes.as_deref().unwrap_or_default());
        let generation = self.generation;
        let row = self.rows.get_mut(slot)?;
        row.generation = generation;
        // A record with revision 0 is always taken.
        let is_never_seen = record.revision == Revision::NEVER;
        if record.revision < row.revision && !is_never_seen {
            return None;
        }
        let is_newer = record.revision > row.revision || is_never_seen;
        let (from, custom_status, note) = (row.status, row.custom_status, row.note);
        let row = fill(row, &record, node);
        // After a restart a snapshot repeats unchanged records with higher revisions.
        let differs = from != row.status || custom_status != row.custom_status || note != row.note;
        let change = (is_newer && differs).then(|| Change {
            at: row.since.filter(|_| from != row.status).unwrap_or(now),
            custom_status: row.custom_status.filter(|_| row.custom_status != custom_status),
            set_by: row.set_by.filter(|_| row.custom_status != custom_status),
            ..change_of_record(row, from)
        });
        self.count(slot, from, record.status);
        match change {
            Some(_) => self.touch_changed(slot),
            None => self.touch(slot),
        }
        change
    }

    fn on_new(&mut self, record: Record, now: Wall) -> Option<Change> {
        let node = self.node_number(record.nodes.as_deref().unwrap_or_default());
        let mut row = blank(record.user_id.clone(), self.generation);
        fill(&mut row, &record, node);
        let is_present = row.status != Status::Offline;
        // A user who connected and disconnected between two events departed since then and set no custom status; a
        // custom status set while OFFLINE moves no time.
        let has_departed = row
            .since
            .is_some_and(|since| self.started_at.is_some_and(|at| since > at));
        let only_custom_status = !is_present && !has_departed;
        let change = Change {
            at: if only_custom_status {
                now
            } else {
                row.since.unwrap_or(now)
            },
            custom_status: row.custom_status.filter(|_| only_custom_status),
            set_by: row.set_by.filter(|_| only_custom_status),
            ..change_of_record(&row, Status::Offline)
        };
        if only_custom_status {
            return Some(change);
        }
        let user = row.user.clone();
        self.widest_id = self.widest_id.max(escape(user.as_str()).width());
        let slot = self.rows.insert(row);
        self.index.insert(user, slot);
        self.count(slot, Status::Offline, record.status);
        if !is_present && let Some(row) = self.rows.get_mut(slot) {
            self.departures.record(slot, row);
        }
        self.touch_changed(slot);
        Some(change)
    }

    /// Marks a user as OFFLINE who is missing in a complete snapshot.
    fn presume_offline(&mut self, slot: Slot, now: Wall) -> Option<Change> {
        let row = self.rows.get_mut(slot)?;
        let change = Change {
            reason: Some(Reason::NoSession),
            ..change_of(row, Some(Status::Offline), now)
        };
        let from = std::mem::replace(&mut row.status, Status::Offline);
        (row.reason, row.note, row.since) = (Some(Reason::NoSession), None, None);
        (row.sessions, row.node, row.is_presumed_offline) = (0, 0, true);
        self.count(slot, from, Status::Offline);
        self.touch_changed(slot);
        Some(change)
    }

    /// Removes a user from the index; the table may still have a reference to the row.
    fn remove(&mut self, slot: Slot) {
        let Some(row) = self.rows.get_mut(slot) else {
            return;
        };
        let from = std::mem::replace(&mut row.status, Status::Offline);
        row.is_removed = true;
        let is_in_table = row.is_in_table;
        self.index.remove(row.user.as_str());
        self.count(slot, from, Status::Offline);
        if let Some(row) = self.rows.get_mut(slot) {
            self.departures.clear(row);
        }
        if is_in_table {
            self.touch(slot);
        } else {
            // The table has no reference to it, and may not ask for a long time: while it is paused.
            self.rows.reserve(slot);
        }
    }

    /// Updates the counts for a change of status.
    fn count(&mut self, slot: Slot, from: Status, to: Status) {
        if let Some(count) = self.counts.of(from) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = self.counts.of(to) {
            *count += 1;
        }
        let Some(row) = self.rows.get_mut(slot) else {
            return;
        };
        match (from, to) {
            (Status::Offline, Status::Offline) => {}
            (_, Status::Offline) => self.departures.record(slot, row),
            (Status::Offline, _) => self.departures.clear(row),
            _ => {}
        }
    }

    fn touch_changed(&mut self, slot: Slot) {
        if let Some(row) = self.rows.get_mut(slot) {
            self.unapplied.change(slot, row);
        }
    }

    fn touch(&mut self, slot: Slot) {
        if let Some(row) = self.rows.get_mut(slot) {
            self.unapplied.refresh(slot, row);
        }
    }

    fn node_number(&mut self, names: &[String]) -> u16 {
        let used = self.rows.iter().map(|(_, row)| row.node);
        self.nodes.number(names, used)
    }
}
