//! The users table: filter, search, sort order, selection and scroll position. It is kept sorted: a change costs a
//! binary search, and the changes since the last frame are merged in one pass.

mod listing;

use presence::{Status, UserId};

use super::super::keymap::Filter;
use super::known_users::{KnownUsers, Row, Slot};
use super::search_query::SearchQuery;
use super::sort_order::SortOrder;
use super::user_column::UserColumn;

#[derive(Debug, Default)]
pub(crate) struct Table {
    /// All known users by id, which is the order of rows with equal keys.
    by_user: Vec<Slot>,
    /// The listed rows, sorted.
    listed: Vec<Slot>,
    order: Option<SortOrder>,
    filter: Filter,
    query: Option<SearchQuery>,
    selected: Option<UserId>,
    /// Users selected since the last frame, who may be listed only because of that.
    deselected: Vec<UserId>,
    /// The index of the selected row.
    cursor: usize,
    /// The first visible row.
    top: usize,
    /// The number of visible rows.
    rows: usize,
    /// Paused: rows keep their places.
    is_paused: bool,
    /// The order, filter or search changed: the whole list is rebuilt.
    is_changed: bool,
}

impl Table {
    /// The sort order; `None` if sorted by search score.
    pub(crate) fn order(&self) -> Option<SortOrder> {
        let is_ranked = self.query.as_ref().is_some_and(|query| query.is_ranked);
        (!is_ranked).then(|| self.column_order())
    }

    pub(crate) fn sorted_by(&self) -> Option<UserColumn> {
        self.order().map(|order| order.column)
    }

    fn column_order(&self) -> SortOrder {
        self.order.unwrap_or(SortOrder::of(UserColumn::User))
    }

    /// Sorts by a column; the same column again reverses the order.
    pub(crate) fn sort(&mut self, column: UserColumn) {
        match self.order() {
            Some(order) if order.column == column => self.reverse(),
            _ => self.set_order(SortOrder::of(column)),
        }
    }

    pub(crate) fn reverse(&mut self) {
        let order = self.column_order();
        self.set_order(SortOrder {
            is_descending: !order.is_descending,
            ..order
        });
    }

    pub(crate) fn set_order(&mut self, order: SortOrder) {
        self.order = Some(order);
        if let Some(query) = &mut self.query {
            query.is_ranked = false;
        }
        self.is_changed = true;
    }

    pub(crate) const fn filter(&self) -> Filter {
        self.filter
    }

    /// Changes the filter and scrolls to the top, unless the selected user matches it.
    pub(crate) fn set_filter(&mut self, known_users: &KnownUsers, filter: Filter) {
        self.filter = filter;
        self.is_changed = true;
        let row = self.selected.as_ref().and_then(|user| known_users.find(user));
        if !row.is_some_and(|(_, row)| self.matches_filter(row)) {
            self.deselect();
            (self.cursor, self.top) = (0, 0);
        }
    }

    /// The search text, or an empty string.
    pub(crate) fn query(&self) -> &str {
        self.query.as_ref().map_or("", |query| &query.text)
    }

    /// Changes the search text. A user selected in a search stays selected when it ends.
    pub(crate) fn set_query(&mut self, text: &str) {
        if text == self.query() {
            return;
        }
        self.query = (!text.is_empty()).then(|| SearchQuery::new(text.to_owned()));
        if !text.is_empty() {
            self.deselect();
            (self.cursor, self.top) = (0, 0);
        }
        self.is_changed = true;
    }

    pub(crate) const fn set_paused(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
    }

    /// The number of listed rows.
    pub(crate) const fn len(&self) -> usize {
        self.listed.len()
    }

    /// The number of listed rows without one that is listed only because it is selected.
    pub(crate) fn matching(&self, known_users: &KnownUsers) -> usize {
        let row = self.listed.get(self.cursor).and_then(|slot| known_users.row(*slot));
        let is_kept = row.is_some_and(|row| Some(&row.user) == self.selected.as_ref() && !self.matches_filter(row));
        self.listed.len() - usize::from(is_kept)
    }

    /// The first visible row.
    pub(crate) const fn top(&self) -> usize {
        self.top
    }

    pub(crate) const fn selected(&self) -> Option<&UserId> {
        self.selected.as_ref()
    }

    /// The index of the selected row.
    pub(crate) fn cursor(&self) -> Option<usize> {
        self.selected.is_some().then_some(self.cursor)
    }

    pub(crate) fn deselect(&mut self) {
        self.deselected.extend(self.selected.take());
    }

    /// The rows visible on that many lines.
    pub(crate) fn window(&self, rows: usize) -> &[Slot] {
        let top = self.top.min(self.listed.len());
        &self.listed[top..self.listed.len().min(top.saturating_add(rows))]
    }

    /// All listed rows, sorted.
    pub(crate) fn listed(&self) -> &[Slot] {
        &self.listed
    }

