//! Menus and confirmations.

use ratatui::style::Style;
use ratatui::text::Line;

use super::super::geometry::{Area, Position};
use super::super::layout;
use super::super::model::Model;
use super::super::model::overlay::Menu;
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
        painter.text(lines.top_left(), lines.width, &id, style);
        if lines.height > 1 {
            let rest = end(&id, usize::from(lines.width));
            painter.text(Position::new(lines.x, lines.y + 1), lines.width, &rest, style);
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
