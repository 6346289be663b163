//! What an update asks the world to do. Data: who carries it out is in `run`, and nothing here waits for it.

use presence::wire::record::Record;
use presence::{CustomStatus, UserId, Wall};

use super::model::change_log::Change;

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Leave the terminal as it was, and end.
    Quit,
    /// Leave the terminal as it was until the shell brings us back.
    Suspend,
    /// Draw every cell anew: something else has written over the screen.
    Repaint,
    /// Don't wait with the next attempt to connect.
    Reconnect,
    /// Prompt for the daemon's numbers.
    AskStats,
    /// Prompt for records as they are now: at most 1000.
    AskRecords(Vec<UserId>),
    /// Prompt why a user is shown so.
    AskExplain(UserId),
    /// Set what a user is shown as while present.
    SetStatus {
        /// Whose.
        user: UserId,
        /// As what.
        status: CustomStatus,
    },
    /// End every session of a user.
    Kick(UserId),
    /// Forget a user.
    Forget(UserId),
    /// Put a text into the terminal's clipboard (OSC 52).
    Copy(String),
    /// Write what is shown into a file of the working directory.
    Export {
        /// What.
        what: ExportData,
        /// How.
        format: ExportFormat,
        /// The server's clock.
        now: Wall,
    },
}

/// What is exported.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ExportData {
    /// The table as filtered and sorted.
    Users(Vec<Record>),
    /// The stream, oldest first.
    Changes(Vec<Change>),
}

/// As what it is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExportFormat {
    /// As `-o csv` writes it.
    Csv,
    /// As `-o json` writes it.
    Json,
}
