//! The detail: the rule behind a user's status, its sessions with their timers, its custom status, and the next
//! changes. Timers count down between responses.

use presence::wire::rest::{Explain, ExplainSession};
use presence::{Actor, IdleCause, Wall};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::super::geometry::Position;
use super::super::layout::Layout;
use super::super::model::{Detail, Model, Panel};
use super::format;
use super::long_id::{broken, shortened_text};
use super::painter::{Painter, columns, span, wrap};
use crate::output::escape::escape;
use crate::output::explain_text::{activity, reason_text, report_text};
use crate::output::time;

/// Before the id.
const TITLE: &str = " Detail ";

pub(super) fn draw(model: &Model, layout: &Layout, painter: &mut Painter) {
    let Some(detail) = model.detail.as_ref().filter(|_| !layout.detail.is_empty()) else {
        return;
    };
    let has_focus = model.panel == Panel::Detail;
    let id = escape(detail.user.as_str());
    // Beside the word, the blanks and the corners.
    let room = usize::from(layout.detail.width).saturating_sub(TITLE.len() + 5);
    let title = Line::from(vec![
        span(TITLE, painter.theme.title(has_focus)),
        span(format!("{} ", shortened_text(&id, room)), painter.theme.strong()),
    ]);
    painter.panel(layout.detail, &title, has_focus);
    let inside = layout.detail.inside();
    let width = usize::from(inside.width.saturating_sub(2));
    let others = lines(model, detail, width, painter);
    let mut lines: Vec<Line> = Vec::new();
    if columns(&id) > room {
        let whole = broken(&id, width).into_iter();
        lines.extend(whole.map(|part| Line::from(span(part, painter.theme.strong()))));
    }
    lines.extend(others.iter().flat_map(|line| wrap(line, width)));
    detail.drawn_lines.set(lines.len());
    let rows = usize::from(inside.height);
    let top = detail.top.min(lines.len().saturating_sub(rows));
    painter.part(layout.detail, top..top + rows, lines.len(), has_focus);
    for (line, y) in lines.iter().skip(top).zip(inside.y..inside.y + inside.height) {
        painter.line(Position::new(inside.x + 1, y), inside.width.saturating_sub(2), line);
    }
}

fn lines(model: &Model, detail: &Detail, width: usize, painter: &Painter) -> Vec<Line<'static>> {
    let theme = painter.theme;
    let mut lines = Vec::new();
    if let Some(error) = &detail.error {
        lines.push(Line::from(span(escape(error).into_owned(), theme.unusual())));
    }
    match &detail.explain {
        Some(explain) => {
            // The most important lines first: a small panel shows no more.
            shown(model, explain, painter, &mut lines);
            next(model, explain, painter, &mut lines);
            lines.extend(last(model, detail, width, painter));
            lines.push(Line::default());
            sessions(model, explain, width, painter, &mut lines);
        }
        None if detail.error.is_none() => lines.push(Line::from(span("loading…", theme.faint()))),
        None => {}
    }
    lines
}

/// The status, the rule and the custom status.
fn shown(model: &Model, explain: &Explain, painter: &Painter, lines: &mut Vec<Line<'static>>) {
    let theme = painter.theme;
    let row = model.known_users.find(&explain.user_id);
    let since = row.and_then(|(_, row)| row.since.filter(|_| row.status == explain.status));
    let rule = format!("  rule {}, {}", explain.rule, explain.reason.as_str());
    let mut first = vec![
        span(format::status(explain.status), theme.status(explain.status)),
        span(rule, theme.faint()),
    ];
    if since.is_some() {
        first.push(span(
            format!("  since {}", format::moment(model.times, since, model.now)),
            theme.faint(),
        ));
    }
    lines.push(Line::from(first));
    let reason = format!("reason: {}", reason_text(explain));
    lines.push(Line::from(span(reason, Style::new())));
    let preference = &explain.choice;
    let by = match preference.set_by {
        _ if explain.degraded => ", not read (degraded)",
        Some(Actor::User) => ", set by the user",
        Some(Actor::Operator) => ", set by an operator",
        None => ", never set",
    };
    let mut line = vec![
        span("custom status ", theme.faint()),
        span(preference.custom_status.as_str(), theme.strong()),
        span(by, Style::new()),
    ];
    if let Some(at) = preference.set_at {
        line.push(span(format!(" {}", format::past(model, at)), theme.faint()));
    }
    lines.push(Line::from(line));
}

