//! The help, generated from the keymap.

use ratatui::style::Style;
use ratatui::text::Line;

use super::super::geometry::{Area, Position};
use super::super::keymap::{BINDINGS, KeyContext};
use super::painter::{Painter, span};

/// Columns of the keys.
const KEYS_COLUMNS: usize = 18;

pub(super) fn draw(top: usize, area: Area, painter: &mut Painter) {
    let title = Line::from(vec![
        span(" Help ", painter.theme.title(true)),
        span("↑ ↓ scroll, Esc closes ", painter.theme.faint()),
    ]);
    painter.panel(area, &title, true);
    let inside = area.inside();
    let lines = lines(painter);
    // The screen may have grown since the last scroll.
    let top = top.min(lines.len().saturating_sub(inside.height.into()));
    painter.part(area, top..top + usize::from(inside.height), lines.len(), true);
    for (line, y) in lines.iter().skip(top).zip(inside.y..inside.y + inside.height) {
        painter.line(Position::new(inside.x + 1, y), inside.width.saturating_sub(1), line);
    }
}

pub(super) fn lines(painter: &Painter) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for context in KeyContext::ALL {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.push(Line::from(span(context.title(), painter.theme.strong())));
        let bound = BINDINGS
            .iter()
            .filter(|binding| binding.context == context && !binding.keys.is_empty());
        lines.extend(bound.map(|binding| {
            let keys: Vec<String> = binding.keys.iter().map(ToString::to_string).collect();
            Line::from(vec![
                span(format!("  {:<KEYS_COLUMNS$}", keys.join("  ")), painter.theme.key()),
                span(binding.help, Style::new()),
            ])
        }));
    }
    lines
}
