//! The machine-readable form of a change, the same in every command and export.

use presence::{Actor, CustomStatus, Reason, Revision, Status, UserId, Wall};
use serde::Serialize;

use super::{Cell, Column, TypedRows};

/// One change of one user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Change {
    /// When the status changed; for any other change, when the server sent it.
    pub(crate) at: Wall,
    #[serde(rename = "userId")]
    pub(crate) user: UserId,
    /// The previous status.
    pub(crate) from: Status,
    /// The new status; `None` if the user was forgotten.
    pub(crate) to: Option<Status>,
    pub(crate) reason: Option<Reason>,
    /// The new custom status, if it changed.
    #[serde(rename = "chose")]
    pub(crate) custom_status: Option<CustomStatus>,
    /// Who set it, if the custom status changed and the daemon tells.
    #[serde(rename = "setBy")]
    pub(crate) set_by: Option<Actor>,
    /// `degraded` or `stale`.
    pub(crate) note: Option<&'static str>,
    pub(crate) revision: Revision,
}

const COLUMNS: [Column; 9] = [
    Column::needed("AT", "at"),
    Column::needed("USER", "userId"),
    Column::needed("FROM", "from"),
    Column::needed("TO", "to"),
    Column::needed("REASON", "reason"),
    Column::needed("CUSTOM STATUS", "chose"),
    Column::needed("NOTE", "note"),
    Column::needed("REVISION", "revision"),
    Column::extra("SET BY", "setBy"),
];

pub(crate) fn rows(changes: &[Change]) -> TypedRows {
    let text = |text: Option<&str>| text.map_or(Cell::Empty, |text| Cell::Text(text.to_owned()));
    let mut rows = TypedRows::new(&COLUMNS);
    for change in changes {
        rows.push(vec![
            Cell::Moment(Some(change.at)),
            Cell::Hostile(change.user.as_str().to_owned()),
            Cell::Status(change.from),
            text(Some(change.to.map_or("forgotten", Status::as_str))),
            text(change.reason.map(Reason::as_str)),
            text(change.custom_status.map(CustomStatus::as_str)),
            text(change.note),
            Cell::Number(change.revision.get()),
            text(change.set_by.map(Actor::as_str)),
        ]);
    }
    rows
}
