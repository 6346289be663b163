//! Sort orders of the table: a sort key for each row by column, ascending.

use presence::Wall;

use super::known_users::{KnownUsers, Row};
use super::user_column::UserColumn;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SortOrder {
    pub(crate) column: UserColumn,
    pub(crate) is_descending: bool,
}

impl SortOrder {
    /// The initial direction of a column: times and counts are descending.
    pub(crate) const fn of(column: UserColumn) -> Self {
        let is_descending = matches!(
            column,
            UserColumn::Since | UserColumn::LastActive | UserColumn::LastSeen | UserColumn::Sessions
        );
        Self { column, is_descending }
    }

    /// The sort key of a row. Rows with equal keys are sorted by user id.
    pub(crate) fn key(self, known_users: &KnownUsers, row: &Row) -> i64 {
        let key = match self.column {
            UserColumn::User => return 0,
            UserColumn::Since => return time_key(row.since, self.is_descending),
            UserColumn::LastActive => return time_key(row.last_active, self.is_descending),
            UserColumn::LastSeen => return time_key(row.last_seen, self.is_descending),
            UserColumn::Status => row.status as i64,
            UserColumn::Reason => row.reason.map_or(i64::MAX, |reason| reason as i64),
            UserColumn::Sessions => i64::from(row.sessions),
            UserColumn::Node => known_users.node_rank(row),
        };
        if self.is_descending { key.saturating_neg() } else { key }
    }
}

/// Rows without a time are last in both directions.
fn time_key(time: Option<Wall>, is_descending: bool) -> i64 {
    match time {
        None => i64::MAX,
        Some(time) if is_descending => time.as_millis().saturating_neg(),
        Some(time) => time.as_millis(),
    }
}
