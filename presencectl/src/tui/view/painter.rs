//! Drawing primitives: truncated text measured in columns, lines with several styles, boxes. Text of users must be
//! escaped already; as a last safeguard no control character is written.

use std::borrow::Cow;
use std::ops::Range;

use ratatui::buffer::{Buffer, CellWidth};
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::super::geometry::{Area, Position};
use super::super::theme::Theme;
use super::format::count;
use super::long_id::broken;

/// The buffer of a frame.
pub(super) struct Painter<'a> {
    buffer: &'a mut Buffer,
    pub(super) theme: Theme,
}

impl<'a> Painter<'a> {
    pub(super) const fn new(buffer: &'a mut Buffer, theme: Theme) -> Self {
        Self { buffer, theme }
    }

    /// Writes a text within a width, truncated with `…`. Returns the next column.
    pub(super) fn text(&mut self, at: Position, width: u16, text: &str, style: Style) -> u16 {
        let Position { x, y } = at;
        let area = self.clip(Area { x, y, width, height: 1 });
        if area.is_empty() {
            return x;
        }
        let text = visible(text);
        let shown = cut(&text, usize::from(area.width));
        self.buffer.set_stringn(x, y, shown, usize::from(area.width), style).0
    }

    /// Writes a right-aligned text.
    pub(super) fn text_right(&mut self, at: Position, width: u16, text: &str, style: Style) {
        let blanks = usize::from(width).saturating_sub(columns(text));
        let blanks = u16::try_from(blanks).unwrap_or(width);
        let at = Position::new(at.x + blanks, at.y);
        self.text(at, width - blanks, text, style);
    }

    /// Writes spans, truncated as a whole. Returns the next column.
    pub(super) fn line(&mut self, at: Position, width: u16, line: &Line) -> u16 {
        let mut x = at.x;
        let mut left = usize::from(width);
        let mut rest: usize = line.spans.iter().map(|span| columns(&span.content)).sum();
        for span in &line.spans {
            if left == 0 {
                break;
            }
            let own = columns(&span.content);
            rest -= own;
            // The last span that fits must leave room for `…` if the next one does not fit.
            let shown = if own > left || (own == left && rest > 0) {
                cut_short(&span.content, left)
            } else {
                Cow::Borrowed(span.content.as_ref())
            };
            let at = Position::new(x, at.y);
            let end = self.text(at, u16::try_from(left).unwrap_or(width), &shown, span.style);
            left = left.saturating_sub(usize::from(end - x));
            x = end;
        }
        x
    }

    /// Draws a box with a title and clears its inside.
    pub(super) fn panel(&mut self, area: Area, title: &Line, has_focus: bool) {
        let area = self.clip(area);
        if area.is_empty() {
            return;
        }
        self.clear(area);
        let style = self.theme.border(has_focus);
        let (right, bottom) = (area.x + area.width - 1, area.y + area.height - 1);
        for x in area.x..=right {
            self.cell(Position::new(x, area.y), "─", style);
            self.cell(Position::new(x, bottom), "─", style);
        }
        for y in area.y..=bottom {
            self.cell(Position::new(area.x, y), "│", style);
            self.cell(Position::new(right, y), "│", style);
        }
        for (x, y, corner) in [
            (area.x, area.y, "╭"),
            (right, area.y, "╮"),
            (area.x, bottom, "╰"),
            (right, bottom, "╯"),
        ] {
            self.cell(Position::new(x, y), corner, style);
        }
        if area.width > 4 {
            self.line(Position::new(area.x + 2, area.y), area.width - 4, title);
        }
    }

    /// The visible part of a longer list, on the bottom border: `3–8 of 20`.
    pub(super) fn part(&mut self, area: Area, visible: Range<usize>, all: usize, has_focus: bool) {
        if (1..all).contains(&visible.len()) {
            let last = visible.end.min(all);
            let text = format!(
                " {}–{} of {} ",
                count(visible.start as u64 + 1),
                count(last as u64),
                count(all as u64)
            );
            self.foot(area, &text, has_focus);
        }
    }

