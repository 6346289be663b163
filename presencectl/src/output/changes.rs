//! Changes of users for programs: one shape wherever they are written. How they are found is elsewhere.

use presence::{CustomStatus, Reason, Revision, Status, UserId, Wall};
use serde::Serialize;

use super::{Cell, Column, Dataset};

/// One change of one user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Change {
    /// Since when it holds; for what is no change of status, when it was told.
    pub(crate) at: Wall,
    /// Who.
    #[serde(rename = "userId")]
    pub(crate) user: UserId,
    /// What others saw before.
    pub(crate) from: Status,
    /// What others see now; none if the user was forgotten.
    pub(crate) to: Option<Status>,
    /// Why.
    pub(crate) reason: Option<Reason>,
    /// The new custom status, if it changed.
    #[serde(rename = "chose")]
    pub(crate) custom_status: Option<CustomStatus>,
    /// `degraded`, `stale`.
    pub(crate) note: Option<&'static str>,
    /// Of the user.
    pub(crate) revision: Revision,
}

const COLUMNS: [Column; 8] = [
    Column::needed("AT", "at"),
    Column::needed("USER", "userId"),
    Column::needed("FROM", "from"),
    Column::needed("TO", "to"),
    Column::needed("REASON", "reason"),
    Column::needed("CHOSE", "chose"),
    Column::needed("NOTE", "note"),
    Column::needed("REVISION", "revision"),
];

/// The dataset of a list of changes.
pub(crate) fn dataset(changes: &[Change]) -> Dataset {
    let word = |word: Option<&str>| word.map_or(Cell::Empty, |word| Cell::Word(word.to_owned()));
    let mut dataset = Dataset::new(&COLUMNS);
    for change in changes {
        dataset.push(vec![
            Cell::Moment(Some(change.at)),
            Cell::Hostile(change.user.as_str().to_owned()),
            Cell::Status(change.from),
            word(Some(change.to.map_or("forgotten", Status::as_str))),
            word(change.reason.map(Reason::as_str)),
            word(change.custom_status.map(CustomStatus::as_str)),
            word(change.note),
            Cell::Number(change.revision.get()),
        ]);
    }
    dataset
}
