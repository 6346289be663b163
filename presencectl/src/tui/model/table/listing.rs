//! Sorting the table: completely, or by merging the changed rows. Selection and scrolling are not known here.

use std::cmp::Ordering;

use super::super::known_users::{KnownUsers, Slot};
use super::super::user_column::UserColumn;
use super::Table;

/// A row with the key that it is sorted by.
#[derive(Debug, Clone, Copy)]
struct Keyed {
    key: i64,
    slot: Slot,
}

impl Table {
    /// Inserts new users by id and removes those that are gone.
    pub(super) fn keep_by_user(&mut self, known_users: &KnownUsers, touched: &[Slot]) {
        let id = |slot: &Slot| known_users.row(*slot).map(|row| &row.user);
        if touched.iter().any(|slot| known_users.is_removed(*slot)) {
            self.by_user.retain(|slot| !known_users.is_removed(*slot));
        }
        let is_known = |slot: &Slot| self.by_user.binary_search_by(|other| id(other).cmp(&id(slot))).is_ok();
        let mut new: Vec<Slot> = touched
            .iter()
            .copied()
            .filter(|slot| !known_users.is_removed(*slot) && !is_known(slot))
            .collect();
        new.sort_unstable_by(|a, b| id(a).cmp(&id(b)));
        self.by_user = merged(&self.by_user, &new, |a, b| id(a).cmp(&id(b)));
    }

    pub(super) fn list_anew(&mut self, known_users: &KnownUsers) {
        let by_user = std::mem::take(&mut self.by_user);
        let mut keyed: Vec<Keyed> = Vec::with_capacity(by_user.len());
        for slot in &by_user {
            if let Some(key) = self.key(known_users, *slot) {
                keyed.push(Keyed { key, slot: *slot });
            }
        }
        self.by_user = by_user;
        // Stable, so rows with equal keys stay sorted by id.
        keyed.sort_by_key(|row| row.key);
        self.listed = keyed.into_iter().map(|row| row.slot).collect();
        if self.is_by_user_descending() {
            self.listed.reverse();
        }
    }

    pub(super) fn merge(&mut self, known_users: &KnownUsers, touched: &[Slot]) {
        let mut is_touched = vec![false; known_users.slots()];
        for slot in touched {
            is_touched[*slot as usize] = true;
        }
        self.listed.retain(|slot| !is_touched[*slot as usize]);
        let mut keyed: Vec<Keyed> = Vec::with_capacity(touched.len());
        for slot in touched {
            if let Some(key) = self.key(known_users, *slot) {
                keyed.push(Keyed { key, slot: *slot });
            }
        }
        let compare = |a: &Keyed, b: &Keyed| self.compare(known_users, *a, *b);
        keyed.sort_unstable_by(compare);
        let new: Vec<Slot> = keyed.into_iter().map(|row| row.slot).collect();
        let keyed = |slot: &Slot| Keyed {
            key: self.known_key(known_users, *slot).unwrap_or(i64::MAX),
            slot: *slot,
        };
        let listed = merged(&self.listed, &new, |a, b| compare(&keyed(a), &keyed(b)));
        self.listed = listed;
    }

    fn compare(&self, known_users: &KnownUsers, a: Keyed, b: Keyed) -> Ordering {
        let id = |slot: Slot| known_users.row(slot).map(|row| &row.user);
        let by_id = id(a.slot).cmp(&id(b.slot));
        a.key.cmp(&b.key).then(if self.is_by_user_descending() {
            by_id.reverse()
        } else {
            by_id
        })
    }

    fn is_by_user_descending(&self) -> bool {
        self.order()
            .is_some_and(|order| order.column == UserColumn::User && order.is_descending)
    }

    /// The sort key of a row; `None` if it is not listed. A search computes and caches the score here.
    fn key(&mut self, known_users: &KnownUsers, slot: Slot) -> Option<i64> {
        let row = known_users
            .row(slot)
            .filter(|row| !known_users.is_removed(slot) && self.is_listed_row(row))?;
        if let Some(query) = &mut self.query {
            query.score(slot, &row.user)?;
        }
        self.known_key(known_users, slot)
    }

    fn known_key(&self, known_users: &KnownUsers, slot: Slot) -> Option<i64> {
        let row = known_users.row(slot)?;
        let Some(order) = self.order() else {
            let score = self.query.as_ref().and_then(|query| query.cached_score(slot))?;
            return Some(-i64::from(score));
        };
        Some(order.key(known_users, row))
    }
}

/// Merges two sorted lists, of which one is short: its positions are found by binary search.
fn merged(many: &[Slot], few: &[Slot], compare: impl Fn(&Slot, &Slot) -> Ordering) -> Vec<Slot> {
    let mut all = Vec::with_capacity(many.len() + few.len());
    let mut rest = many;
    for slot in few {
        let at = rest.partition_point(|other| compare(other, slot) == Ordering::Less);
        all.extend_from_slice(&rest[..at]);
        all.push(*slot);
        rest = &rest[at..];
    }
    all.extend_from_slice(rest);
    all
}
