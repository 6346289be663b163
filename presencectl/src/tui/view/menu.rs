//! Menus and confirmations.

use ratatui::style::Style;
use ratatui::text::Line;

use super::super::geometry::{Area, Position};
use super::super::layout;
use super::super::model::Model;
use super::super::model::overlay::Menu;
use super::long_id::broken;
use super::painter::{Painter, end, span};
use crate::output::escape::escape;

pub(super) fn draw(model: &Model, menu: &Menu, area: Area, painter: &mut Painter) {
    let theme = painter.theme;
    let mark = if menu.is_question() { "?" } else { "" };
    let title = Line::from(span(format!(" {}{mark} ", menu.title()), theme.title(true)));
    painter.panel(area, &title, true);
    if let Some(user) = menu.user() {
        let style = if menu.is_question() {
            theme.unusual()
        } else {
            theme.strong()
        };
        let (lines, id) = (layout::menu_user(model, menu), escape(user.as_str()));
        let width = usize::from(lines.width);
        let mut parts = broken(&id, width);
        if parts.len() > usize::from(lines.height) {
            // The beginning, which is truncated when it is drawn, and the end.
            parts = vec![id.to_string(), end(&id, width)];
        }
        for (part, y) in parts.iter().zip(lines.y..lines.y + lines.height) {
            painter.text(Position::new(lines.x, y), lines.width, part, style);
        }
    }
    let entries = layout::overlay_entries(model);
    for ((index, (_, text)), y) in menu
        .entries()
        .iter()
        .enumerate()
        .zip(entries.y..entries.y + entries.height)
    {
        let sign = if index == menu.highlighted { "▶" } else { " " };
        let now = if menu.current == Some(index) { " (current)" } else { "" };
        painter.text(
            Position::new(entries.x, y),
            entries.width,
            &format!("{sign} {} {text}{now}", index + 1),
            Style::new(),
        );
        if index == menu.highlighted {
            painter.restyle(
                Area {
                    y,
                    height: 1,
                    ..entries
                },
                theme.marked(),
            );
        }
    }
}
