//! Everyone the stream has told of: who is present, and who left since the dashboard was opened. Rows stand in slots, so that
//! the table can order a hundred thousand of them by number. Only the stream changes it; times are refreshed by answers.

use std::collections::{HashMap, VecDeque};

use presence::wire::record::{Record, Update};
use presence::wire::rest::Counts;
use presence::{Reason, Status, UserId, Wall};

use super::change_log::Change;
use super::node_names::NodeNames;
pub(crate) use super::row::Row;
use super::row::{Unapplied, blank, change_of, change_of_record, fill};

/// How many of those who left are remembered.
pub(crate) const DEPARTED_MAX: usize = 5_000;

/// Where a row stands.
pub(crate) type Slot = u32;

/// Everyone.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct KnownUsers {
    slots: Vec<Option<Row>>,
    free: Vec<Slot>,
    /// Free too, but still among those that changed.
    reserved: Vec<Slot>,
    index: HashMap<UserId, Slot>,
    counts: Counts,
    /// Who left, in that order, with the number of the leaving: whoever came back meanwhile has another one.
    departed: VecDeque<(Slot, u32)>,
    /// How many of them are still away.
    departed_count: usize,
    /// The number of the last leaving.
    departures: u32,
    /// Rows that changed since the table took them over, each once.
    touched: Vec<Slot>,
    nodes: NodeNames,
    /// Which snapshot is being read.
    generation: u32,
    /// When the first whole snapshot was there: it is the beginning and no change.
    started_at: Option<Wall>,
    /// How many rows the stream told of since the table took them over.
    unapplied_changes: usize,
}

impl KnownUsers {
    /// Everyone present by status.
    pub(crate) const fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether a whole picture was seen.
    pub(crate) const fn is_started(&self) -> bool {
        self.started_at.is_some()
    }

    /// The row of a user, present or not.
    pub(crate) fn find(&self, user: &UserId) -> Option<(Slot, &Row)> {
        let slot = *self.index.get(user.as_str())?;
        Some((slot, self.row(slot)?))
    }

    /// The row in a slot.
    pub(crate) fn row(&self, slot: Slot) -> Option<&Row> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// Where the nodes of a row stand among all, by name.
    pub(crate) fn node_rank(&self, row: &Row) -> i64 {
        i64::try_from(self.nodes.rank(self.node_name(row))).unwrap_or(i64::MAX)
    }

    /// The table is to look at a user again.
    pub(crate) fn touch_user(&mut self, user: &UserId) {
        if let Some(slot) = self.index.get(user.as_str()).copied() {
            self.touch(slot);
        }
    }

    /// How many slots there are, used or not.
    pub(crate) const fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The nodes of a row, for people.
    pub(crate) fn node_name(&self, row: &Row) -> &str {
        self.nodes.name(row.node)
    }

    /// A snapshot begins.
    pub(crate) const fn begin_snapshot(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }

    /// StreamEvent of users: what changed by them. What is known already changes nothing.
    pub(crate) fn apply(&mut self, users: Vec<Update>, now: Wall) -> Vec<Change> {
        let is_started = self.is_started();
        users
            .into_iter()
            .filter_map(|update| self.apply_one(update, now))
            .filter(|_| is_started)
            .collect()
    }

    /// The snapshot is whole. Whoever is missing in a complete one has gone.
    pub(crate) fn end_snapshot(&mut self, is_complete: bool, now: Wall) -> Vec<Change> {
        let mut changes = Vec::new();
        if is_complete {
            let generation = self.generation;
            let missing = |row: &Row| row.status != Status::Offline && row.generation != generation;
            let slots: Vec<Slot> = (0..)
                .zip(&self.slots)
                .filter(|(_, row)| row.as_ref().is_some_and(missing))
                .map(|(slot, _)| slot)
                .collect();
            changes = slots
                .into_iter()
                .filter_map(|slot| self.presume_offline(slot, now))
                .collect();
        }
        self.started_at = self.started_at.or(Some(now));
        changes
    }

    /// TimeDisplay and sessions as a question found them: they ride along with changes and cause none. What is older or newer
    /// than what the stream told is left to the stream.
    pub(crate) fn refresh(&mut self, records: Vec<Record>) {
        for record in records {
            let Some(slot) = self.index.get(record.user_id.as_str()).copied() else {
                continue;
            };
            let node = self.node_number(record.nodes.as_deref().unwrap_or_default());
            let Some(row) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else {
                continue;
            };
            let is_now_known = row.is_presumed_offline && record.status == Status::Offline;
            if is_now_known && row.revision < record.revision {
                fill(row, &record, node);
                self.touch(slot);
            } else if row.revision == record.revision {
                row.last_active = row.last_active.max(record.last_active);
                row.last_seen = row.last_seen.max(record.last_seen);
                row.sessions = record.sessions.unwrap_or(row.sessions);
                row.node = node;
                self.touch(slot);
            }
        }
    }

    /// Lets go of those who left first, if more did than are remembered; never of the one that is looked at.
    pub(crate) fn evict_departed(&mut self, looked_at: Option<&UserId>) {
        while self.departed_count > DEPARTED_MAX {
            let Some((slot, departure)) = self.departed.pop_front() else {
                return;
            };
            let row = self.row(slot).filter(|row| row.departure == departure);
            if row.is_some_and(|row| Some(&row.user) == looked_at) {
                self.departed.push_back((slot, departure));
            } else if row.is_some() {
                self.remove(slot);
            }
        }
        if self.departed.len() > 2 * DEPARTED_MAX {
            let slots = &self.slots;
            let is_departed = |slot: Slot, departure| {
                let row = slots.get(slot as usize).and_then(Option::as_ref);
                row.is_some_and(|row| row.departure == departure)
            };
            self.departed.retain(|(slot, departure)| is_departed(*slot, *departure));
        }
    }

