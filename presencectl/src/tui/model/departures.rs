//! Users that went OFFLINE since the dashboard was opened, in the order of departure. Only so many are kept.

use std::collections::VecDeque;

use presence::UserId;

use super::row::Row;
use super::rows::{Rows, Slot};

/// How many departed users are kept.
pub(crate) const DEPARTED_MAX: usize = 5_000;

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Departures {
    /// Each with its departure number: a user who came back has another number.
    order: VecDeque<(Slot, u32)>,
    /// How many users in `order` are still OFFLINE.
    count: usize,
    /// The last departure number.
    last: u32,
}

impl Departures {
    pub(super) fn record(&mut self, slot: Slot, row: &mut Row) {
        self.last = self.last.wrapping_add(1).max(1);
        row.departure = self.last;
        self.order.push_back((slot, self.last));
        self.count += 1;
    }

    /// The user is back, or gone for good.
    pub(super) fn clear(&mut self, row: &mut Row) {
        if std::mem::take(&mut row.departure) != 0 {
            self.count = self.count.saturating_sub(1);
        }
    }

    /// The next user to remove, while there are more than may be kept: the one who left first, but never the selected one.
    pub(super) fn next_evicted(&mut self, rows: &Rows, selected: Option<&UserId>) -> Option<Slot> {
        while self.count > DEPARTED_MAX {
            let (slot, departure) = self.order.pop_front()?;
            let Some(row) = rows.get(slot).filter(|row| row.departure == departure) else {
                continue;
            };
            if Some(&row.user) != selected {
                return Some(slot);
            }
            self.order.push_back((slot, departure));
        }
        if self.order.len() > 2 * DEPARTED_MAX {
            let is_departed = |slot: Slot, departure| rows.get(slot).is_some_and(|row| row.departure == departure);
            self.order.retain(|(slot, departure)| is_departed(*slot, *departure));
        }
        None
    }
}
