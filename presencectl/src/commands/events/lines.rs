//! The text of a change: a line for people, JSON, or CSV.

use presence::Actor;

use crate::failure::Failure;
use crate::output::changes::{self, Change};
use crate::output::escape::escape;
use crate::output::{Colour, Format, Output};

pub(super) fn header(output: &mut Output) -> Result<(), Failure> {
    match output.format {
        Format::Csv => {
            let mut text = Vec::new();
            changes::rows(&[]).write_csv_header(&mut text)?;
            output.text(&String::from_utf8_lossy(&text))
        }
        Format::Table | Format::Json | Format::Ndjson => Ok(()),
    }
}

pub(super) fn print(output: &mut Output, changes: &[Change]) -> Result<(), Failure> {
    for change in changes {
        match output.format {
            Format::Table => output.text(&text_line(change, output.colour))?,
            Format::Json | Format::Ndjson => output.json_line(change)?,
            Format::Csv => output.text(&csv(change)?)?,
        }
    }
    Ok(())
}

fn text_line(change: &Change, colour: Colour) -> String {
    let user = escape(change.user.as_str());
    let from = colour.status(change.from);
    let mut what = match change.to {
        None => format!("{from} → forgotten"),
        Some(to) if to == change.from => from,
        Some(to) => format!("{from} → {}", colour.status(to)),
    };
    let custom_status = change.custom_status.map(|status| match change.set_by {
        Some(Actor::User) => format!("the user set custom status {status}"),
        Some(Actor::Operator) => format!("an operator set custom status {status}"),
        None => format!("custom status {status}"),
    });
    let reason = change
        .reason
        .filter(|_| change.to != Some(change.from))
        .map(|reason| reason.as_str().to_owned());
    for more in [reason, custom_status, change.note.map(str::to_owned)]
        .into_iter()
        .flatten()
    {
        what.push_str("  ");
        what.push_str(&more);
    }
    format!("{}  {user}  {what}\n", change.at)
}

fn csv(change: &Change) -> Result<String, Failure> {
    let mut text = Vec::new();
    changes::rows(std::slice::from_ref(change)).write_csv_rows(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use presence::{CustomStatus, Reason, Revision, Status, UserId, Wall};

    use super::*;

    fn change() -> Change {
        Change {
            at: Wall::from_millis(1_000_000_000_000),
            user: UserId::new("=a\u{202e}b").unwrap(),
            from: Status::Online,
            to: Some(Status::Idle),
            reason: Some(Reason::Inactive),
            custom_status: None,
            set_by: None,
            note: None,
            revision: Revision::new(7),
        }
    }

    #[test]
    fn a_change_is_one_line_for_people() {
        assert_eq!(
            text_line(&change(), Colour::Plain),
            "2001-09-09T01:46:40.000Z  =a\\u{202e}b  ONLINE → IDLE  inactive\n"
        );
        let forgotten = Change {
            to: None,
            reason: None,
            ..change()
        };
        assert!(text_line(&forgotten, Colour::Plain).ends_with("ONLINE → forgotten\n"));
        let unseen = Change {
            to: Some(Status::Online),
            custom_status: Some(CustomStatus::Idle),
            ..change()
        };
        let custom = |set_by| {
            text_line(
                &Change {
                    set_by,
                    ..unseen.clone()
                },
                Colour::Plain,
            )
        };
        for (set_by, end) in [
            (None, "ONLINE  custom status IDLE\n"),
            (Some(Actor::User), "ONLINE  the user set custom status IDLE\n"),
            (Some(Actor::Operator), "ONLINE  an operator set custom status IDLE\n"),
        ] {
            assert!(custom(set_by).ends_with(end), "{}", custom(set_by));
        }
    }

    #[test]
    fn a_change_is_one_line_of_csv() {
        assert_eq!(
            csv(&change()).unwrap(),
            "2001-09-09T01:46:40.000Z,'=a\\u{202e}b,ONLINE,IDLE,inactive,,,7,\n"
        );
        let set = Change {
            custom_status: Some(CustomStatus::Idle),
            set_by: Some(Actor::Operator),
            ..change()
        };
        assert!(
            csv(&set).unwrap().ends_with(",inactive,IDLE,,7,operator\n"),
            "{}",
            csv(&set).unwrap()
        );
    }
}
