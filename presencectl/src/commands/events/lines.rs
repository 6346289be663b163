//! How changes look: a line each, for people, as JSON, or as CSV.

use presence::{CustomStatus, Reason, Revision, Status, UserId, Wall};
use serde::Serialize;

use super::changes::Change;
use crate::failure::Failure;
use crate::output::escape::escape;
use crate::output::{Cell, Colour, Column, Format, Output, Sheet};

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

/// A change for programs. `to` is null for a forgotten user.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    at: Wall,
    user_id: &'a UserId,
    from: Status,
    to: Option<Status>,
    reason: Option<Reason>,
    chose: Option<CustomStatus>,
    note: Option<&'a str>,
    revision: Revision,
}

/// What comes before the first line.
pub(super) fn header(output: &mut Output) -> Result<(), Failure> {
    match output.format {
        Format::Csv => {
            let mut text = Vec::new();
            Sheet::new(&COLUMNS).write_csv_header(&mut text)?;
            output.text(&String::from_utf8_lossy(&text))
        }
        Format::Table | Format::Json | Format::Ndjson => Ok(()),
    }
}

/// Prints changes.
pub(super) fn print(output: &mut Output, changes: &[Change]) -> Result<(), Failure> {
    for change in changes {
        match output.format {
            Format::Table => output.text(&sentence(change, output.colour))?,
            Format::Json | Format::Ndjson => output.json_line(&Line {
                at: change.at,
                user_id: &change.user,
                from: change.from,
                to: change.to,
                reason: change.reason,
                chose: change.chose,
                note: change.note,
                revision: change.revision,
            })?,
            Format::Csv => output.text(&csv(change)?)?,
        }
    }
    Ok(())
}

fn sentence(change: &Change, colour: Colour) -> String {
    let user = escape(change.user.as_str());
    let from = colour.status(change.from);
    let mut what = match change.to {
        None => format!("{from} → forgotten"),
        Some(to) if to == change.from => from,
        Some(to) => format!("{from} → {}", colour.status(to)),
    };
    let chose = change.chose.map(|chose| format!("chose {chose}"));
    let reason = change
        .reason
        .filter(|_| change.to != Some(change.from))
        .map(|reason| reason.as_str().to_owned());
    for more in [reason, chose, change.note.map(str::to_owned)].into_iter().flatten() {
        what.push_str("  ");
        what.push_str(&more);
    }
    format!("{}  {user}  {what}\n", change.at)
}

fn csv(change: &Change) -> Result<String, Failure> {
    let word = |word: Option<&str>| word.map_or(Cell::Empty, |word| Cell::Word(word.to_owned()));
    let mut sheet = Sheet::new(&COLUMNS);
    sheet.push(vec![
        Cell::Moment(Some(change.at)),
        Cell::Hostile(change.user.as_str().to_owned()),
        Cell::Status(change.from),
        word(Some(change.to.map_or("forgotten", Status::as_str))),
        word(change.reason.map(Reason::as_str)),
        word(change.chose.map(CustomStatus::as_str)),
        word(change.note),
        Cell::Number(change.revision.get()),
    ]);
    let mut text = Vec::new();
    sheet.write_csv_rows(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change() -> Change {
        Change {
            at: Wall::from_millis(1_000_000_000_000),
            user: UserId::new("=a\u{202e}b").unwrap(),
            from: Status::Online,
            to: Some(Status::Idle),
            reason: Some(Reason::Inactive),
            chose: None,
            note: None,
            revision: Revision::new(7),
        }
    }

    #[test]
    fn a_change_is_one_line_for_people() {
        assert_eq!(
            sentence(&change(), Colour::Plain),
            "2001-09-09T01:46:40.000Z  =a\\u{202e}b  ONLINE → IDLE  inactive\n"
        );
        let forgotten = Change {
            to: None,
            reason: None,
            ..change()
        };
        assert!(sentence(&forgotten, Colour::Plain).ends_with("ONLINE → forgotten\n"));
        let chose = Change {
            to: Some(Status::Online),
            chose: Some(CustomStatus::Idle),
            ..change()
        };
        assert!(sentence(&chose, Colour::Plain).ends_with("ONLINE  chose IDLE\n"));
    }

    #[test]
    fn a_change_is_one_line_of_csv() {
        assert_eq!(
            csv(&change()).unwrap(),
            "2001-09-09T01:46:40.000Z,'=a\\u{202e}b,ONLINE,IDLE,inactive,,,7\n"
        );
    }
}
