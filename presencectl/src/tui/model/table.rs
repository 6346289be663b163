//! The table of users: who is listed, in which order, what is selected, and from where it is shown. Kept in order as users
//! change: a change costs a search for its place, and what changed since the last picture is merged in one pass.

mod listing;

use presence::{Status, UserId};

use super::super::keymap::Filter;
use super::known_users::{KnownUsers, Row, Slot};
use super::search_query::SearchQuery;
use super::sort_order::SortOrder;
use super::user_column::UserColumn;

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Everyone known, by user id: the order below all others.
    by_user: Vec<Slot>,
    /// Who is listed, as ordered.
    listed: Vec<Slot>,
    order: Option<SortOrder>,
    filter: Filter,
    query: Option<SearchQuery>,
    selected: Option<UserId>,
    /// Who was selected since the last picture: they may be listed only for that.
    deselected: Vec<UserId>,
    /// Where the selected row was last.
    cursor: usize,
    /// The first row that is shown.
    top: usize,
    /// How many rows there was room for.
    rows: usize,
    /// Rows stay where they are.
    is_held: bool,
    /// SortOrder, filter or search changed: everything is to be listed anew.
    is_changed: bool,
}

impl Table {
    /// By what it is ordered; none while the best match comes first.
    pub(crate) fn order(&self) -> Option<SortOrder> {
        let is_ranked = self.query.as_ref().is_some_and(|query| query.is_ranked);
        (!is_ranked).then(|| self.column_order())
    }

    /// By which column it is ordered; none while the best match comes first.
    pub(crate) fn sorted_by(&self) -> Option<UserColumn> {
        self.order().map(|order| order.column)
    }

    fn column_order(&self) -> SortOrder {
        self.order.unwrap_or(SortOrder::of(UserColumn::User))
    }

    /// Orders by a column; the same again: the other way round.
    pub(crate) fn sort(&mut self, column: UserColumn) {
        match self.order() {
            Some(order) if order.column == column => self.reverse(),
            _ => self.set_order(SortOrder::of(column)),
        }
    }

    /// The other way round.
    pub(crate) fn reverse(&mut self) {
        let order = self.column_order();
        self.set_order(SortOrder {
            is_descending: !order.is_descending,
            ..order
        });
    }

    /// Orders by a column, as it is looked at first.
    pub(crate) fn set_order(&mut self, order: SortOrder) {
        self.order = Some(order);
        if let Some(query) = &mut self.query {
            query.is_ranked = false;
        }
        self.is_changed = true;
    }

    /// Who is listed.
    pub(crate) const fn filter(&self) -> Filter {
        self.filter
    }

    /// Lists others, from the first. Whoever is selected stays so if it is one of them.
    pub(crate) fn set_filter(&mut self, known_users: &KnownUsers, filter: Filter) {
        self.filter = filter;
        self.is_changed = true;
        let row = self.selected.as_ref().and_then(|user| known_users.find(user));
        if !row.is_some_and(|(_, row)| self.matches_filter(row)) {
            self.deselect();
            (self.cursor, self.top) = (0, 0);
        }
    }

    /// What is searched; empty: nothing.
    pub(crate) fn query(&self) -> &str {
        self.query.as_ref().map_or("", |query| &query.text)
    }

    /// Searches something else. Whoever was found and selected stays selected when everyone is shown again.
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

    /// Rows stay where they are, or not any more.
    pub(crate) const fn set_held(&mut self, is_held: bool) {
        self.is_held = is_held;
    }

    /// How many are listed.
    pub(crate) const fn len(&self) -> usize {
        self.listed.len()
    }

    /// How many of them are listed for what they are, and not because they are selected.
    pub(crate) fn matching(&self, known_users: &KnownUsers) -> usize {
        let row = self.listed.get(self.cursor).and_then(|slot| known_users.row(*slot));
        let is_kept = row.is_some_and(|row| Some(&row.user) == self.selected.as_ref() && !self.matches_filter(row));
        self.listed.len() - usize::from(is_kept)
    }

    /// The first row shown.
    pub(crate) const fn top(&self) -> usize {
        self.top
    }

    /// Who is selected.
    pub(crate) const fn selected(&self) -> Option<&UserId> {
        self.selected.as_ref()
    }

    /// In which row the selected user is.
    pub(crate) fn cursor(&self) -> Option<usize> {
        self.selected.is_some().then_some(self.cursor)
    }

    /// Selects nobody.
    pub(crate) fn deselect(&mut self) {
        self.deselected.extend(self.selected.take());
    }

    /// The slots on so many lines from the first row shown.
    pub(crate) fn window(&self, rows: usize) -> &[Slot] {
        let top = self.top.min(self.listed.len());
        &self.listed[top..self.listed.len().min(top.saturating_add(rows))]
    }

    /// Everyone listed, in order.
    pub(crate) fn listed(&self) -> &[Slot] {
        &self.listed
    }

    /// Selects a row, the nearest there is, and shows it.
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

    /// Moves the selection by so many rows; the first step selects the first row shown.
    pub(crate) fn step(&mut self, known_users: &KnownUsers, by: i64, rows: usize) {
        let from = match self.cursor() {
            Some(cursor) => cursor.saturating_add_signed(isize::try_from(by).unwrap_or(0)),
            None => self.top,
        };
        self.select(known_users, from, rows);
    }

    /// Selects a user, if it is listed. Whether it is.
    pub(crate) fn select_user(&mut self, known_users: &KnownUsers, user: &UserId, rows: usize) -> bool {
        let at = known_users
            .find(user)
            .and_then(|(slot, _)| self.listed.iter().position(|listed| *listed == slot));
        if let Some(at) = at {
            self.select(known_users, at, rows);
        }
        at.is_some()
    }

    /// Shows other rows and leaves the selection.
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

    /// Whether the selected row was among those shown: who scrolled away from it wants to stay there.
    fn is_in_sight(&self) -> bool {
        self.selected.is_some() && (self.top..self.top.saturating_add(self.rows)).contains(&self.cursor)
    }

    /// There is room for so many rows now.
    fn make_room(&mut self, rows: usize) {
        // While it is out of sight it stays as it was.
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

    /// Where the id of a user matches what is searched, as places of characters.
    pub(crate) fn matched(&self, user: &UserId) -> Vec<u32> {
        self.query.as_ref().map_or_else(Vec::new, |query| query.places(user))
    }

    /// Takes over what changed. The selected user stays on its line of the screen while the others move.
    pub(crate) fn apply_pending(&mut self, known_users: &mut KnownUsers, rows: usize) {
        self.make_room(rows);
        let rows = if rows == 0 { self.rows } else { rows };
        known_users.evict_departed(self.selected.as_ref());
        if self.is_held && !self.is_changed {
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
            // Forgotten: the row that moved up is next, or the last one.
            None => {
                let place = |successor| self.listed.iter().position(|listed| *listed == successor);
                let at = successor.map_or(usize::MAX, |successor| place(successor).unwrap_or(self.cursor));
                self.select(known_users, at, rows);
            }
        }
    }

    /// Who stands below the selected one and stays.
    fn successor(&self, known_users: &KnownUsers) -> Option<Slot> {
        let below = self.listed.get(self.cursor..).unwrap_or_default();
        below.iter().copied().find(|slot| !known_users.is_removed(*slot))
    }

    /// Whoever is selected stays listed until the selection motion on.
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
