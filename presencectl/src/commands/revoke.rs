//! `revoke`: has a user's older tokens refused and ends the sessions, after a confirmation.

use std::io::Write as _;

use presence::wire::rest::{RevokeResponse, UnreachedNode};
use presence::{UserId, Wall};
use serde::Serialize;

use super::{Session, confirmation, ended_sessions, never_seen};
use crate::cli::Revoke;
use crate::clock;
use crate::failure::Failure;
use crate::output::escape::{escape, quote};
use crate::output::{Cell, Column, HumanOutput, Report, TypedRows};

const COLUMNS: [Column; 4] = [
    Column::needed("USER", "userId"),
    Column::needed("BEFORE", "before"),
    Column::needed("KEPT", "kept"),
    Column::needed("ENDED", "ended"),
];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RevokeDocument<'a> {
    user_id: &'a UserId,
    before: Wall,
    kept: bool,
    ended: u64,
    unreached: &'a [UnreachedNode],
}

pub(super) async fn run(session: &mut Session, args: &Revoke) -> Result<(), Failure> {
    let rest = session.rest()?;
    let confirmed = &args.confirmed;
    confirmation::check_possible(confirmed)?;
    if !confirmed.ignore_unknown {
        never_seen::check(&rest, &confirmed.user, "nothing was done").await?;
    }
    let before = args.before.map(|before| before.at(clock::wall()));
    confirmation::confirm(confirmed, &question(&confirmed.user, before))?;
    let answer = rest.revoke(&confirmed.user, before).await?;
    for node in &answer.unreached {
        let _ = writeln!(
            std::io::stderr(),
            "presencectl: node {} was not told and looks for itself, every 2 s: {}",
            quote(&node.node),
            escape(&node.error)
        );
    }
    show(session, &confirmed.user, &answer)
}

fn question(user: &UserId, before: Option<Wall>) -> String {
    let user = quote(user.as_str());
    match before {
        Some(before) => format!("Refuse tokens of {user} that were issued before {before}, and end all sessions?"),
        None => format!("Refuse all tokens that {user} has now, and end all sessions?"),
    }
}

fn show(session: &mut Session, user: &UserId, answer: &RevokeResponse) -> Result<(), Failure> {
    let document = RevokeDocument {
        user_id: user,
        before: answer.before,
        kept: answer.kept,
        ended: answer.ended,
        unreached: &answer.unreached,
    };
    let mut rows = TypedRows::new(&COLUMNS);
    rows.push(vec![
        Cell::Hostile(user.as_str().to_owned()),
        Cell::Moment(Some(answer.before)),
        Cell::Text(answer.kept.to_string()),
        Cell::Number(answer.ended),
    ]);
    let kept = match answer.kept {
        true => "; an earlier call named this later time, which stays",
        false => "",
    };
    let text = format!(
        "tokens of {} that were issued before {} are refused{kept}; {} ended\n",
        escape(user.as_str()),
        answer.before,
        ended_sessions::counted(answer.ended)
    );
    let report = Report {
        document: &document,
        items: &[&document],
        rows,
        human: HumanOutput::Text(text),
    };
    session.output.show(clock::wall(), &report)
}
