//! Exports what is shown to a file in the working directory, in the formats of `online` and `events`. Existing files
//! are never overwritten.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use presence::Wall;
use presence::wire::record::Record;
use serde::Serialize;

use super::effect::{ExportData, ExportFormat};
use super::message::Response;
use super::model::change_log::Change;
use crate::output::{TypedRows, changes, json, number, records};

/// Files per second of the timestamp.
const SAME_SECOND_MAX: u32 = 100;

#[derive(Serialize)]
struct UsersDocument<'a> {
    now: Wall,
    users: &'a [Record],
}

#[derive(Serialize)]
struct ChangesDocument<'a> {
    now: Wall,
    changes: &'a [Change],
}

/// Writes on a blocking thread.
pub(crate) async fn write(what: ExportData, format: ExportFormat, now: Wall) -> Response {
    let written = tokio::task::spawn_blocking(move || write_into(Path::new("."), &what, format, now)).await;
    match written {
        Ok(Ok((count, path))) => Response::Done(format!("exported {count} to {}", path.display())),
        Ok(Err(error)) => Response::Failed(format!("export failed: {error}")),
        Err(_) => Response::Failed("export failed".to_owned()),
    }
}

fn write_into(directory: &Path, what: &ExportData, format: ExportFormat, now: Wall) -> io::Result<(String, PathBuf)> {
    let (kind, count) = match what {
        ExportData::Users(users) => ("users", counted(users.len(), "user")),
        ExportData::Changes(changes) => ("changes", counted(changes.len(), "change")),
    };
    let extension = match format {
        ExportFormat::Csv => "csv",
        ExportFormat::Json => "json",
    };
    let (file, path) = create(directory, &format!("presence-{kind}-{}", stamp(now)), extension)?;
    keep_if_whole(&path, fill(BufWriter::new(file), what, format, now))?;
    Ok((count, path))
}

/// Removes a partial file, which could be taken for a complete one.
fn keep_if_whole(path: &Path, filled: io::Result<()>) -> io::Result<()> {
    filled.map_err(|error| {
        let _ = fs::remove_file(path);
        of_file(path, &error)
    })
}

fn fill(mut out: BufWriter<File>, what: &ExportData, format: ExportFormat, now: Wall) -> io::Result<()> {
    match (what, format) {
        (ExportData::Users(users), ExportFormat::Csv) => csv(&mut out, &records::rows(users))?,
        (ExportData::Users(users), ExportFormat::Json) => json::write_line(&mut out, &UsersDocument { now, users })?,
        (ExportData::Changes(list), ExportFormat::Csv) => csv(&mut out, &changes::rows(list))?,
        (ExportData::Changes(changes), ExportFormat::Json) => {
            json::write_line(&mut out, &ChangesDocument { now, changes })?;
        }
    }
    out.flush()
}

/// Adds the path to an error.
fn of_file(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        count => format!("{} {noun}s", number::grouped(count as u64)),
    }
}

/// Creates a new file with mode 0600: presence is personal data.
fn create(directory: &Path, name: &str, extension: &str) -> io::Result<(File, PathBuf)> {
    let mut number = 1;
    loop {
        let suffix = if number == 1 {
            String::new()
        } else {
            format!("-{number}")
        };
        let path = directory.join(format!("{name}{suffix}.{extension}"));
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => return Ok((file, path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < SAME_SECOND_MAX => number += 1,
            Err(error) => return Err(of_file(&path, &error)),
        }
    }
}

/// `20261123-053911`.
fn stamp(now: Wall) -> String {
    let digits: String = now.to_string().chars().filter(char::is_ascii_digit).collect();
    match (digits.get(..8), digits.get(8..14)) {
        (Some(date), Some(time)) => format!("{date}-{time}"),
        _ => digits,
    }
}

fn csv(out: &mut impl Write, rows: &TypedRows) -> io::Result<()> {
    rows.write_csv_header(out)?;
    rows.write_csv_rows(out)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use presence::Status;

    use super::super::model::tests::{record, user};
    use super::*;

    const NOW: Wall = Wall::from_millis(1_795_412_351_999);

    fn changes() -> ExportData {
        ExportData::Changes(vec![Change {
            at: NOW,
            user: user("=ann"),
            from: Status::Online,
            to: None,
            reason: None,
            custom_status: None,
            set_by: None,
            note: None,
            revision: presence::Revision::new(3),
        }])
    }

    #[test]
    fn exports_are_private_and_have_the_formats_of_the_commands() {
        let directory = tempfile::tempdir().unwrap();
        let users = ExportData::Users(vec![record("ann", Status::Idle, 3)]);
        let (count, path) = write_into(directory.path(), &users, ExportFormat::Csv, NOW).unwrap();
        assert_eq!(
            (count.as_str(), path.file_name().unwrap()),
            ("1 user", "presence-users-20261123-053911.csv".as_ref())
        );
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("userId,status,since,") && text.contains("\nann,IDLE,"),
            "{text}"
        );
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (_, path) = write_into(directory.path(), &users, ExportFormat::Json, NOW).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!((&json["v"], &json["users"][0]["userId"]), (&1.into(), &"ann".into()));
        let (_, path) = write_into(directory.path(), &changes(), ExportFormat::Csv, NOW).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        assert!(
            text.contains(",'=ann,ONLINE,forgotten,,,,3"),
            "no spreadsheet runs it: {text}"
        );
    }

    #[test]
    fn a_failed_export_removes_the_partial_file() {
        let directory = tempfile::tempdir().unwrap();
        let users = ExportData::Users(vec![record("ann", Status::Idle, 3); 1234]);
        let (count, _) = write_into(directory.path(), &users, ExportFormat::Csv, NOW).unwrap();
        assert_eq!(count, "1,234 users");
        // A device that accepts no data, in place of a full disk.
        let full = directory.path().join("full");
        std::fs::create_dir(&full).unwrap();
        let file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let filled = fill(BufWriter::new(file), &users, ExportFormat::Csv, NOW);
        let half = directory.path().join("half.csv");
        std::fs::write(&half, "userId").unwrap();
        let error = keep_if_whole(&half, filled).unwrap_err().to_string();
        assert!(error.contains("half.csv") && !half.exists(), "{error}");
        let link = full.join("presence-users-20261123-053911.csv");
        std::os::unix::fs::symlink("/dev/full", &link).unwrap();
        let (_, path) = write_into(&full, &users, ExportFormat::Csv, NOW).unwrap();
        assert!(
            path.to_str().unwrap().ends_with("-2.csv"),
            "no link is followed: {path:?}"
        );
    }

    #[test]
    fn an_existing_file_is_not_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let (_, first) = write_into(directory.path(), &changes(), ExportFormat::Json, NOW).unwrap();
        let before = std::fs::read(&first).unwrap();
        let (_, second) = write_into(directory.path(), &changes(), ExportFormat::Json, NOW).unwrap();
        assert!(second.to_str().unwrap().ends_with("-2.json"), "{second:?}");
        assert_eq!(std::fs::read(&first).unwrap(), before);
        assert!(write_into(Path::new("/nowhere"), &changes(), ExportFormat::Json, NOW).is_err());
    }
}