    /// What changed since the last call, each once; rows that are to go are still there.
    pub(crate) fn take_unapplied(&mut self) -> Vec<Slot> {
        let mut touched = std::mem::take(&mut self.touched);
        let slots = &mut self.slots;
        touched.retain(|slot| {
            let row = slots.get_mut(*slot as usize).and_then(Option::as_mut);
            row.is_some_and(|row| {
                (row.unapplied, row.is_in_table) = (Unapplied::Nothing, true);
                true
            })
        });
        self.free.append(&mut self.reserved);
        self.unapplied_changes = 0;
        touched
    }

    /// Whether a row is to go. [`Self::drop_row`] does it, once nothing points at it.
    pub(crate) fn is_removed(&self, slot: Slot) -> bool {
        self.row(slot).is_none_or(|row| row.is_removed)
    }

    /// Nothing points at the row any more.
    pub(crate) fn drop_row(&mut self, slot: Slot) {
        if self.row(slot).is_some_and(|row| row.is_removed) {
            self.slots[slot as usize] = None;
            self.free.push(slot);
        }
    }

    /// How many users changed since the table took them over, by what the stream told.
    pub(crate) const fn unapplied_changes(&self) -> usize {
        self.unapplied_changes
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
        let row = self.slots.get_mut(slot as usize)?.as_mut()?;
        row.generation = generation;
        if record.revision < row.revision {
            return None;
        }
        let is_newer = record.revision > row.revision;
        let (from, custom_status, note) = (row.status, row.custom_status, row.note);
        let row = fill(row, &record, node);
        // A snapshot repeats what is as it was, after a restart with a higher revision.
        let differs = from != row.status || custom_status != row.custom_status || note != row.note;
        let change = (is_newer && differs).then(|| Change {
            at: if from == row.status {
                now
            } else {
                row.since.unwrap_or(now)
            },
            custom_status: row.custom_status.filter(|_| row.custom_status != custom_status),
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
        // Whoever came and went between two words left since, and chose nothing; a choice made while away motion no time.
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
            ..change_of_record(&row, Status::Offline)
        };
        if only_custom_status {
            return Some(change);
        }
        let reserved = self.reserved.pop();
        if reserved.is_some() {
            row.unapplied = Unapplied::Refresh;
        }
        let slot = reserved.or_else(|| self.free.pop()).unwrap_or_else(|| {
            self.slots.push(None);
            Slot::try_from(self.slots.len() - 1).unwrap_or(Slot::MAX)
        });
        self.index.insert(row.user.clone(), slot);
        self.slots[slot as usize] = Some(row);
        self.count(slot, Status::Offline, record.status);
        if !is_present {
            self.record_departure(slot);
        }
        self.touch_changed(slot);
        Some(change)
    }

    /// Shows a user as gone of whom nothing was told but that it is not present.
    fn presume_offline(&mut self, slot: Slot, now: Wall) -> Option<Change> {
        let row = self.slots.get_mut(slot as usize)?.as_mut()?;
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

    /// Nobody finds the row any more; the table may still hold it.
    fn remove(&mut self, slot: Slot) {
        let Some(row) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else {
            return;
        };
        let from = std::mem::replace(&mut row.status, Status::Offline);
        row.is_removed = true;
        let (user, is_in_table) = (row.user.clone(), row.is_in_table);
        self.index.remove(user.as_str());
        self.count(slot, from, Status::Offline);
        self.clear_departure(slot);
        if is_in_table {
            self.touch(slot);
        } else {
            // Nothing ever pointed at it, and nothing may for long: while the table is held.
            self.slots[slot as usize] = None;
            self.reserved.push(slot);
        }
    }

    /// Counts a user as shown otherwise.
    fn count(&mut self, slot: Slot, from: Status, to: Status) {
        if let Some(count) = self.counts.of(from) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = self.counts.of(to) {
            *count += 1;
        }
        match (from, to) {
            (Status::Offline, Status::Offline) => {}
            (_, Status::Offline) => self.record_departure(slot),
            (Status::Offline, _) => self.clear_departure(slot),
            _ => {}
        }
    }

    /// The user is the last one who left.
    fn record_departure(&mut self, slot: Slot) {
        self.departures = self.departures.wrapping_add(1).max(1);
        if let Some(row) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) {
            row.departure = self.departures;
            self.departed.push_back((slot, self.departures));
            self.departed_count += 1;
        }
    }

    /// The user is none of those who left.
    fn clear_departure(&mut self, slot: Slot) {
        if let Some(row) = self.slots.get_mut(slot as usize).and_then(Option::as_mut)
            && std::mem::take(&mut row.departure) != 0
        {
            self.departed_count = self.departed_count.saturating_sub(1);
        }
    }

    /// The stream reported a change of the row.
    fn touch_changed(&mut self, slot: Slot) {
        if let Some(row) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) {
            match std::mem::replace(&mut row.unapplied, Unapplied::Change) {
                Unapplied::Nothing => self.touched.push(slot),
                Unapplied::Refresh => {}
                Unapplied::Change => return,
            }
            self.unapplied_changes += 1;
        }
    }

    fn touch(&mut self, slot: Slot) {
        if let Some(row) = self.slots.get_mut(slot as usize).and_then(Option::as_mut)
            && row.unapplied == Unapplied::Nothing
        {
            row.unapplied = Unapplied::Refresh;
            self.touched.push(slot);
        }
    }

    fn node_number(&mut self, names: &[String]) -> u16 {
        let used = self.slots.iter().flatten().map(|row| row.node);
        self.nodes.number(names, used)
    }
}
