//! `end-reports`: ends all reports of a gateway that is gone, after a confirmation.

use serde::Serialize;

use super::{Session, confirmation};
use crate::cli::EndReports;
use crate::failure::Failure;
use crate::output::{Cell, Column, HumanOutput, Report, TypedRows};

const COLUMNS: [Column; 2] = [Column::needed("SOURCE", "source"), Column::needed("ENDED", "ended")];

#[derive(Serialize)]
struct EndReportsDocument<'a> {
    source: &'a str,
    ended: u64,
}

pub(super) async fn run(session: &mut Session, args: &EndReports) -> Result<(), Failure> {
    let rest = session.rest()?;
    let source = args.source.as_str();
    confirmation::confirm_unless(args.yes, &format!("End all reports of the source {source}?"))?;
    let mut ended = 0;
    let mut cursor = None;
    loop {
        // What a failure leaves is ended by running the command again.
        let page = rest.end_reports(&args.source, cursor.as_deref()).await?;
        ended += page.ended;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let document = EndReportsDocument { source, ended };
    let mut rows = TypedRows::new(&COLUMNS);
    rows.push(vec![Cell::Text(source.to_owned()), Cell::Number(ended)]);
    let human = match ended {
        0 => format!("{source} has no reports; nothing was done\n"),
        1 => format!("1 report of {source} ended\n"),
        ended => format!("{ended} reports of {source} ended\n"),
    };
    let report = Report {
        document: &document,
        items: &[&document],
        rows,
        human: HumanOutput::Text(human),
    };
    session.output.show(crate::clock::wall(), &report)
}