    /// Text on the bottom border, at the right.
    pub(super) fn foot(&mut self, area: Area, text: &str, has_focus: bool) {
        let area = self.clip(area);
        let width = u16::try_from(columns(text)).unwrap_or(u16::MAX);
        if area.height > 1 && area.width >= width.saturating_add(4) {
            let at = Position::new(area.x + area.width - 2 - width, area.y + area.height - 1);
            self.text(at, width, text, self.theme.border(has_focus));
        }
    }

    pub(super) fn cell(&mut self, at: Position, symbol: &str, style: Style) {
        if let Some(cell) = self.buffer.cell_mut((at.x, at.y)) {
            cell.set_symbol(symbol).set_style(style);
        }
    }

    /// Changes the style of what is drawn.
    pub(super) fn restyle(&mut self, area: Area, style: Style) {
        let area = self.clip(area);
        self.buffer.set_style(rect(area), style);
    }

    fn clear(&mut self, area: Area) {
        for y in area.y..area.y + area.height {
            for x in area.x..area.x + area.width {
                if let Some(cell) = self.buffer.cell_mut((x, y)) {
                    cell.reset();
                }
            }
        }
    }

    /// The part of an area inside the buffer.
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

/// The width of a text in columns: the sum of its grapheme clusters, as they are drawn one by one. The width of the
/// whole text may be smaller (ligatures of some scripts), and truncation would go unnoticed.
pub(super) fn columns(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    let text = visible(text);
    clusters(&Span::raw(text.as_ref())).map(|(_, width)| width).sum()
}

/// Grapheme clusters with their widths.
pub(super) fn clusters<'a>(span: &'a Span) -> impl Iterator<Item = (&'a str, usize)> {
    let symbols = span.styled_graphemes(Style::new()).map(|cluster| cluster.symbol);
    symbols.map(|symbol| (symbol, usize::from(symbol.cell_width())))
}

/// Makes every character visible. Clusters without width, such as a combining mark without a letter, are escaped:
/// omitted, two ids would look alike.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    let span = Span::raw(text);
    if text.is_ascii() || clusters(&span).all(|(_, width)| width > 0) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::new();
    for (cluster, width) in clusters(&span) {
        match width {
            0 => shown.extend(cluster.chars().map(|c| format!("\\u{{{:x}}}", u32::from(c)))),
            _ => shown.push_str(cluster),
        }
    }
    Cow::Owned(shown)
}

/// A text truncated to a width, with `…`.
pub(super) fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if columns(text) <= width {
        return Cow::Borrowed(text);
    }
    cut_short(text, width)
}

/// The beginning of a text and `…`, within a width.
fn cut_short(text: &str, width: usize) -> Cow<'_, str> {
    if width == 0 {
        return Cow::Borrowed("");
    }
    let mut shown = String::new();
    let mut left = width - 1;
    for (cluster, own) in clusters(&Span::raw(visible(text).as_ref())) {
        if own > left {
            break;
        }
        left -= own;
        shown.push_str(cluster);
    }
    shown.push('…');
    Cow::Owned(shown)
}

/// The end of a text within a width: an input shows where it is edited.
pub(super) fn end(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let text = visible(text);
    let span = Span::raw(text.as_ref());
    let clusters: Vec<(&str, usize)> = clusters(&span).collect();
    let fitting = clusters.iter().rev().take_while(|(_, own)| {
        let fits = *own <= left;
        left = left.saturating_sub(*own);
        fits
    });
    let taken = fitting.count();
    let shown = clusters[clusters.len() - taken..].iter().map(|(cluster, _)| *cluster);
    std::iter::once("…").chain(shown).collect()
}

