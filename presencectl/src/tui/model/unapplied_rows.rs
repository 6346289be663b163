//! The rows that changed since the table applied them: the stream applies records at once, the table before a draw.

use super::row::{Row, Unapplied};
use super::row_slots::{RowSlots, Slot};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct UnappliedRows {
    /// Each once, removed rows included.
    slots: Vec<Slot>,
    /// How many of them the stream changed.
    changes: usize,
}

impl UnappliedRows {
    /// Times or sessions of a row changed, or its selection.
    pub(super) fn refresh(&mut self, slot: Slot, row: &mut Row) {
        if row.unapplied == Unapplied::Nothing {
            row.unapplied = Unapplied::Refresh;
            self.slots.push(slot);
        }
    }

    /// The stream changed a row.
    pub(super) fn change(&mut self, slot: Slot, row: &mut Row) {
        match std::mem::replace(&mut row.unapplied, Unapplied::Change) {
            Unapplied::Nothing => self.slots.push(slot),
            Unapplied::Refresh => {}
            Unapplied::Change => return,
        }
        self.changes += 1;
    }

    /// How many rows the stream changed.
    pub(super) const fn changes(&self) -> usize {
        self.changes
    }

    /// Empties the list. The rows are in the table from now on.
    pub(super) fn take(&mut self, rows: &mut RowSlots) -> Vec<Slot> {
        let mut slots = std::mem::take(&mut self.slots);
        slots.retain(|slot| {
            rows.get_mut(*slot).is_some_and(|row| {
                (row.unapplied, row.is_in_table) = (Unapplied::Nothing, true);
                true
            })
        });
        rows.free_reserved();
        self.changes = 0;
        slots
    }
}