    /// Selects the row at an index, or the last one, and scrolls to it.
    pub(crate) fn select(&mut self, known_users: &KnownUsers, index: usize, rows: usize) {
        self.cursor = index.min(self.listed.len().saturating_sub(1));
        self.deselect();
        self.selected = self
            .listed
            .get(self.cursor)
            .and_then(|slot| known_users.row(*slot))
            .map(|row| row.user.clone());
        self.show_cursor(rows);
    }

    /// Moves the selection; without one, the first visible row is selected.
    pub(crate) fn step(&mut self, known_users: &KnownUsers, by: i64, rows: usize) {
        let from = match self.cursor() {
            Some(cursor) => cursor.saturating_add_signed(isize::try_from(by).unwrap_or(0)),
            None => self.top,
        };
        self.select(known_users, from, rows);
    }

    /// Selects a user; returns whether it is listed.
    pub(crate) fn select_user(&mut self, known_users: &KnownUsers, user: &UserId, rows: usize) -> bool {
        let at = known_users
            .find(user)
            .and_then(|(slot, _)| self.listed.iter().position(|listed| *listed == slot));
        if let Some(at) = at {
            self.select(known_users, at, rows);
        }
        at.is_some()
    }

    /// Scrolls without moving the selection.
    pub(crate) fn scroll(&mut self, by: i64, rows: usize) {
        let last = self.listed.len().saturating_sub(rows);
        self.top = self
            .top
            .saturating_add_signed(isize::try_from(by).unwrap_or(0))
            .min(last);
    }

    fn show_cursor(&mut self, rows: usize) {
        self.rows = rows.max(1);
        self.top = self.top.clamp((self.cursor + 1).saturating_sub(self.rows), self.cursor);
    }

    /// Whether the selected row was visible: if the operator scrolled away from it, the position is kept.
    fn is_in_sight(&self) -> bool {
        self.selected.is_some() && (self.top..self.top.saturating_add(self.rows)).contains(&self.cursor)
    }

    /// Sets the number of visible rows.
    fn make_room(&mut self, rows: usize) {
        // While the table is hidden it keeps its position.
        if rows == 0 || self.rows == rows {
            return;
        }
        let was_in_sight = self.is_in_sight();
        self.rows = rows;
        self.top = self.top.min(self.listed.len().saturating_sub(rows));
        if was_in_sight {
            self.show_cursor(rows);
        }
    }

    /// The positions in a user's id that match the search.
    pub(crate) fn matched(&self, user: &UserId) -> Vec<u32> {
        self.query
            .as_ref()
            .map_or_else(Vec::new, |query| query.match_positions(user))
    }

    /// Applies the changes since the last call. The selected user stays on its line of the screen while other rows
    /// move.
    pub(crate) fn apply_pending(&mut self, known_users: &mut KnownUsers, rows: usize) {
        self.make_room(rows);
        let rows = if rows == 0 { self.rows } else { rows };
        known_users.evict_departed(self.selected.as_ref());
        if self.is_paused && !self.is_changed {
            return;
        }
        for user in std::mem::take(&mut self.deselected) {
            known_users.touch_user(&user);
        }
        let touched = known_users.take_unapplied();
        if touched.is_empty() && !self.is_changed {
            return;
        }
        let line = self.is_in_sight().then(|| self.cursor - self.top);
        let successor = self.successor(known_users);
        self.keep_by_user(known_users, &touched);
        if std::mem::take(&mut self.is_changed) {
            self.list_anew(known_users);
        } else {
            self.merge(known_users, &touched);
        }
        touched.iter().for_each(|slot| known_users.drop_row(*slot));
        self.find_cursor(known_users, line, successor, rows);
    }

    fn find_cursor(&mut self, known_users: &KnownUsers, line: Option<usize>, successor: Option<Slot>, rows: usize) {
        let last = self.listed.len().saturating_sub(rows);
        self.top = self.top.min(last);
        let Some(user) = &self.selected else {
            return;
        };
        let at = known_users
            .find(user)
            .and_then(|(slot, _)| self.listed.iter().position(|listed| *listed == slot));
        match at {
            Some(at) => {
                self.cursor = at;
                if let Some(line) = line {
                    self.top = at.saturating_sub(line).min(last);
                    self.show_cursor(rows);
                }
            }
            // The selected user was removed: select the row that took its place, or the last one.
            None => {
                let place = |successor| self.listed.iter().position(|listed| *listed == successor);
                let at = successor.map_or(usize::MAX, |successor| place(successor).unwrap_or(self.cursor));
                self.select(known_users, at, rows);
            }
        }
    }

    /// The first row from the selected one on that was not removed.
    fn successor(&self, known_users: &KnownUsers) -> Option<Slot> {
        let below = self.listed.get(self.cursor..).unwrap_or_default();
        below.iter().copied().find(|slot| !known_users.is_removed(*slot))
    }

    /// The selected user stays listed until the selection changes.
    fn is_listed_row(&self, row: &Row) -> bool {
        self.matches_filter(row) || self.selected.as_ref() == Some(&row.user)
    }

    fn matches_filter(&self, row: &Row) -> bool {
        match self.filter {
            Filter::Present => row.status != Status::Offline,
            Filter::Only(status) => row.status == status,
        }
    }
}