/// Wraps a line between words, and within one that is longer than a line; continuation lines are indented.
pub(super) fn wrap(line: &Line<'static>, width: usize) -> Vec<Line<'static>> {
    const INDENT: &str = "    ";
    let mut lines = Vec::new();
    let (mut current, mut used): (Vec<Span>, usize) = (Vec::new(), 0);
    for piece in &line.spans {
        for word in words(&piece.content, width, INDENT.len()) {
            let word = word.as_str();
            if used > INDENT.len() && used + columns(word.trim_end()) > width {
                // A trailing blank would be truncated with `…`, as if something were missing.
                if let Some(last) = current.last_mut() {
                    let kept = last.content.trim_end().len();
                    last.content.to_mut().truncate(kept);
                }
                lines.push(Line::from(std::mem::take(&mut current)));
                current.push(Span::raw(INDENT));
                used = INDENT.len();
            }
            used += columns(word);
            match current.last_mut() {
                Some(last) if last.style == piece.style => last.content.to_mut().push_str(word),
                _ => current.push(Span::styled(word.to_owned(), piece.style)),
            }
        }
    }
    lines.push(Line::from(current));
    lines
}

/// The words of a text, each with the blank after it; one that fits on no line in parts that do.
fn words(text: &str, width: usize, indent: usize) -> Vec<String> {
    let room = width.saturating_sub(indent);
    let parts = |word: &str| match columns(word.trim_end()) > room && room > 0 {
        true => broken(word, room),
        false => vec![word.to_owned()],
    };
    text.split_inclusive(' ').flat_map(parts).collect()
}

pub(super) fn span(text: impl Into<String>, style: Style) -> Span<'static> {
    Span::styled(text.into(), style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncation_is_marked_and_keeps_wide_characters_whole() {
        assert_eq!(cut("alice", 5), "alice");
        assert_eq!(cut("alice", 4), "ali…");
        assert_eq!(cut("漢字漢字", 6), "漢字…");
        assert_eq!(cut("漢字漢字", 1), "…");
        assert_eq!(cut("漢字", 0), "");
    }

    #[test]
    fn the_end_of_a_long_input_is_shown() {
        assert_eq!(end("alice", 5), "alice");
        assert_eq!(end("alice", 4), "…ice");
        assert_eq!(end("漢字漢字", 6), "…漢字");
        assert_eq!(end("漢字", 1), "…");
    }

    #[test]
    fn ligatures_count_the_columns_of_their_letters() {
        let text = "لا".repeat(3);
        assert_eq!((columns(&text), cut(&text, 6)), (6, text.as_str().into()));
        assert_eq!(cut(&text, 5), "لالا…");
    }

    #[test]
    fn a_combining_mark_without_a_letter_is_escaped() {
        let drawn = |text: &str| {
            let mut buffer = Buffer::empty(Rect::new(0, 0, 16, 1));
            Painter::new(&mut buffer, Theme::plain()).text(Position::new(0, 0), 16, text, Style::new());
            let cells = buffer.content.iter().map(ratatui::buffer::Cell::symbol);
            cells.collect::<String>().trim_end().to_owned()
        };
        assert_eq!(drawn("\u{301}ann"), "\\u{301}ann");
        assert_eq!(drawn("e\u{301}ann"), "e\u{301}ann");
        assert_eq!(drawn("ab\u{d7b0}c"), "ab\\u{d7b0}c");
        assert_eq!(columns("\u{301}ann"), 10);
    }

    #[test]
    fn lines_wrap_between_words() {
        let text = |width| {
            let line = Line::from(vec![
                span("because of ", Style::new()),
                span("the rule", Theme::plain().strong()),
            ]);
            wrap(&line, width).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(text(40), ["because of the rule"]);
        assert_eq!(text(14), ["because of the", "    rule"]);
        assert_eq!(text(10), ["because of", "    the", "    rule"]);
        assert_eq!(text(0).len(), 4, "without room a word is cut when it is drawn");
    }

    #[test]
    fn spans_are_truncated_as_a_whole() {
        let theme = Theme::plain();
        let drawn = |width| {
            let mut buffer = Buffer::empty(Rect::new(0, 0, 10, 1));
            let line = Line::from(vec![span("abc", Style::new()), span("def", Style::new())]);
            Painter::new(&mut buffer, theme).line(Position::new(0, 0), width, &line);
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
