//! Why one user is shown so: the rule, each session with its timers, the choice, and what comes next. Timers count down between two answers.

use presence::wire::rest::{Explain, ExplainSession};
use presence::{By, Wall};
use ratatui::style::Style;
use ratatui::text::Line;

use super::super::layout::Layout;
use super::super::model::{Detail, Model, Panel};
use super::pen::{Pen, span, wrap};
use super::words;
use crate::output::escape::escape;
use crate::output::reasons::{because, says};
use crate::output::time;

pub(super) fn draw(model: &Model, layout: &Layout, pen: &mut Pen) {
    let Some(detail) = model.detail.as_ref().filter(|_| !layout.detail.is_empty()) else {
        return;
    };
    let has_focus = model.panel == Panel::Detail;
    let title = Line::from(vec![
        span(" Detail ", pen.theme.title(has_focus)),
        span(format!("{} ", escape(detail.user.as_str())), pen.theme.strong()),
    ]);
    pen.panel(layout.detail, &title, has_focus);
    let inside = layout.detail.inside();
    let columns = usize::from(inside.width.saturating_sub(2));
    let lines = lines(model, detail, pen);
    let lines: Vec<Line> = lines.iter().flat_map(|line| wrap(line, columns)).collect();
    let rows = usize::from(inside.height);
    let top = detail.top.min(lines.len().saturating_sub(rows));
    pen.part(layout.detail, (top, rows, lines.len()), has_focus);
    for (line, y) in lines.iter().skip(top).zip(inside.y..inside.y + inside.height) {
        pen.line((inside.x + 1, y), inside.width.saturating_sub(2), line);
    }
}

fn lines(model: &Model, detail: &Detail, pen: &Pen) -> Vec<Line<'static>> {
    let theme = pen.theme;
    let mut lines = Vec::new();
    if let Some(error) = &detail.error {
        lines.push(Line::from(span(escape(error).into_owned(), theme.unusual())));
    }
    match &detail.explain {
        Some(explain) => {
            shown(model, explain, pen, &mut lines);
            lines.push(Line::default());
            sessions(model, explain, pen, &mut lines);
            lines.push(Line::default());
            next(model, explain, pen, &mut lines);
        }
        None if detail.error.is_none() => lines.push(Line::from(span("asking…", theme.faint()))),
        None => {}
    }
    lines
}

/// The status, the rule behind it, and what was chosen.
fn shown(model: &Model, explain: &Explain, pen: &Pen, lines: &mut Vec<Line<'static>>) {
    let theme = pen.theme;
    let row = model.roster.find(&explain.user_id);
    let since = row.and_then(|(_, row)| row.since.filter(|_| row.status == explain.status));
    let mut first = vec![span(words::status(explain.status), theme.status(explain.status))];
    if since.is_some() {
        first.push(span(format!("  since {}", words::moment(model, since)), theme.faint()));
    }
    lines.push(Line::from(first));
    let rule = format!("because {}", because(explain));
    lines.push(Line::from(span(rule, Style::new())));
    let number = format!("rule {}, {}", explain.rule, explain.reason.as_str());
    lines.push(Line::from(span(number, theme.faint())));
    let choice = &explain.choice;
    let by = match choice.set_by {
        Some(By::User) => ", set by the user",
        Some(By::Operator) => ", set by an operator",
        None => ", never set",
    };
    let mut chosen = vec![
        span("custom status ", theme.faint()),
        span(choice.custom_status.as_str(), theme.strong()),
        span(by, Style::new()),
    ];
    if choice.set_at.is_some() {
        chosen.push(span(format!(" {}", words::moment(model, choice.set_at)), theme.faint()));
    }
    lines.push(Line::from(chosen));
}

fn sessions(model: &Model, explain: &Explain, pen: &Pen, lines: &mut Vec<Line<'static>>) {
    let theme = pen.theme;
    let heading = match explain.sessions.len() {
        0 => "no session".to_owned(),
        1 => "1 session".to_owned(),
        count => format!("{count} sessions"),
    };
    lines.push(Line::from(span(heading, theme.strong())));
    for session in &explain.sessions {
        session_lines(model, session, pen, lines);
    }
    if let Some(grace) = explain.grace {
        let idle = if grace.idle { ", idle when lost" } else { "" };
        lines.push(Line::from(vec![
            span("lost sessions still count for ", Style::new()),
            span(time::until(grace.until, model.now), theme.accent()),
            span(idle, theme.faint()),
        ]));
    }
}

fn session_lines(model: &Model, session: &ExplainSession, pen: &Pen, lines: &mut Vec<Line<'static>>) {
    let theme = pen.theme;
    let place = match (&session.source, &session.node) {
        (Some(_), _) => "report".to_owned(),
        (None, Some(node)) => format!("connection on {}", escape(node)),
        (None, None) => "connection".to_owned(),
    };
    let mut first = vec![
        span(format!("• {}", escape(&session.session_id)), Style::new()),
        span(format!("  {place}"), theme.faint()),
        span(format!("  says {}", says(session)), Style::new()),
    ];
    for (text, at) in [("  idle in ", session.idle_at), ("  ends in ", session.ends_at)] {
        if let Some(at) = at {
            first.push(span(text, theme.faint()));
            first.push(span(time::until(at, model.now), theme.accent()));
        }
    }
    lines.push(Line::from(first));
    let age = |at: Option<Wall>| at.map_or("never".to_owned(), |at| format!("{} ago", time::age(at, model.now)));
    let times = format!(
        "  open for {}, heard {}, active {}",
        time::age(session.since, model.now),
        age(Some(session.last_heard)),
        age(session.last_active)
    );
    lines.push(Line::from(span(times, theme.faint())));
}

fn next(model: &Model, explain: &Explain, pen: &Pen, lines: &mut Vec<Line<'static>>) {
    let theme = pen.theme;
    if explain.next.is_empty() {
        let nothing = "no timer will change that by itself";
        return lines.push(Line::from(span(nothing, theme.faint())));
    }
    lines.push(Line::from(span("if nothing else happens", theme.strong())));
    for next in &explain.next {
        lines.push(Line::from(vec![
            span(format!("  in {:<8}", time::until(next.at, model.now)), theme.accent()),
            span(escape(&next.why).into_owned(), Style::new()),
        ]));
    }
}
