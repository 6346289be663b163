//! The stream of changes, the newest at the bottom.

use ratatui::text::Line;

use super::super::layout::Layout;
use super::super::model::feed::Change;
use super::super::model::{Model, Panel};
use super::pen::{Pen, span};
use super::words;
use crate::output::escape::escape;
use crate::output::time;

/// From so many columns on there is room for both words of a change; else the first is a sign.
const WORDS_COLUMNS: u16 = 90;

pub(super) fn draw(model: &Model, layout: &Layout, pen: &mut Pen) {
    let area = layout.stream;
    if area.is_empty() {
        return;
    }
    pen.panel(area, &title(model, pen), model.panel == Panel::Stream);
    let inside = area.inside();
    let mut is_empty = true;
    for (change, y) in model.feed.window(usize::from(inside.height)).zip(inside.y..) {
        let line = line(model, change, (inside.width, pen));
        pen.line((inside.x + 1, y), inside.width.saturating_sub(2), &line);
        is_empty = false;
    }
    if is_empty && !inside.is_empty() {
        let style = pen.theme.faint();
        pen.text(
            (inside.x + 1, inside.y),
            inside.width.saturating_sub(1),
            "no change yet",
            style,
        );
    }
}

fn title(model: &Model, pen: &Pen) -> Line<'static> {
    let theme = pen.theme;
    let mut pieces = vec![span(" Stream ", theme.title(model.panel == Panel::Stream))];
    if model.roster.is_started() {
        let total = words::counted(model.feed.total(), "change");
        pieces.push(span(format!("{total} "), theme.faint()));
    }
    if !model.feed.is_following() {
        let unseen = words::count(model.feed.unseen());
        let why = if model.paused_since.is_some() { "held; " } else { "" };
        pieces.push(span(format!("{why}{unseen} newer below "), theme.unusual()));
    }
    Line::from(pieces)
}

fn line(model: &Model, change: &Change, (width, pen): (u16, &Pen)) -> Line<'static> {
    let theme = pen.theme;
    let from = match width {
        WORDS_COLUMNS.. => words::status(change.from),
        _ => words::sign(change.from).to_owned(),
    };
    let mut pieces = vec![
        span(time::time_or_date(change.at, model.now), theme.faint()),
        span(format!(" {}", escape(change.user.as_str())), theme.strong()),
    ];
    match change.to {
        None => pieces.push(span("  forgotten", theme.unusual())),
        Some(to) if to == change.from => {
            pieces.push(span(format!("  {}", words::status(to)), theme.status(to)));
        }
        Some(to) => {
            pieces.push(span(format!("  {from}"), theme.status(change.from)));
            pieces.push(span(" → ", theme.faint()));
            pieces.push(span(words::status(to), theme.status(to)));
        }
    }
    if let Some(reason) = change.reason {
        pieces.push(span(format!("  {}", reason.as_str()), theme.faint()));
    }
    if let Some(choice) = change.chose {
        pieces.push(span(format!("  chose {}", choice.as_str()), theme.faint()));
    }
    if let Some(note) = change.note {
        pieces.push(span(format!("  {note}"), theme.unusual()));
    }
    Line::from(pieces)
}
