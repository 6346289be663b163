//! Values as the parameters of a statement.

use std::borrow::Cow;

use presence::{NodeName, UserId, Wall};
use tokio_postgres::types::ToSql;

/// One parameter of a statement, of whatever type.
pub(super) type Parameter<'a> = Box<dyn ToSql + Sync + Send + 'a>;

/// One column of a list of rows, as an array.
pub(super) fn column<'a, R, T>(rows: &[R], value: impl Fn(&R) -> T) -> Parameter<'a>
where
    T: ToSql + Sync + Send + 'a,
{
    Box::new(rows.iter().map(value).collect::<Vec<T>>())
}

/// What PostgreSQL can't hold was refused before.
pub(super) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn millis(time: Option<Wall>) -> Option<i64> {
    time.map(Wall::as_millis)
}

pub(super) fn encode_nodes(nodes: &[NodeName]) -> Cow<'static, str> {
    if nodes.is_empty() {
        return Cow::Borrowed("[]");
    }
    // Names are texts, which JSON can always hold.
    serde_json::to_string(nodes).map_or(Cow::Borrowed("[]"), Cow::Owned)
}

/// Each once, ordered by id.
pub(super) fn in_order<'a>(users: impl Iterator<Item = &'a UserId>) -> Vec<&'a str> {
    let mut users: Vec<&str> = users.map(UserId::as_str).collect();
    users.sort_unstable();
    users.dedup();
    users
}
