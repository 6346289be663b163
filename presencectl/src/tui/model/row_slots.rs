//! Rows in numbered slots, so that other lists refer to a row by a small number. The slots of removed rows are reused.

use super::row::{Row, Unapplied};

/// The number of a slot.
pub(crate) type Slot = u32;

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct RowSlots {
    rows: Vec<Option<Row>>,
    free: Vec<Slot>,
    /// Slots without a row that are still in the list of rows to apply.
    reserved: Vec<Slot>,
}

impl RowSlots {
    pub(super) fn get(&self, slot: Slot) -> Option<&Row> {
        self.rows.get(slot as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Row> {
        self.rows.get_mut(slot as usize)?.as_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &Row)> {
        let rows = (0..).zip(&self.rows);
        rows.filter_map(|(slot, row)| Some((slot, row.as_ref()?)))
    }

    /// The number of slots, with or without a row.
    pub(super) const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Stores a row. In a reserved slot it counts as refreshed: the slot is in the list of rows to apply already.
    pub(super) fn insert(&mut self, mut row: Row) -> Slot {
        let reserved = self.reserved.pop();
        if reserved.is_some() {
            row.unapplied = Unapplied::Refresh;
        }
        let slot = reserved.or_else(|| self.free.pop()).unwrap_or_else(|| {
            self.rows.push(None);
            Slot::try_from(self.rows.len() - 1).unwrap_or(Slot::MAX)
        });
        self.rows[slot as usize] = Some(row);
        slot
    }

    /// Drops a row; its slot is reused at once.
    pub(super) fn free(&mut self, slot: Slot) {
        self.rows[slot as usize] = None;
        self.free.push(slot);
    }

    /// Drops a row whose slot is still in the list of rows to apply.
    pub(super) fn reserve(&mut self, slot: Slot) {
        self.rows[slot as usize] = None;
        self.reserved.push(slot);
    }

    /// The list of rows to apply was emptied.
    pub(super) fn free_reserved(&mut self) {
        self.free.append(&mut self.reserved);
    }
}
