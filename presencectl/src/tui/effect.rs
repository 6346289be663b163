//! The effects of an update, as data. The event loop and the backend carry them out; an update never waits for them.

use presence::wire::record::Record;
use presence::{CustomStatus, UserId, Wall};

use super::model::change_log::Change;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Restore the terminal and end.
    Quit,
    /// Restore the terminal and stop until SIGCONT.
    Suspend,
    /// Redraw every cell: another program wrote to the screen.
    Repaint,
    /// Retry the connection now.
    Reconnect,
    /// Request the daemon's statistics.
    FetchStats,
    /// Request the current records of at most 1000 users.
    FetchRecords(Vec<UserId>),
    /// Request an explanation.
    FetchExplanation(UserId),
    /// Set a custom status.
    SetStatus {
        user: UserId,
        status: CustomStatus,
    },
    Kick(UserId),
    Forget(UserId),
    /// Copy to the terminal's clipboard (OSC 52).
    Copy(String),
    /// Write what is shown to a file in the working directory.
    Export {
        what: ExportData,
        format: ExportFormat,
        /// The server's clock.
        now: Wall,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ExportData {
    /// The table, filtered and sorted.
    Users(Vec<Record>),
    /// The change log, oldest first.
    Changes(Vec<Change>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExportFormat {
    /// As `-o csv`.
    Csv,
    /// As `-o json`.
    Json,
}
