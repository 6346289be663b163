//! The output of `kick` and `forget`: how many sessions ended.

use presence::UserId;
use serde::Serialize;

use super::Session;
use crate::cli::Confirmed;
use crate::failure::Failure;
use crate::output::{Cell, Column, HumanOutput, Report, TypedRows};

const COLUMNS: [Column; 2] = [Column::needed("USER", "userId"), Column::needed("ENDED", "ended")];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EndedDocument<'a> {
    user_id: &'a UserId,
    ended: u64,
}

pub(super) fn show(session: &mut Session, args: &Confirmed, ended: u64, text: String) -> Result<(), Failure> {
    let document = EndedDocument {
        user_id: &args.user,
        ended,
    };
    let mut rows = TypedRows::new(&COLUMNS);
    rows.push(vec![Cell::Hostile(args.user.as_str().to_owned()), Cell::Number(ended)]);
    let report = Report {
        document: &document,
        items: &[&document],
        rows,
        human: HumanOutput::Text(text),
    };
    session.output.show(crate::clock::wall(), &report)
}

pub(super) fn counted(count: u64) -> String {
    match count {
        1 => "1 session".to_owned(),
        count => format!("{count} sessions"),
    }
}
