//! The users that went OFFLINE, in the order of departure: the earliest are evicted first.

use std::collections::VecDeque;

use presence::UserId;

use super::row::Row;
use super::row_slots::{RowSlots, Slot};

/// How many departed users are kept.
pub(crate) const DEPARTED_MAX: usize = 5_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NumberedDeparture {
    slot: Slot,
    /// A user who came back has another number, so this departure no longer counts.
    number: u32,
}

impl NumberedDeparture {
    /// The row of the user, unless the user came back since.
    fn row(self, rows: &RowSlots) -> Option<&Row> {
        rows.get(self.slot).filter(|row| row.departure == self.number)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Departures {
    /// The earliest first.
    queue: VecDeque<NumberedDeparture>,
    /// How many users in `queue` are still OFFLINE.
    count: usize,
    /// The last departure number.
    last: u32,
}

impl Departures {
    pub(super) fn record(&mut self, slot: Slot, row: &mut Row) {
        self.last = self.last.wrapping_add(1).max(1);
        row.departure = self.last;
        let number = self.last;
        self.queue.push_back(NumberedDeparture { slot, number });
        self.count += 1;
    }

    /// The user came back or was removed.
    pub(super) fn clear(&mut self, row: &mut Row) {
        if std::mem::take(&mut row.departure) != 0 {
            self.count = self.count.saturating_sub(1);
        }
    }

    /// The earliest departure while there are more than the limit, but never that of the selected user. The caller
    /// removes its row.
    pub(super) fn next_evicted(&mut self, rows: &RowSlots, selected: Option<&UserId>) -> Option<Slot> {
        while self.count > DEPARTED_MAX {
            let departure = self.queue.pop_front()?;
            match departure.row(rows) {
                Some(row) if Some(&row.user) == selected => self.queue.push_back(departure),
                Some(_) => return Some(departure.slot),
                None => {}
            }
        }
        None
    }

    /// Drops the departures of users who came back, once they are many.
    pub(super) fn compact(&mut self, rows: &RowSlots) {
        if self.queue.len() > 2 * DEPARTED_MAX {
            self.queue.retain(|departure| departure.row(rows).is_some());
        }
    }
}
