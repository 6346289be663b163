//! Presence records as typed rows: the same columns wherever users are listed.

use presence::Status;
use presence::wire::record::Record;

use super::{Cell, Column, TypedRows};

const COLUMNS: [Column; 9] = [
    Column::needed("USER", "userId"),
    Column::needed("STATUS", "status"),
    Column::needed("SINCE", "since"),
    Column::needed("LAST SEEN", "lastSeen"),
    Column::extra("LAST ACTIVE", "lastActive"),
    Column::extra("SESSIONS", "sessions"),
    Column::extra("CUSTOM STATUS", "customStatus"),
    Column::extra("REASON", "reason"),
    Column::extra("NOTE", "note"),
];

pub(crate) fn rows(records: &[Record]) -> TypedRows {
    let mut rows = TypedRows::new(&COLUMNS);
    for record in records {
        rows.push(row(record));
    }
    rows
}

fn row(record: &Record) -> Vec<Cell> {
    let text = |text: Option<&'static str>| text.map_or(Cell::Empty, |text| Cell::Text(text.to_owned()));
    vec![
        Cell::Hostile(record.user_id.as_str().to_owned()),
        Cell::Status(record.status),
        Cell::Moment(record.since),
        Cell::Moment(record.last_seen),
        Cell::Moment(record.last_active),
        record
            .sessions
            .map_or(Cell::Empty, |sessions| Cell::Number(u64::from(sessions))),
        text(record.custom_status.map(presence::CustomStatus::as_str)),
        text(record.reason.map(presence::Reason::as_str)),
        text(note(record)),
    ]
}

/// Flags of a record: it was made without the store, or may be out of date.
pub(crate) const fn note(record: &Record) -> Option<&'static str> {
    match (record.degraded, record.stale) {
        (true, true) => Some("degraded, stale"),
        (true, false) => Some("degraded"),
        (false, true) => Some("stale"),
        (false, false) => None,
    }
}

/// `2 ONLINE, 1 IDLE`; statuses that no user has are omitted.
pub(crate) fn tally(counts: impl IntoIterator<Item = (Status, u64)>) -> String {
    let parts: Vec<_> = counts
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(status, count)| format!("{count} {status}"))
        .collect();
    parts.join(", ")
}
