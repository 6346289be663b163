//! The command palette.

use ratatui::style::Style;
use ratatui::text::Line;

use super::super::geometry::{Area, Position};
use super::super::layout;
use super::super::model::Model;
use super::super::model::overlay::CommandPalette;
use super::painter::{Painter, end, span};
use crate::output::escape::escape;

pub(super) fn draw(model: &Model, palette: &CommandPalette, area: Area, painter: &mut Painter) {
    let theme = painter.theme;
    painter.panel(area, &Line::from(span(" Commands ", theme.title(true))), true);
    let inside = area.inside();
    if inside.is_empty() {
        return;
    }
    let room = usize::from(inside.width).saturating_sub(2);
    let typed = Line::from(vec![
        span(":", theme.key()),
        span(end(&escape(palette.input.text()), room), Style::new()),
        span("▏", theme.key()),
    ]);
    painter.line(inside.top_left(), inside.width, &typed);
    let entries = layout::overlay_entries(model);
    let found = palette.matches();
    let top = layout::palette_top(palette.highlighted, usize::from(entries.height));
    for ((index, binding), y) in found
        .iter()
        .enumerate()
        .skip(top)
        .zip(entries.y..entries.y + entries.height)
    {
        let keys: Vec<String> = binding.keys.iter().map(ToString::to_string).collect();
        let keys = keys.join(" ");
        let sign = if index == palette.highlighted { "▶" } else { " " };
        painter.text(
            Position::new(entries.x, y),
            entries.width,
            &format!("{sign} {}", binding.help),
            Style::new(),
        );
        // The name has precedence over the keys.
        let name = binding.help.len() + 3;
        let left = usize::from(entries.width).saturating_sub(name);
        let left = u16::try_from(left).unwrap_or(0);
        let at = Position::new(entries.x + entries.width - left, y);
        painter.text_right(at, left, &keys, theme.key());
        if index == palette.highlighted {
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
    if found.is_empty() {
        painter.text(
            Position::new(entries.x + 2, entries.y),
            entries.width.saturating_sub(2),
            "no matching command",
            theme.faint(),
        );
    }
}
