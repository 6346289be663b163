//! `explain`: the reason for a user's status in sentences, its sessions as a table, and the next timers.

use std::fmt::Write;

use presence::wire::rest::{Explain, ExplainGrace, ExplainNode, ExplainSession};
use presence::{Actor, Wall};

use super::{Session, never_seen};
use crate::cli::OneUser;
use crate::failure::Failure;
use crate::output::escape::escape;
use crate::output::explain_text::{activity, idle_text, reason_text, report_text};
use crate::output::{Cell, Colour, Column, HumanOutput, Report, TypedRows, time};

const COLUMNS: [Column; 9] = [
    Column::needed("SESSION", "sessionId"),
    Column::needed("KIND", "kind"),
    Column::extra("NODE", "node"),
    Column::extra("SINCE", "since"),
    Column::needed("LAST HEARD", "lastHeard"),
    Column::needed("LAST ACTIVE", "lastActive"),
    Column::needed("ACTIVITY", "activity"),
    Column::extra("IDLE AT", "idleAt"),
    Column::extra("ENDS AT", "endsAt"),
];

pub(super) async fn run(session: &mut Session, args: &OneUser) -> Result<(), Failure> {
    let rest = session.rest()?;
    let explain = rest.explain(&args.user).await?;
    let report = Report {
        document: &explain,
        items: std::slice::from_ref(&explain),
        rows: rows(&explain.sessions),
        human: HumanOutput::Table {
            above: above(&explain, session.output.colour),
            below: below(&explain),
        },
    };
    session.output.show(explain.now, &report)?;
    if !args.ignore_unknown && is_empty(&explain) && never_seen::is_unknown(&rest, &args.user).await? {
        return Err(never_seen::failure(&[&args.user], 1));
    }
    Ok(())
}

/// Whether the explanation has nothing that was ever told or set; only the record knows whether the user was seen.
const fn is_empty(explain: &Explain) -> bool {
    explain.sessions.is_empty()
        && explain.nodes.is_empty()
        && explain.grace.is_none()
        && explain.choice.set_at.is_none()
        && explain.tokens_revoked_before.is_none()
}

