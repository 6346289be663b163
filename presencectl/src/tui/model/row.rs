//! The data of one user, and its conversion from records and to changes.

use presence::wire::record::Record;
use presence::{Actor, CustomStatus, Reason, Revision, Status, UserId, Wall};

use super::change_log::Change;

/// What changed in a row since the table applied it, the larger change last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unapplied {
    Nothing,
    /// Times or sessions from a response, or the selection.
    Refresh,
    /// A change from the stream.
    Change,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) user: UserId,
    pub(crate) status: Status,
    pub(crate) reason: Option<Reason>,
    pub(crate) since: Option<Wall>,
    pub(crate) last_active: Option<Wall>,
    pub(crate) last_seen: Option<Wall>,
    pub(crate) sessions: u32,
    /// The number of the list of nodes, see [`node_name`](super::known_users::KnownUsers::node_name).
    pub(crate) node: u16,
    pub(crate) custom_status: Option<CustomStatus>,
    /// Who set it.
    pub(crate) set_by: Option<Actor>,
    pub(crate) note: Option<&'static str>,
    pub(crate) revision: Revision,
    /// The last snapshot that listed the user.
    pub(super) generation: u32,
    /// The departure number; 0 while the user is present.
    pub(super) departure: u32,
    /// A complete snapshot lacked the user, so the status is OFFLINE; since when is not known.
    pub(super) is_presumed_offline: bool,
    pub(super) unapplied: Unapplied,
    /// The table has a reference to the row.
    pub(super) is_in_table: bool,
    /// The user was removed; the row is dropped when the table has no reference to it.
    pub(super) is_removed: bool,
}

/// A user without a record.
pub(super) const fn blank(user: UserId, generation: u32) -> Row {
    Row {
        user,
        status: Status::Offline,
        reason: None,
        since: None,
        last_active: None,
        last_seen: None,
        sessions: 0,
        node: 0,
        custom_status: None,
        set_by: None,
        note: None,
        revision: Revision::new(0),
        generation,
        departure: 0,
        is_presumed_offline: false,
        unapplied: Unapplied::Nothing,
        is_in_table: false,
        is_removed: false,
    }
}

/// Copies a record into a row.
pub(super) fn fill<'a>(row: &'a mut Row, record: &Record, node: u16) -> &'a Row {
    row.status = record.status;
    row.reason = record.reason;
    row.since = record.since;
    row.last_active = record.last_active;
    row.last_seen = record.last_seen;
    row.sessions = record.sessions.unwrap_or(0);
    row.node = node;
    row.custom_status = record.custom_status;
    row.set_by = record.custom_status_set_by;
    row.note = crate::output::records::note(record);
    row.revision = record.revision;
    row.is_presumed_offline = false;
    row
}

pub(super) fn change_of(row: &Row, to: Option<Status>, now: Wall) -> Change {
    Change {
        at: now,
        user: row.user.clone(),
        from: row.status,
        to,
        reason: None,
        custom_status: None,
        set_by: None,
        note: None,
        revision: row.revision,
    }
}

pub(super) fn change_of_record(row: &Row, from: Status) -> Change {
    Change {
        at: row.since.unwrap_or_default(),
        user: row.user.clone(),
        from,
        to: Some(row.status),
        reason: row.reason,
        custom_status: None,
        set_by: None,
        note: row.note,
        revision: row.revision,
    }
}

/// Whether the record is of the change that the row shows.
pub(super) fn is_same_change(row: &Row, record: &Record) -> bool {
    let is_unchanged = row.status == record.status
        && row.since == record.since
        && row.custom_status == record.custom_status
        && row.note == crate::output::records::note(record);
    row.revision == record.revision || (record.revision > row.revision && is_unchanged)
}
