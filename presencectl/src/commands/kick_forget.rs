//! `kick` and `forget`: both end a user's sessions, ask first, and never act unasked where nobody can be asked.

use std::io::{self, BufRead, IsTerminal, Write};

use presence::UserId;
use serde::Serialize;

use super::Session;
use crate::cli::Confirmed;
use crate::failure::Failure;
use crate::output::escape::{escape, quote};
use crate::output::{Cell, Column, Dataset, HumanOutput, Report};

const COLUMNS: [Column; 2] = [Column::needed("USER", "userId"), Column::needed("ENDED", "ended")];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EndedDocument<'a> {
    user_id: &'a UserId,
    ended: u64,
}

/// Ends the sessions.
pub(super) async fn kick(session: &mut Session, args: &Confirmed) -> Result<(), Failure> {
    let rest = session.rest()?;
    let user = quote(args.user.as_str());
    confirm(args, &format!("End every session of {user} and show OFFLINE now?"))?;
    let ended = rest.kick(&args.user).await?.ended;
    let text = match ended {
        // What was in grace is no session, and over all the same.
        0 => format!(
            "{} is OFFLINE; there was no session to end, and no grace is left\n",
            escape(args.user.as_str())
        ),
        ended => format!("{} is OFFLINE; {} ended\n", escape(args.user.as_str()), sessions(ended)),
    };
    show(session, args, ended, text)
}

/// Ends the sessions and removes the record.
pub(super) async fn forget(session: &mut Session, args: &Confirmed) -> Result<(), Failure> {
    let rest = session.rest()?;
    let user = quote(args.user.as_str());
    confirm(
        args,
        &format!("Forget {user}, with the custom status and all times? This can't be undone."),
    )?;
    let ended = rest.forget(&args.user).await?.ended;
    let text = format!(
        "{} is forgotten; {} ended\n",
        escape(args.user.as_str()),
        sessions(ended)
    );
    show(session, args, ended, text)
}

fn sessions(count: u64) -> String {
    match count {
        1 => "1 session".to_owned(),
        count => format!("{count} sessions"),
    }
}

fn show(session: &mut Session, args: &Confirmed, ended: u64, text: String) -> Result<(), Failure> {
    let document = EndedDocument {
        user_id: &args.user,
        ended,
    };
    let mut dataset = Dataset::new(&COLUMNS);
    dataset.push(vec![Cell::Hostile(args.user.as_str().to_owned()), Cell::Number(ended)]);
    let report = Report {
        document: &document,
        items: &[&document],
        dataset,
        human: HumanOutput::Text(text),
    };
    session.output.show(crate::clock::wall(), &report)
}

/// Asks on the terminal unless `--yes` answers already.
fn confirm(args: &Confirmed, question: &str) -> Result<(), Failure> {
    if args.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::usage("nobody can be asked here, so nothing was done").next("add --yes if you mean it"));
    }
    let mut stderr = io::stderr();
    let mut answer = String::new();
    let asked = write!(stderr, "{question} [y/N] ")
        .and_then(|()| stderr.flush())
        .and_then(|()| io::stdin().lock().read_line(&mut answer));
    if asked.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        Ok(())
    } else {
        Err(Failure::failed("nothing was done"))
    }
}
