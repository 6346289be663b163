//! The bottom line: what was just done, else the keys that matter now.

use ratatui::style::Style;
use ratatui::text::Line;

use super::super::geometry::Area;
use super::super::model::Model;
use super::pen::{Pen, span};

pub(super) fn draw(model: &Model, area: Area, pen: &mut Pen) {
    if area.is_empty() {
        return;
    }
    let theme = pen.theme;
    let line = match &model.notice {
        Some(notice) if notice.is_error => Line::from(span(format!("! {}", notice.text), theme.unusual())),
        Some(notice) => Line::from(span(format!("✓ {}", notice.text), theme.good())),
        None => {
            let hints = model.hints().into_iter();
            let pieces = hints.flat_map(|(key, text)| {
                [
                    span(key.to_string(), theme.key()),
                    span(format!(" {text}  "), Style::new()),
                ]
            });
            Line::from(pieces.collect::<Vec<_>>())
        }
    };
    pen.line((area.x, area.y), area.width, &line);
}
