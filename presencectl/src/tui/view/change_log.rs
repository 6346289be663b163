//! The change log, titled "Stream": the newest change at the bottom.

use presence::{Actor, CustomStatus, Reason};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::super::geometry::Position;
use super::super::layout::Layout;
use super::super::model::change_log::Change;
use super::super::model::{Model, Panel};
use super::format;
use super::long_id::shortened_text;
use super::painter::{Painter, columns, span};
use crate::output::escape::escape;
use crate::output::time;

/// From this width on the previous status has its name; else it is only a sign.
const NAMES_COLUMNS: usize = 90;
/// From this width on the columns are aligned.
const ALIGNED_COLUMNS: usize = 60;
/// A time or date, and a blank.
const TIME_COLUMNS: usize = 11;
/// Sign and name, or two names.
const CHANGE_COLUMNS: usize = 20;
const CHANGE_NAMES_COLUMNS: usize = 35;
/// The longest reason, with blanks.
const REASON_COLUMNS: usize = 12;
/// A minimum for the id, however long the change; a maximum of the length of a UUID, so that the change is not too far
/// from it, unless there are longer ids.
const USER_COLUMNS_MIN: usize = 8;
const USER_COLUMNS_MAX: usize = 36;
/// This much of an id usually identifies it.
const USER_COLUMNS_TELLING: usize = 12;

pub(super) fn draw(model: &Model, layout: &Layout, painter: &mut Painter) {
    let area = layout.change_log;
    if area.is_empty() {
        return;
    }
    painter.panel(area, &title(model, painter), model.panel == Panel::ChangeLog);
    let inside = area.inside();
    let mut is_empty = true;
    for (change, y) in model.change_log.window(usize::from(inside.height)).zip(inside.y..) {
        let width = inside.width.saturating_sub(2);
        let line = line(model, change, width.into(), painter);
        painter.line(Position::new(inside.x + 1, y), width, &line);
        is_empty = false;
    }
    if is_empty && model.change_log.total() == 0 && !inside.is_empty() {
        let style = painter.theme.faint();
        painter.text(
            Position::new(inside.x + 1, inside.y),
            inside.width.saturating_sub(1),
            "no changes yet",
            style,
        );
    }
}

fn title(model: &Model, painter: &Painter) -> Line<'static> {
    let theme = painter.theme;
    let mut pieces = vec![span(" Stream ", theme.title(model.panel == Panel::ChangeLog))];
    if model.known_users.is_started() {
        let total = format::counted(model.change_log.total(), "change");
        pieces.push(span(format!("{total} "), theme.faint()));
    }
    if !model.change_log.is_following() {
        let unseen = format::count(model.change_log.unseen());
        let paused = if model.paused_since.is_some() { "paused; " } else { "" };
        pieces.push(span(format!("{paused}{unseen} newer "), theme.unusual()));
    }
    Line::from(pieces)
}

fn line(model: &Model, change: &Change, width: usize, painter: &Painter) -> Line<'static> {
    let theme = painter.theme;
    let spans = change_spans(change, width, painter);
    let change_width: usize = spans.iter().map(Span::width).sum();
    // Aligned if there is room, else the id takes what the change leaves.
    let (user_columns, change_columns) = match width {
        NAMES_COLUMNS.. => {
            let others = TIME_COLUMNS + 1 + CHANGE_NAMES_COLUMNS + REASON_COLUMNS;
            let longest = model.known_users.widest_id.max(USER_COLUMNS_MAX);
            (
                width.saturating_sub(others).clamp(USER_COLUMNS_MAX, longest),
                CHANGE_NAMES_COLUMNS,
            )
        }
        ALIGNED_COLUMNS.. => {
            let others = TIME_COLUMNS + 1 + CHANGE_COLUMNS + REASON_COLUMNS;
            (width.saturating_sub(others).min(USER_COLUMNS_MAX), CHANGE_COLUMNS)
        }
        _ => (narrow_user_columns(change, width, change_width), 0),
    };
    let user_columns = user_columns.max(USER_COLUMNS_MIN);
    let user = shortened_text(&escape(change.user.as_str()), user_columns);
    let pad = |used: usize, columns: usize| match width {
        ALIGNED_COLUMNS.. => span(" ".repeat(columns.saturating_sub(used)), Style::new()),
        _ => span("", Style::new()),
    };
    let user_pad = pad(columns(&user), user_columns);
    let at = time::time_or_date(change.at, model.rows_now());
    let mut pieces = vec![
        span(format!("{at:<TIME_COLUMNS$}"), theme.faint()),
        span(user, theme.strong()),
        user_pad,
        span(" ", Style::new()),
    ];
    pieces.extend(spans);
    pieces.push(pad(change_width, change_columns));
    // A truncated reason is not shown.
    let used: usize = pieces.iter().map(|piece| columns(&piece.content)).sum();
    let reason = change.reason.map(|reason| format!("  {}", reason.as_str()));
    let reason = reason.filter(|reason| used + reason.len() <= width);
    pieces.extend(reason.map(|reason| span(reason, theme.faint())));
    Line::from(pieces)
}

/// The width that the change leaves to the id, and to the reason unless that leaves too little. OFFLINE has only one
/// reason.
fn narrow_user_columns(change: &Change, width: usize, change_width: usize) -> usize {
    let room = width.saturating_sub(TIME_COLUMNS + 1 + change_width);
    let reason = change.reason.filter(|reason| *reason != Reason::NoSession);
    let beside_reason = reason.and_then(|reason| room.checked_sub(2 + reason.as_str().len()));
    beside_reason
        .filter(|columns| *columns >= USER_COLUMNS_TELLING)
        .unwrap_or(room)
}

/// The statuses, the custom status and the flags of a change.
fn change_spans(change: &Change, width: usize, painter: &Painter) -> Vec<Span<'static>> {
    let theme = painter.theme;
    let mut pieces = match change.to {
        None => vec![span("forgotten", theme.unusual())],
        Some(to) if to == change.from && width < ALIGNED_COLUMNS => vec![span(format::sign(to), theme.status(to))],
        Some(to) if to == change.from => vec![span(format::status(to), theme.status(to))],
        Some(to) => {
            let from = match width {
                // Padded to the longest name, so that the arrows are aligned.
                NAMES_COLUMNS.. => format!("{:<16}", format::status(change.from)),
                _ => format::sign(change.from).to_owned(),
            };
            vec![
                span(from, theme.status(change.from)),
                span(" → ", theme.faint()),
                span(format::status(to), theme.status(to)),
            ]
        }
    };
    // A change to exactly the custom status shows it already.
    let is_shown = |status: &CustomStatus| {
        change
            .to
            .is_some_and(|to| to != change.from && to.as_str() == status.as_str())
    };
    if let Some(status) = change.custom_status.filter(|status| !is_shown(status)) {
        let label = match width {
            NAMES_COLUMNS.. => "custom status",
            _ => "custom",
        };
        pieces.push(span(format!(" {label} {}", status.as_str()), theme.faint()));
    }
    if change.set_by == Some(Actor::Operator) {
        pieces.push(span(" by an operator", theme.faint()));
    }
    if let Some(note) = change.note {
        pieces.push(span(format!(" {note}"), theme.unusual()));
    }
    pieces
}