/// Last active and last seen; nothing before they are known.
fn last(model: &Model, detail: &Detail, width: usize, painter: &Painter) -> Vec<Line<'static>> {
    let row = model.known_users.find(&detail.user).map(|(_, row)| row);
    let (active, seen) = match (row, &detail.record) {
        (Some(row), _) => (row.last_active, row.last_seen),
        (None, Some(record)) => (record.last_active, record.last_seen),
        (None, None) => return Vec::new(),
    };
    if row.is_none() && seen.is_none() {
        return vec![Line::from(span(
            "never seen; check that the id is complete",
            painter.theme.unusual(),
        ))];
    }
    let text = |name: &str, at: Option<Wall>| match at {
        Some(at) => format!("last {name} {}", format::past(model, at)),
        None => format!("never {name}"),
    };
    let (active, seen) = (text("active", active), text("seen", seen));
    let both = format!("{active}, {seen}");
    let texts = if both.len() <= width {
        vec![both]
    } else {
        vec![active, seen]
    };
    texts
        .into_iter()
        .map(|text| Line::from(span(text, Style::new())))
        .collect()
}

fn sessions(model: &Model, explain: &Explain, width: usize, painter: &Painter, lines: &mut Vec<Line<'static>>) {
    let theme = painter.theme;
    let heading = match explain.sessions.len() {
        0 => "no session".to_owned(),
        1 => "1 session".to_owned(),
        count => format!("{count} sessions"),
    };
    let mut first = vec![span(heading, theme.strong())];
    if let Some(grace) = explain.grace {
        let idle = if grace.idle { ", idle when lost" } else { "" };
        first.extend([
            span(", grace period ends in ", Style::new()),
            span(time::until(grace.until, model.now), theme.accent()),
            span(idle, theme.faint()),
        ]);
    }
    lines.push(Line::from(first));
    for session in &explain.sessions {
        session_lines(model, session, width, painter, lines);
    }
    for (node, error) in explain
        .nodes
        .iter()
        .filter_map(|node| Some((node, node.error.as_ref()?)))
    {
        let count = match node.connections {
            1 => "1 connection".to_owned(),
            count => format!("{count} connections"),
        };
        let text = format!("{count} on {}, not listed: {}", escape(&node.node), escape(error));
        lines.push(Line::from(span(text, theme.unusual())));
    }
}

/// Whether a connection said that it is idle, or is silent, and for how long.
fn idle_words(model: &Model, session: &ExplainSession) -> String {
    let since = session.idle_since.map(|at| time::age(at, model.now));
    match (session.idle_cause, since) {
        (Some(IdleCause::Said), Some(age)) => format!(", said so {age} ago"),
        (Some(IdleCause::Silent), Some(age)) => format!(", silent for {age}"),
        (Some(IdleCause::Inherited), _) => ", as when lost".to_owned(),
        _ => String::new(),
    }
}

fn session_lines(
    model: &Model,
    session: &ExplainSession,
    width: usize,
    painter: &Painter,
    lines: &mut Vec<Line<'static>>,
) {
    let theme = painter.theme;
    let place = match (&session.source, &session.node) {
        (Some(_), _) => "report".to_owned(),
        (None, Some(node)) => format!("connection on {}", escape(node)),
        (None, None) => "connection".to_owned(),
    };
    let counted = match report_text(session) {
        Some(report) => format!("  {report}"),
        None => format!("  activity: {}{}", activity(session), idle_words(model, session)),
    };
    let mut state = vec![span(counted, Style::new())];
    for (text, at) in [(", idle in ", session.idle_at), (", ends in ", session.ends_at)] {
        if let Some(at) = at {
            state.push(span(text, theme.faint()));
            state.push(span(time::until(at, model.now), theme.accent()));
        }
    }
    let first = vec![
        span(format!("• {}", escape(&session.session_id)), Style::new()),
        span(format!("  {place}"), theme.faint()),
    ];
    // On one line if both fit.
    let first_columns: usize = first.iter().chain(&state).map(Span::width).sum();
    if first_columns <= width {
        lines.push(Line::from_iter(first.into_iter().chain(state)));
    } else {
        lines.extend([Line::from(first), Line::from(state)]);
    }
    let active = match session.last_active {
        Some(at) => format!("active {} ago", time::age(at, model.now)),
        None => "never active".to_owned(),
    };
    let times = format!(
        "  open for {}, last heard {} ago, {active}",
        time::age(session.since, model.now),
        time::age(session.last_heard, model.now),
    );
    lines.push(Line::from(span(times, theme.faint())));
}

fn next(model: &Model, explain: &Explain, painter: &Painter, lines: &mut Vec<Line<'static>>) {
    let theme = painter.theme;
    if explain.next.is_empty() {
        let text = "next  no timer is pending";
        return lines.push(Line::from(span(text, theme.faint())));
    }
    for (index, next) in explain.next.iter().enumerate() {
        let label = if index == 0 { "next  " } else { "then  " };
        lines.push(Line::from(vec![
            span(label, theme.faint()),
            span(format!("in {} ", time::until(next.at, model.now)), theme.accent()),
            span(escape(&next.why).into_owned(), Style::new()),
        ]));
    }
}
