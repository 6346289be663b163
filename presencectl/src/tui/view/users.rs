//! The users table; only the visible rows are built.

use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthChar;

use super::super::geometry::{Area, Position};
use super::super::keymap::Filter;
use super::super::layout::{self, ColumnArea, Layout};
use super::super::model::known_users::Row;
use super::super::model::user_column::UserColumn;
use super::super::model::{ConnectionState, Model, Panel};
use super::format;
use super::long_id::shortened;
use super::painter::{Painter, cut, end, span};
use crate::output::escape::{escape, escape_each};

pub(super) fn draw(model: &Model, layout: &Layout, painter: &mut Painter) {
    if layout.users.is_empty() {
        return;
    }
    painter.panel(
        layout.users,
        &title(model, layout, painter),
        model.panel == Panel::Users,
    );
    let columns = layout::columns(model, layout.users_head());
    headings(model, &columns, painter);
    let rows = layout.users_rows();
    let window = model.table.window(usize::from(rows.height));
    if rows.is_empty() {
        // Without room for a row, nothing is shown about the list.
        return;
    }
    if window.is_empty() {
        empty(model, rows, painter);
    }
    place(model, layout, painter);
    let cursor = model
        .table
        .cursor()
        .and_then(|cursor| cursor.checked_sub(model.table.top()));
    for (index, (slot, y)) in window.iter().zip(rows.y..).enumerate() {
        if let Some(row) = model.known_users.shown(*slot) {
            for place in &columns {
                cell(model, row, *place, y, painter);
            }
        }
        if cursor == Some(index) {
            painter.restyle(Area { y, height: 1, ..rows }, painter.theme.marked());
            painter.cell(Position::new(rows.x, y), "▶", painter.theme.marked());
        }
    }
}

/// The position in a list that is longer than the screen: the selected row, else the visible rows.
fn place(model: &Model, layout: &Layout, painter: &mut Painter) {
    let (table, has_focus) = (&model.table, model.panel == Panel::Users);
    let rows = usize::from(layout.users_rows().height);
    match table.cursor().filter(|_| table.len() > 1) {
        Some(cursor) => {
            let (at, all) = (format::count(cursor as u64 + 1), format::count(table.len() as u64));
            painter.foot(layout.users, &format!(" {at} of {all} "), has_focus);
        }
        None => painter.part(layout.users, table.top()..table.top() + rows, table.len(), has_focus),
    }
}

/// The filter, the sort order and the search.
fn title(model: &Model, layout: &Layout, painter: &Painter) -> Line<'static> {
    let theme = painter.theme;
    let (table, total) = (&model.table, model.known_users.counts().total());
    let mut pieces = vec![span(" Users ", theme.title(model.panel == Panel::Users))];
    let listed = format::count(table.matching(&model.known_users) as u64);
    match table.filter() {
        // Unknown before the first snapshot.
        Filter::Present if !model.known_users.is_started() && table.len() == 0 => {}
        Filter::Present if table.query().is_empty() => pieces.push(span(format!("{listed} present "), theme.faint())),
        Filter::Present => pieces.push(span(
            format!("{listed} of {} present ", format::count(total)),
            theme.faint(),
        )),
        Filter::Only(status) => {
            pieces.push(span(format!("{listed} "), theme.faint()));
            pieces.push(span(format!("{} ", format::status(status)), theme.status(status)));
        }
    }
    let used: usize = pieces.iter().map(Span::width).sum();
    // Without the borders, the sign before the text and the caret after it.
    let room = usize::from(layout.users.width).saturating_sub(used + 7);
    match (&model.search, table.query()) {
        (Some(input), _) => {
            pieces.push(span("/", theme.key()));
            pieces.push(span(end(&escape(input.text()), room), theme.matched()));
            pieces.push(span("▏ ", theme.key()));
        }
        (None, "") => {}
        (None, query) => pieces.push(span(format!("/{} ", cut(&escape(query), room)), theme.matched())),
    }
    if table.order().is_none() {
        pieces.push(span("best match first ", theme.faint()));
    }
    if model.paused_since.is_some() {
        let changed = model.known_users.unapplied_changes() as u64;
        pieces.push(span(
            format!("paused; {} changed ", format::count(changed)),
            theme.unusual(),
        ));
    }
    Line::from(pieces)
}

