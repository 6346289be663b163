//! `explain`: why a user is shown so, in sentences, with the sessions as a table and what will change it next.

use std::fmt::Write;

use presence::Actor;
use presence::wire::rest::{Explain, ExplainSession};

use super::Session;
use crate::cli::OneUser;
use crate::failure::Failure;
use crate::output::escape::escape;
use crate::output::reasons::{because, says};
use crate::output::{Cell, Colour, Column, Dataset, HumanOutput, Report, time};

const COLUMNS: [Column; 9] = [
    Column::needed("SESSION", "sessionId"),
    Column::needed("KIND", "kind"),
    Column::extra("NODE", "node"),
    Column::extra("SINCE", "since"),
    Column::needed("LAST HEARD", "lastHeard"),
    Column::needed("LAST ACTIVE", "lastActive"),
    Column::needed("SAYS", "says"),
    Column::extra("IDLE AT", "idleAt"),
    Column::extra("ENDS AT", "endsAt"),
];

/// Explains one user.
pub(super) async fn run(session: &mut Session, args: &OneUser) -> Result<(), Failure> {
    let explain = session.rest()?.explain(&args.user).await?;
    let report = Report {
        document: &explain,
        items: std::slice::from_ref(&explain),
        dataset: dataset(&explain.sessions),
        human: HumanOutput::Table {
            above: above(&explain, session.output.colour),
            below: below(&explain),
        },
    };
    session.output.show(explain.now, &report)
}

fn dataset(sessions: &[ExplainSession]) -> Dataset {
    let mut dataset = Dataset::new(&COLUMNS);
    for session in sessions {
        dataset.push(vec![
            Cell::Hostile(session.session_id.clone()),
            Cell::Word(
                if session.source.is_some() {
                    "report"
                } else {
                    "connection"
                }
                .to_owned(),
            ),
            session.node.clone().map_or(Cell::Empty, Cell::Hostile),
            Cell::Moment(Some(session.since)),
            Cell::Moment(Some(session.last_heard)),
            Cell::Moment(session.last_active),
            Cell::Word(says(session).to_owned()),
            session.idle_at.map_or(Cell::Empty, |at| Cell::Moment(Some(at))),
            session.ends_at.map_or(Cell::Empty, |at| Cell::Moment(Some(at))),
        ]);
    }
    dataset
}

fn above(explain: &Explain, colour: Colour) -> String {
    let user = escape(explain.user_id.as_str());
    let status = colour.status(explain.status);
    let why = because(explain);
    let mut text = format!(
        "{user} is shown as {status}: {why} (rule {}, {}).\n",
        explain.rule,
        explain.reason.as_str()
    );
    let chosen = explain.choice.custom_status;
    let by = match explain.choice.set_by {
        Some(Actor::User) => " by the user",
        Some(Actor::Operator) => " by an operator",
        None => "",
    };
    let _ = match explain.choice.set_at {
        Some(at) => writeln!(
            text,
            "The choice is {chosen}, made{by} at {}.",
            time::moment(at, explain.now)
        ),
        None => writeln!(text, "The choice is {chosen}; none was ever made."),
    };
    match explain.grace {
        Some(grace) => {
            let idle = if grace.idle { ", and what was lost was idle" } else { "" };
            let _ = writeln!(
                text,
                "Lost sessions still count until {}{idle}.",
                time::moment(grace.until, explain.now)
            );
        }
        None if explain.sessions.is_empty() => text.push_str("There is no session and no grace.\n"),
        None => {}
    }
    if !explain.sessions.is_empty() {
        text.push('\n');
    }
    text
}

fn below(explain: &Explain) -> String {
    let mut text = String::from(if explain.sessions.is_empty() { "" } else { "\n" });
    if explain.next.is_empty() {
        text.push_str("No timer will change that by itself.\n");
    } else {
        text.push_str("If nothing else happens:\n");
        for next in &explain.next {
            let _ = writeln!(text, "  {}  {}", time::moment(next.at, explain.now), escape(&next.why));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use presence::wire::rest::{ExplainChoice, ExplainGrace, ExplainNext};
    use presence::{CustomStatus, Reason, Status, UserId, Wall};

    use super::*;
    use crate::output::dataset::Moments;

    #[test]
    fn an_explanation_reads_as_sentences() {
        let now = Wall::from_millis(1_000_000_000_000);
        let explain = Explain {
            now,
            user_id: UserId::new("alice").unwrap(),
            status: Status::Online,
            rule: 5,
            reason: Reason::Active,
            sessions: Vec::new(),
            grace: Some(ExplainGrace {
                until: now.after(std::time::Duration::from_secs(4)),
                idle: false,
            }),
            choice: ExplainChoice {
                custom_status: CustomStatus::Online,
                set_at: None,
                set_by: None,
            },
            next: vec![ExplainNext {
                at: now.after(std::time::Duration::from_secs(4)),
                why: "OFFLINE\u{1b}: grace ends".into(),
            }],
        };
        assert_eq!(
            above(&explain, Colour::Plain),
            "alice is shown as ONLINE: a session or its grace is there and nothing speaks against it (rule 5, active).\n\
             The choice is ONLINE; none was ever made.\n\
             Lost sessions still count until 2001-09-09 01:46:44Z (in 4s).\n"
        );
        assert_eq!(
            below(&explain),
            "If nothing else happens:\n  2001-09-09 01:46:44Z (in 4s)  OFFLINE\\u{1b}: grace ends\n"
        );
    }

    #[test]
    fn the_timers_of_sessions_have_columns_where_there_are_some() {
        let now = Wall::from_millis(1_000_000_000_000);
        let session = |idle_at, ends_at| ExplainSession {
            session_id: "s1".into(),
            node: None,
            since: now,
            last_heard: now,
            last_active: None,
            idle: false,
            source: None,
            idle_at,
            ends_at,
        };
        let shown = |session| {
            let mut out = Vec::new();
            let table = dataset(&[session]).table(now, Colour::Plain, Moments::Short);
            table.write(&mut out, None).unwrap();
            String::from_utf8(out).unwrap()
        };
        let soon = now.after(std::time::Duration::from_secs(9));
        assert!(!shown(session(None, None)).contains(" AT"));
        let speaks = shown(session(Some(soon), None));
        assert!(speaks.contains("IDLE AT") && speaks.contains("(in 9s)"), "{speaks}");
        assert!(!speaks.contains("ENDS AT"), "{speaks}");
        assert!(shown(session(None, Some(soon))).contains("ENDS AT"));
    }
}
