//! `presenced import` for people: progress and skipped rows on stderr, the report on stdout.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::clock::Stopwatch;
use crate::config::ImportCommand;
use crate::store::{self, ImportError, ImportEvent, ImportPlace, ImportReport, ImportStart};

/// How often the progress is told to a person, and to a log.
const PERSON_EVERY: Duration = Duration::from_secs(1);
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Imports, and prints the report.
pub(crate) async fn run(command: ImportCommand) -> Result<(), ImportError> {
    let place = ImportPlace {
        url: &command.to,
        password_file: command.password_file.as_deref(),
    };
    let mut progress = Progress::start();
    let report = tokio::select! {
        imported = store::import(&command.from, place, |event| progress.tell(&event)) => imported?,
        () = interrupted() => return Err(ImportError::Interrupted),
    };
    // Fails if the reader closed the pipe early.
    let _ = std::io::stdout().write_all(text(&report).as_bytes());
    Ok(())
}

/// Never, if the signals can't be listened to: then they end the process.
async fn interrupted() {
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        },
        _ => std::future::pending().await,
    }
}

/// What was told of the progress, and when.
struct Progress {
    began: Stopwatch,
    told: Stopwatch,
    every: Duration,
    /// How many users were there when this run began to copy.
    before: Option<u64>,
}

impl Progress {
    fn start() -> Self {
        let is_person = std::io::stderr().is_terminal();
        Self {
            began: Stopwatch::start(),
            told: Stopwatch::start(),
            every: if is_person { PERSON_EVERY } else { LOG_EVERY },
            before: None,
        }
    }

    fn tell(&mut self, event: &ImportEvent<'_>) {
        let line = match event {
            ImportEvent::Began(ImportStart::New) => return,
            ImportEvent::Began(ImportStart::GoesOn) => "going on with an import that was interrupted".to_owned(),
            ImportEvent::Began(ImportStart::Again) => {
                "the file was used after an earlier import: copying everything again".to_owned()
            }
            ImportEvent::Began(ImportStart::Done) => "everything was imported before: counting".to_owned(),
            ImportEvent::Skipped(row) => format!("skipped {}: {}", row.what, row.reason),
            ImportEvent::Copied { users, of } => {
                let before = *self.before.get_or_insert(*users);
                if self.told.elapsed() < self.every {
                    return;
                }
                self.told = Stopwatch::start();
                let rate = (users - before) as f64 / self.began.elapsed().as_secs_f64();
                let percent = users * 100 / (*of).max(1);
                format!("{users} of {of} users ({percent} %), {rate:.0} a second")
            }
        };
        // Fails if the reader closed the pipe early.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

/// What an import has come to, for people.
fn text(report: &ImportReport) -> String {
    let mut text = match report.start {
        ImportStart::Done => format!("everything is in {} already:\n", report.database),
        ImportStart::New | ImportStart::GoesOn | ImportStart::Again => format!("imported into {}:\n", report.database),
    };
    let rows = [
        ("users", report.users),
        ("custom statuses", report.custom_statuses),
        ("reports", report.reports),
        ("last seen", report.last_seen),
        ("forgotten users", report.tombstones),
        ("revocations", report.revocations),
        ("skipped rows", report.skipped),
    ];
    // Writing to a string can't fail.
    for (name, count) in rows {
        let _ = writeln!(text, "  {name:<16}{count:>10}");
    }
    for row in &report.skipped_rows {
        let _ = writeln!(text, "    {}: {}", row.what, row.reason);
    }
    let unnamed = report.skipped - report.skipped_rows.len() as u64;
    if unnamed > 0 {
        let _ = writeln!(text, "    and {unnamed} more, which are on stderr");
    }
    text.push_str(
        "Now start the daemon with --database and this URL. The file stays as it is: keep it until that works.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SkippedRow;

    #[test]
    fn the_report_names_some_skipped_rows_and_counts_the_others() {
        let row = SkippedRow {
            what: "user \" x\"".to_owned(),
            reason: "user id must not begin or end with white space".to_owned(),
        };
        let report = ImportReport {
            database: "a database".to_owned(),
            users: 100_000,
            skipped: 3,
            skipped_rows: vec![row],
            ..ImportReport::default()
        };
        let text = text(&report);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..2],
            ["imported into a database:", "  users               100000"]
        );
        assert_eq!(lines[7], "  skipped rows             3");
        assert_eq!(
            lines[8],
            "    user \" x\": user id must not begin or end with white space"
        );
        assert_eq!(lines[9], "    and 2 more, which are on stderr");
    }
}