fn headings(model: &Model, columns: &[ColumnArea], painter: &mut Painter) {
    let (order, y) = (model.table.order(), Layout::of(model).users_head().y);
    for place in columns {
        let is_sorted = order.filter(|order| order.column == place.column);
        let arrow = match is_sorted {
            Some(order) if order.is_descending => "▼",
            Some(_) => "▲",
            None => "",
        };
        let style = match is_sorted {
            Some(_) => painter.theme.sorted(),
            None => painter.theme.heading(),
        };
        let at = Position::new(place.x, y);
        let text = format!("{}{arrow}", place.column.heading());
        if place.column == UserColumn::Sessions {
            painter.text_right(at, place.width, &text, style);
        } else {
            painter.text(at, place.width, &text, style);
        }
    }
}

fn empty(model: &Model, rows: Area, painter: &mut Painter) {
    let text = match (&model.connection, &model.search) {
        (ConnectionState::Connecting | ConnectionState::Loading, _) => "loading…",
        (_, Some(_)) => "no match; Enter looks up this exact id",
        _ if !model.table.query().is_empty() => "no match; Esc shows all users",
        _ => match model.table.filter() {
            Filter::Present => "no user is present",
            Filter::Only(presence::Status::Offline) => "no user went OFFLINE since the dashboard was opened",
            Filter::Only(_) => "no user has this status; 0 shows all present users",
        },
    };
    painter.text(
        Position::new(rows.x + 1, rows.y),
        rows.width.saturating_sub(1),
        text,
        painter.theme.faint(),
    );
}

fn cell(model: &Model, row: &Row, place: ColumnArea, y: u16, painter: &mut Painter) {
    let at = Position::new(place.x, y);
    let theme = painter.theme;
    let status = theme.status(row.status);
    let (text, style) = match place.column {
        UserColumn::User => {
            let id = shortened(user(model, row, painter), place.width.into());
            painter.line(at, place.width, &id);
            return;
        }
        UserColumn::Sessions => {
            let count = format::count(row.sessions.into());
            return painter.text_right(at, place.width, &count, Style::new());
        }
        UserColumn::Status => (format::status(row.status), status),
        UserColumn::Reason => match (row.note, row.reason) {
            (Some(note), _) => (note.to_owned(), theme.unusual()),
            (None, reason) => (reason.map_or("", presence::Reason::as_str).to_owned(), theme.faint()),
        },
        UserColumn::Since => (format::moment(model.times, row.since, model.rows_now()), Style::new()),
        UserColumn::LastActive => (
            format::moment(model.times, row.last_active, model.rows_now()),
            theme.faint(),
        ),
        UserColumn::LastSeen => (
            format::moment(model.times, row.last_seen, model.rows_now()),
            theme.faint(),
        ),
        UserColumn::Node => (escape(model.known_users.node_name(row)).into_owned(), theme.faint()),
    };
    painter.text(at, place.width, &text, style);
}

/// The id, with the matches of the search highlighted.
fn user(model: &Model, row: &Row, painter: &Painter) -> Line<'static> {
    let matched = model.table.matched(&row.user);
    let mut spans: Vec<Span> = Vec::new();
    let mut was_match = false;
    for (index, piece) in (0..).zip(escape_each(row.user.as_str())) {
        let is_match = matched.binary_search(&index).is_ok();
        // A combining mark stays with its letter.
        let is_mark = piece.chars().all(|c| c.width() == Some(0));
        match spans.last_mut() {
            Some(last) if is_mark || was_match == is_match => last.content.to_mut().push_str(&piece),
            _ => {
                spans.push(span(
                    piece,
                    if is_match {
                        painter.theme.matched()
                    } else {
                        Style::new()
                    },
                ));
                was_match = is_match;
            }
        }
    }
    Line::from(spans)
}
