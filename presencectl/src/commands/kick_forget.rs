//! `kick` and `forget`: both ask for confirmation, and require `--yes` without a terminal.

use std::io::{self, BufRead, IsTerminal, Write};

use presence::UserId;
use serde::Serialize;

use super::Session;
use crate::cli::Confirmed;
use crate::failure::Failure;
use crate::output::escape::{escape, quote};
use crate::output::{Cell, Column, HumanOutput, Report, TypedRows};

const COLUMNS: [Column; 2] = [Column::needed("USER", "userId"), Column::needed("ENDED", "ended")];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EndedDocument<'a> {
    user_id: &'a UserId,
    ended: u64,
}

pub(super) async fn kick(session: &mut Session, args: &Confirmed) -> Result<(), Failure> {
    let rest = session.rest()?;
    let user = quote(args.user.as_str());
    confirm(args, &format!("End all sessions of {user}?"))?;
    let ended = rest.kick(&args.user).await?.ended;
    let text = match ended {
        // A kick ends the grace period too, although that is not a session.
        0 => format!(
            "{} is OFFLINE; there was no session, and no grace period remains\n",
            escape(args.user.as_str())
        ),
        ended => format!("{} is OFFLINE; {} ended\n", escape(args.user.as_str()), sessions(ended)),
    };
    show(session, args, ended, text)
}

pub(super) async fn forget(session: &mut Session, args: &Confirmed) -> Result<(), Failure> {
    let rest = session.rest()?;
    let user = quote(args.user.as_str());
    confirm(
        args,
        &format!("Delete {user} with its record and custom status? This can't be undone."),
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

/// Asks on the terminal, unless `--yes` was given.
fn confirm(args: &Confirmed, question: &str) -> Result<(), Failure> {
    if args.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::usage("confirmation needs a terminal; nothing was done")
            .next("use --yes to skip the confirmation"));
    }
    let mut stderr = io::stderr();
    let mut answer = String::new();
    let asked = write!(stderr, "{question} [y/N] ")
        .and_then(|()| stderr.flush())
        .and_then(|()| io::stdin().lock().read_line(&mut answer));
    if asked.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        Ok(())
    } else {
        Err(Failure::failed("cancelled; nothing was done"))
    }
}
