//! The rows of users in slots, so that the table can sort a hundred thousand of them by number, and which of them the table
//! has not applied yet. A slot is not used again while the table, or the list of what it has not applied, refers to it.

use super::row::{Row, Unapplied};

/// The index of a row.
pub(crate) type Slot = u32;

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Rows {
    slots: Vec<Option<Row>>,
    free: Vec<Slot>,
    /// Slots without a row that are still in `touched`.
    reserved: Vec<Slot>,
    /// Rows that changed since the table applied them, each once.
    touched: Vec<Slot>,
    /// Rows that the stream changed since the table applied them.
    unapplied_changes: usize,
}

impl Rows {
    pub(super) fn get(&self, slot: Slot) -> Option<&Row> {
        self.slots.get(slot as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Row> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &Row)> {
        let rows = (0..).zip(&self.slots);
        rows.filter_map(|(slot, row)| Some((slot, row.as_ref()?)))
    }

    /// All slots, with or without a row.
    pub(super) const fn slots(&self) -> usize {
        self.slots.len()
    }

    /// How many rows the stream changed since the table applied them.
    pub(super) const fn unapplied_changes(&self) -> usize {
        self.unapplied_changes
    }

    pub(super) fn insert(&mut self, mut row: Row) -> Slot {
        let reserved = self.reserved.pop();
        if reserved.is_some() {
            row.unapplied = Unapplied::Refresh;
        }
        let slot = reserved.or_else(|| self.free.pop()).unwrap_or_else(|| {
            self.slots.push(None);
            Slot::try_from(self.slots.len() - 1).unwrap_or(Slot::MAX)
        });
        self.slots[slot as usize] = Some(row);
        slot
    }

    /// Marks a row as removed. It is dropped once the table has no reference to it.
    pub(super) fn remove(&mut self, slot: Slot) {
        let Some(row) = self.get_mut(slot) else { return };
        row.is_removed = true;
        if row.is_in_table {
            self.touch(slot);
        } else {
            // The table has no reference to it, and may not ask for a long time: while it is paused.
            self.slots[slot as usize] = None;
            self.reserved.push(slot);
        }
    }

    /// Drops a row that was removed.
    pub(super) fn drop_removed(&mut self, slot: Slot) {
        if self.get(slot).is_some_and(|row| row.is_removed) {
            self.slots[slot as usize] = None;
            self.free.push(slot);
        }
    }

    /// The rows that changed since the last call, each once, including removed ones.
    pub(super) fn take_unapplied(&mut self) -> Vec<Slot> {
        let mut touched = std::mem::take(&mut self.touched);
        touched.retain(|slot| {
            self.get_mut(*slot).is_some_and(|row| {
                (row.unapplied, row.is_in_table) = (Unapplied::Nothing, true);
                true
            })
        });
        self.free.append(&mut self.reserved);
        self.unapplied_changes = 0;
        touched
    }

    /// The stream changed the row.
    pub(super) fn touch_changed(&mut self, slot: Slot) {
        let Some(row) = self.get_mut(slot) else { return };
        match std::mem::replace(&mut row.unapplied, Unapplied::Change) {
            Unapplied::Nothing => self.touched.push(slot),
            Unapplied::Refresh => {}
            Unapplied::Change => return,
        }
        self.unapplied_changes += 1;
    }

    /// The table must apply the row again, though the stream did not change it.
    pub(super) fn touch(&mut self, slot: Slot) {
        if let Some(row) = self.get_mut(slot)
            && row.unapplied == Unapplied::Nothing
        {
            row.unapplied = Unapplied::Refresh;
            self.touched.push(slot);
        }
    }
}
