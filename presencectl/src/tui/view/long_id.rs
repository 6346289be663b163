//! Long ids: shortened in the middle in lists and titles, and whole on as many lines as they need.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::painter::{clusters, columns, span, visible};
use crate::output::middle::ends_within;

/// The beginning and the end of a line that fit into a width, with `…` between them if something is missing.
pub(super) fn shortened(line: Line<'static>, width: usize) -> Line<'static> {
    let total: usize = line.spans.iter().map(|span| columns(&span.content)).sum();
    if total <= width {
        return line;
    }
    let mut pieces: Vec<(String, usize, Style)> = Vec::new();
    for span in &line.spans {
        let text = visible(&span.content);
        let own = Span::raw(text.as_ref());
        pieces.extend(clusters(&own).map(|(cluster, width)| (cluster.to_owned(), width, span.style)));
    }
    let widths: Vec<usize> = pieces.iter().map(|(_, width, _)| *width).collect();
    let Some((first, last)) = ends_within(&widths, width).filter(|_| width > 0) else {
        return Line::default();
    };
    let mut spans: Vec<Span> = Vec::new();
    let end = pieces.len() - last;
    for (text, _, style) in &pieces[..first] {
        push(&mut spans, text, *style);
    }
    push(&mut spans, "…", Style::new());
    for (text, _, style) in &pieces[end..] {
        push(&mut spans, text, *style);
    }
    Line::from(spans)
}

/// As [`shortened`], of a text.
pub(super) fn shortened_text(text: &str, width: usize) -> String {
    shortened(Line::from(text.to_owned()), width).to_string()
}

fn push(spans: &mut Vec<Span<'static>>, text: &str, style: Style) {
    match spans.last_mut() {
        Some(last) if last.style == style => last.content.to_mut().push_str(text),
        _ => spans.push(span(text, style)),
    }
}

/// A text on as many lines of this width as it needs, broken anywhere.
pub(super) fn broken(text: &str, width: usize) -> Vec<String> {
    let shown = visible(text);
    let (mut lines, mut used) = (vec![String::new()], 0);
    for (cluster, own) in clusters(&Span::raw(shown.as_ref())) {
        if used > 0 && used + own > width {
            lines.push(String::new());
            used = 0;
        }
        used += own;
        if let Some(line) = lines.last_mut() {
            line.push_str(cluster);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::super::theme::Theme;
    use super::*;

    #[test]
    fn a_long_id_keeps_both_ends_and_whole_characters() {
        assert_eq!(shortened_text("tenant/alice-0001", 17), "tenant/alice-0001");
        assert_eq!(shortened_text("tenant/alice-0001", 11), "tenan…-0001");
        assert_eq!(shortened_text("漢字の利用者", 8), "漢…用者");
        assert_eq!(
            shortened_text("e\u{301}a\u{301}o\u{301}u\u{301}", 3),
            "e\u{301}…u\u{301}"
        );
        assert_eq!(
            (shortened_text("alice", 1), shortened_text("alice", 0)),
            ("…".into(), String::new())
        );
    }

    #[test]
    fn the_ends_of_a_shortened_line_keep_their_styles() {
        let strong = Theme::plain().strong();
        let line = Line::from(vec![span("tenant/", strong), span("alice", Style::new())]);
        let shown = shortened(line, 7);
        let spans: Vec<(&str, Style)> = shown
            .spans
            .iter()
            .map(|span| (span.content.as_ref(), span.style))
            .collect();
        assert_eq!(spans, [("ten", strong), ("…ice", Style::new())]);
    }

    #[test]
    fn a_broken_text_is_whole_and_its_lines_fit() {
        for text in [
            "tenant/alice-0001",
            "漢字の利用者",
            "e\u{301}a\u{301}o\u{301}u\u{301}",
            "",
        ] {
            for width in 2..20 {
                let lines = broken(text, width);
                assert_eq!(lines.concat(), text);
                assert!(lines.iter().all(|line| columns(line) <= width), "{lines:?} in {width}");
            }
        }
        assert_eq!(broken("abcde", 2), ["ab", "cd", "e"]);
        assert_eq!(broken("ab", 0), ["a", "b"]);
    }
}
