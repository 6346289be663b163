//! The bottom line: what was just done, else what to do next, else the keys that matter now.

use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::super::geometry::Area;
use super::super::key::Key;
use super::super::model::{Link, Model};
use super::pen::{Pen, span};
use crate::output::escape::{escape, scrub};

/// While nothing is tried any more, the key that tries again has its room: `R try now`.
const FIRST_KEY_COLUMNS: usize = 11;

pub(super) fn draw(model: &Model, area: Area, pen: &mut Pen) {
    if area.is_empty() {
        return;
    }
    let theme = pen.theme;
    let line = match (&model.notice, &model.link) {
        (Some(notice), _) if notice.is_error => span(format!("! {}", scrub(&notice.text)), theme.unusual()).into(),
        (Some(notice), _) => span(format!("✓ {}", scrub(&notice.text)), theme.good()).into(),
        (None, Link::Ended { next: Some(next), .. }) if model.overlay.is_none() && model.search.is_none() => {
            let next = format!("→ {}", escape(next));
            let room = usize::from(area.width).saturating_sub(next.width());
            let mut pieces = hints(&model.hints(), room.max(FIRST_KEY_COLUMNS), pen);
            pieces.push(span(next, theme.strong()));
            Line::from(pieces)
        }
        _ => Line::from(hints(&model.hints(), area.width.into(), pen)),
    };
    pen.line((area.x, area.y), area.width, &line);
}

/// As many keys as fit: half a word helps nobody.
fn hints(hints: &[(Key, &str)], width: usize, pen: &Pen) -> Vec<Span<'static>> {
    let mut left = width;
    let fitting = hints.iter().take_while(|(key, text)| {
        let own = key.to_string().width() + 1 + text.width();
        let fits = own <= left;
        left = left.saturating_sub(own + 2);
        fits
    });
    fitting.flat_map(|hint| pieces(*hint, pen)).collect()
}

fn pieces((key, text): (Key, &str), pen: &Pen) -> [Span<'static>; 2] {
    [
        span(key.to_string(), pen.theme.key()),
        span(format!(" {text}  "), Style::new()),
    ]
}
