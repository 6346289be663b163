//! Writing into a picture: text that is cut to its room by what it takes on the screen, lines of several styles, boxes. Text of users must
//! be escaped before it gets here; as a last defence, no control character is ever written.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::super::geometry::Area;
use super::super::theme::Theme;

/// A picture that is being drawn.
pub(super) struct Pen<'a> {
    buffer: &'a mut Buffer,
    /// Its colours.
    pub(super) theme: Theme,
}

impl<'a> Pen<'a> {
    pub(super) const fn new(buffer: &'a mut Buffer, theme: Theme) -> Self {
        Self { buffer, theme }
    }

    /// Writes a text from a cell on, in so many columns; what is too long ends with `…`. Where the next one would begin.
    pub(super) fn text(&mut self, (x, y): (u16, u16), width: u16, text: &str, style: Style) -> u16 {
        let area = self.clip(Area { x, y, width, height: 1 });
        if area.is_empty() {
            return x;
        }
        let shown = cut(text, usize::from(area.width));
        self.buffer.set_stringn(x, y, shown, usize::from(area.width), style).0
    }

    /// The same, ending where the columns end.
    pub(super) fn text_right(&mut self, (x, y): (u16, u16), width: u16, text: &str, style: Style) {
        let blanks = usize::from(width).saturating_sub(text.width());
        let blanks = u16::try_from(blanks).unwrap_or(width);
        self.text((x + blanks, y), width - blanks, text, style);
    }

    /// Writes pieces of several styles, cut as one. Where the next one would begin.
    pub(super) fn line(&mut self, (x, y): (u16, u16), width: u16, line: &Line) -> u16 {
        let mut at = x;
        let mut left = usize::from(width);
        let mut rest: usize = line.spans.iter().map(|span| span.content.width()).sum();
        for span in &line.spans {
            if left == 0 {
                break;
            }
            let own = span.content.width();
            rest -= own;
            // The last piece that fits must leave room for the mark if more follows that does not.
            let shown = if own > left || (own == left && rest > 0) {
                cut_short(&span.content, left)
            } else {
                Cow::Borrowed(span.content.as_ref())
            };
            let end = self.text((at, y), u16::try_from(left).unwrap_or(width), &shown, span.style);
            left = left.saturating_sub(usize::from(end - at));
            at = end;
        }
        at
    }

    /// A box with a title, and its inside emptied.
    pub(super) fn panel(&mut self, area: Area, title: &Line, has_focus: bool) {
        let area = self.clip(area);
        if area.is_empty() {
            return;
        }
        self.clear(area);
        let style = self.theme.border(has_focus);
        let (right, bottom) = (area.x + area.width - 1, area.y + area.height - 1);
        for x in area.x..=right {
            self.cell((x, area.y), "─", style);
            self.cell((x, bottom), "─", style);
        }
        for y in area.y..=bottom {
            self.cell((area.x, y), "│", style);
            self.cell((right, y), "│", style);
        }
        for ((x, y), corner) in [
            ((area.x, area.y), "╭"),
            ((right, area.y), "╮"),
            ((area.x, bottom), "╰"),
            ((right, bottom), "╯"),
        ] {
            self.cell((x, y), corner, style);
        }
        if area.width > 4 {
            self.line((area.x + 2, area.y), area.width - 4, title);
        }
    }

    /// One cell.
    pub(super) fn cell(&mut self, (x, y): (u16, u16), symbol: &str, style: Style) {
        if let Some(cell) = self.buffer.cell_mut((x, y)) {
            cell.set_symbol(symbol).set_style(style);
        }
    }

    /// Lays a style over what is drawn.
    pub(super) fn restyle(&mut self, area: Area, style: Style) {
        let area = self.clip(area);
        self.buffer.set_style(rect(area), style);
    }

    /// Takes away what is drawn.
    fn clear(&mut self, area: Area) {
        for y in area.y..area.y + area.height {
            for x in area.x..area.x + area.width {
                if let Some(cell) = self.buffer.cell_mut((x, y)) {
                    cell.reset();
                }
            }
        }
    }

    /// The part of an area that lies in the picture.
    fn clip(&self, area: Area) -> Area {
        let inside = rect(area).intersection(self.buffer.area);
        Area {
            x: inside.x,
            y: inside.y,
            width: inside.width,
            height: inside.height,
        }
    }
}

const fn rect(area: Area) -> Rect {
    Rect {
        x: area.x,
        y: area.y,
        width: area.width,
        height: area.height,
    }
}

/// As much of a text as fits into so many columns, with `…` where something is missing.
pub(super) fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if text.width() <= width {
        return Cow::Borrowed(text);
    }
    cut_short(text, width)
}

/// The beginning of a text and `…`, in so many columns.
fn cut_short(text: &str, width: usize) -> Cow<'_, str> {
    if width == 0 {
        return Cow::Borrowed("");
    }
    let mut shown = String::new();
    let mut left = width - 1;
    for c in text.chars() {
        let own = c.width().unwrap_or(0);
        if own > left {
            break;
        }
        left -= own;
        shown.push(c);
    }
    shown.push('…');
    Cow::Owned(shown)
}

/// A piece of a line.
pub(super) fn span(text: impl Into<String>, style: Style) -> Span<'static> {
    Span::styled(text.into(), style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_says_so_and_no_wide_character_is_halved() {
        assert_eq!(cut("alice", 5), "alice");
        assert_eq!(cut("alice", 4), "ali…");
        assert_eq!(cut("漢字漢字", 6), "漢字…");
        assert_eq!(cut("漢字漢字", 1), "…");
        assert_eq!(cut("漢字", 0), "");
    }

    #[test]
    fn pieces_are_cut_as_one() {
        let theme = Theme::plain();
        let drawn = |width| {
            let mut buffer = Buffer::empty(Rect::new(0, 0, 10, 1));
            let line = Line::from(vec![span("abc", Style::new()), span("def", Style::new())]);
            Pen::new(&mut buffer, theme).line((0, 0), width, &line);
            let cells = buffer.content.iter().map(ratatui::buffer::Cell::symbol);
            cells.collect::<String>().trim_end().to_owned()
        };
        assert_eq!(
            (drawn(6), drawn(5), drawn(4)),
            ("abcdef".into(), "abcd…".into(), "abc…".into())
        );
        assert_eq!(
            (drawn(3), drawn(1), drawn(0)),
            ("ab…".into(), "…".into(), String::new())
        );
    }
}