fn rows(sessions: &[ExplainSession]) -> TypedRows {
    let mut rows = TypedRows::new(&COLUMNS);
    for session in sessions {
        rows.push(vec![
            Cell::Hostile(session.session_id.clone()),
            Cell::Text(
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
            Cell::Text(activity(session).to_owned()),
            session.idle_at.map_or(Cell::Empty, |at| Cell::Moment(Some(at))),
            session.ends_at.map_or(Cell::Empty, |at| Cell::Moment(Some(at))),
        ]);
    }
    rows
}

fn above(explain: &Explain, colour: Colour) -> String {
    let user = escape(explain.user_id.as_str());
    let status = colour.status(explain.status);
    let reason = reason_text(explain);
    let mut text = format!(
        "{user} is shown as {status}: {reason} (rule {}, {}).\n",
        explain.rule,
        explain.reason.as_str()
    );
    let custom_status = explain.choice.custom_status;
    let by = match explain.choice.set_by {
        Some(Actor::User) => " by the user",
        Some(Actor::Operator) => " by an operator",
        None => "",
    };
    let _ = match explain.choice.set_at {
        _ if explain.degraded => writeln!(
            text,
            "Custom status: taken for {custom_status}, because what is stored could not be read (degraded)."
        ),
        Some(at) => writeln!(
            text,
            "Custom status: {custom_status}, set{by} at {}.",
            time::moment(at, explain.now)
        ),
        None => writeln!(text, "Custom status: {custom_status} (default, never set)."),
    };
    if let Some(until) = explain.choice.active_until {
        let until = time::moment(until, explain.now);
        let _ = writeln!(text, "It counts like an active session until {until}.");
    }
    if let Some(before) = explain.tokens_revoked_before {
        let before = time::moment(before, explain.now);
        let _ = writeln!(
            text,
            "Tokens that were issued before {before} are refused: an operator revoked them."
        );
    }
    for session in &explain.sessions {
        if let Some(report) = report_text(session) {
            let name = escape(&session.session_id);
            let _ = writeln!(text, "{name} {report}.");
        }
        if let Some(idle) = idle_text(session, |at| time::moment(at, explain.now)) {
            let name = escape(&session.session_id);
            let _ = writeln!(text, "{name} {idle}.");
        }
    }
    for node in explain.nodes.iter().filter(|node| !is_listed(explain, node)) {
        let _ = writeln!(text, "{}.", node_text(node));
    }
    if let Some(grace) = explain.grace {
        let _ = writeln!(text, "{}.", grace_text(&grace, explain.now));
    }
    if !explain.sessions.is_empty() {
        text.push('\n');
    }
    text
}

/// Whether the connections on the node are rows of the table, and it has nothing else.
fn is_listed(explain: &Explain, node: &ExplainNode) -> bool {
    let is_there = |session: &ExplainSession| session.node.as_ref() == Some(&node.node);
    node.error.is_none() && explain.sessions.iter().any(is_there)
}

/// What the user's sessions on another node add up to, and why they are not in the table.
fn node_text(node: &ExplainNode) -> String {
    let name = escape(&node.node);
    let idle = if node.idle { ", idle" } else { "" };
    let error = match &node.error {
        Some(error) => format!("; not listed, because the node does not answer: {}", escape(error)),
        None => String::new(),
    };
    match node.connections {
        0 => format!("On node {name}: lost sessions in grace{idle}{error}"),
        1 => format!("On node {name}: 1 connection{idle}{error}"),
        count => format!("On node {name}: {count} connections{idle}{error}"),
    }
}

fn grace_text(grace: &ExplainGrace, now: Wall) -> String {
    let until = time::moment(grace.until, now);
    let lost = match grace.sessions {
        None => "",
        Some(1) => " for 1 lost session",
        Some(_) => " for lost sessions",
    };
    let idle = if grace.idle {
        "; the lost sessions were idle"
    } else {
        ""
    };
    format!("Grace period{lost} until {until}{idle}")
}

fn below(explain: &Explain) -> String {
    let mut text = String::from(if explain.sessions.is_empty() { "" } else { "\n" });
    if explain.next.is_empty() {
        text.push_str("No timer is pending.\n");
    } else {
        text.push_str("Next, unless something else happens:\n");
        for next in &explain.next {
            let _ = writeln!(text, "  {}  {}", time::moment(next.at, explain.now), escape(&next.why));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use presence::wire::rest::{ExplainNext, ExplainPreference, ReportCounts};
    use presence::{CustomStatus, Reason, Status, UserId};

    use super::*;
    use crate::output::explain_text::tests::connection;
    use crate::output::typed_rows::Moments;

    /// Of a user in grace, with a report that does not count.
    fn explanation() -> Explain {
        let now = Wall::from_millis(1_000_000_000_000);
        Explain {
            now,
            user_id: UserId::new("alice").unwrap(),
            status: Status::Online,
            rule: 5,
            reason: Reason::Active,
            degraded: false,
            sessions: vec![ExplainSession {
                source: Some("app\u{1b}".into()),
                reported: Some(CustomStatus::Idle),
                counts: Some(ReportCounts::OlderThanCustomStatus),
                ..connection("report:app\u{1b}", now)
            }],
            nodes: vec![ExplainNode {
                node: "b\u{1b}".into(),
                connections: 2,
                idle: true,
                grace: None,
                error: Some("no way\u{1b}".into()),
            }],
            grace: Some(ExplainGrace {
                until: now.after(std::time::Duration::from_secs(4)),
                idle: false,
                sessions: Some(1),
            }),
            choice: ExplainPreference {
                custom_status: CustomStatus::Online,
                set_at: None,
                set_by: None,
                active_until: Some(now.after(std::time::Duration::from_secs(60))),
            },
            tokens_revoked_before: None,
            next: vec![ExplainNext {
                at: now.after(std::time::Duration::from_secs(4)),
                why: "OFFLINE\u{1b}: the grace period ends".into(),
            }],
        }
    }

    #[test]
    fn an_explanation_reads_as_sentences() {
        let explain = explanation();
        assert_eq!(
            above(&explain, Colour::Plain),
            "alice is shown as ONLINE: the user set the custom status a short while ago, which counts like an active \
             session (rule 5, active).\n\
             Custom status: ONLINE (default, never set).\n\
             It counts like an active session until 2001-09-09 01:47:40Z (in 1m).\n\
             report:app\\u{1b} says IDLE, which does not count: the custom status is newer.\n\
             On node b\\u{1b}: 2 connections, idle; not listed, because the node does not answer: no way\\u{1b}.\n\
             Grace period for 1 lost session until 2001-09-09 01:46:44Z (in 4s).\n\n"
        );
        assert_eq!(
            below(&explain),
            "\nNext, unless something else happens:\n  2001-09-09 01:46:44Z (in 4s)  OFFLINE\\u{1b}: the grace period ends\n"
        );
        for (set_by, setter) in [
            (None, "set at "),
            (Some(Actor::User), "set by the user at "),
            (Some(Actor::Operator), "set by an operator at "),
        ] {
            let mut set = explain.clone();
            (set.choice.set_at, set.choice.set_by) = (Some(explain.now), set_by);
            let text = above(&set, Colour::Plain);
            assert!(text.contains(setter), "{text}");
        }
        let revoked = Explain {
            tokens_revoked_before: Some(explain.now),
            ..explain.clone()
        };
        let text = above(&revoked, Colour::Plain);
        assert!(
            text.contains("\nTokens that were issued before 2001-09-09 01:46:40Z"),
            "{text}"
        );
        let degraded = Explain {
            degraded: true,
            ..explain
        };
        let text = above(&degraded, Colour::Plain);
        assert!(
            text.contains("\nCustom status: taken for ONLINE, because") && !text.contains("never set"),
            "{text}"
        );
    }

    #[test]
    fn a_node_whose_connections_are_rows_has_no_line() {
        let mut explain = explanation();
        let on_node = |explain: &Explain| above(explain, Colour::Plain).contains("On node b");
        explain.nodes[0].error = None;
        assert!(on_node(&explain), "an older daemon lists none of them");
        let now = explain.now;
        explain.sessions.push(ExplainSession {
            node: Some(explain.nodes[0].node.clone()),
            ..connection("s1", now)
        });
        assert!(!on_node(&explain));
        explain.nodes[0].error = Some("no answer".into());
        assert!(on_node(&explain));
    }

    #[test]
    fn timer_columns_appear_only_if_a_session_has_that_timer() {
        let now = Wall::from_millis(1_000_000_000_000);
        let session = |idle_at, ends_at| ExplainSession {
            idle_at,
            ends_at,
            ..connection("s1", now)
        };
        let shown = |session| {
            let mut out = Vec::new();
            let table = rows(&[session]).table(now, Colour::Plain, Moments::Short);
            table.write(&mut out, None).unwrap();
            String::from_utf8(out).unwrap()
        };
        let soon = now.after(std::time::Duration::from_secs(9));
        assert!(!shown(session(None, None)).contains(" AT"));
        let idle_timer = shown(session(Some(soon), None));
        assert!(
            idle_timer.contains("IDLE AT") && idle_timer.contains("(in 9s)"),
            "{idle_timer}"
        );
        assert!(!idle_timer.contains("ENDS AT"), "{idle_timer}");
        assert!(shown(session(None, Some(soon))).contains("ENDS AT"));
    }
}
