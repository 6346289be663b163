//! The footer: a notice, else the key hints and a suggestion.

use ratatui::style::Style;
use ratatui::text::Line;

use super::super::geometry::Area;
use super::super::layout::{self, HintArea};
use super::super::model::Model;
use super::painter::{Painter, span};
use crate::output::escape::scrub;

pub(super) fn draw(model: &Model, area: Area, painter: &mut Painter) {
    if area.is_empty() {
        return;
    }
    let theme = painter.theme;
    let line = match &model.notice {
        Some(notice) if notice.is_error => span(format!("! {}", scrub(&notice.text)), theme.unusual()).into(),
        Some(notice) => span(format!("✓ {}", scrub(&notice.text)), theme.good()).into(),
        None => keys(model, painter),
    };
    painter.line(area.top_left(), area.width, &line);
}

fn keys(model: &Model, painter: &Painter) -> Line<'static> {
    let pieces = |hint: HintArea| {
        [
            span(hint.key.to_string(), painter.theme.key()),
            span(format!(" {}  ", hint.text), Style::new()),
        ]
    };
    let keys = layout::hints(model).into_iter().flat_map(pieces);
    let next = layout::next_step(model).map(|next| span(next, painter.theme.strong()));
    Line::from_iter(keys.chain(next))
}
