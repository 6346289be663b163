//! Aligned text tables. Widths are counted in terminal columns (wide characters take two), without escape sequences. On
//! a narrow terminal extra columns are omitted first, then the widest are truncated with `…`, ids in the middle; into a
//! pipe nothing is truncated.

use std::io::{self, Write};

use anstyle::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::middle::ends_within;

/// Columns between two columns.
const GAP: usize = 2;
/// No column is truncated below this width.
const CUT_MIN: usize = 12;

/// What happens to a column if the terminal is too narrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Never omitted; truncated as a last resort.
    Needed,
    /// Omitted first, from the right.
    Extra,
}

#[derive(Debug, Clone)]
pub(crate) struct TextCell {
    /// Control characters are escaped already.
    pub(crate) text: String,
    pub(crate) style: Style,
    pub(crate) align: Align,
    pub(crate) cut: Cut,
}

/// Where a text that is too long is truncated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    Middle,
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// A table, not fitted to a width yet.
#[derive(Debug)]
pub(crate) struct TextTable {
    headings: Vec<(&'static str, Fit)>,
    rows: Vec<Vec<TextCell>>,
}

impl TextTable {
    pub(crate) const fn new(headings: Vec<(&'static str, Fit)>, rows: Vec<Vec<TextCell>>) -> Self {
        Self { headings, rows }
    }

    /// The width with nothing omitted or truncated.
    pub(crate) fn natural_width(&self) -> usize {
        total(&self.fitted(None))
    }

    /// The width of the columns that are never omitted.
    pub(crate) fn needed_width(&self) -> usize {
        let mut columns = self.fitted(None);
        columns.retain(|(index, _)| self.headings[*index].1 == Fit::Needed);
        total(&columns)
    }

    /// Prints the table; `width` is that of the terminal, `None` for a pipe.
    pub(crate) fn write(&self, out: &mut impl Write, width: Option<usize>) -> io::Result<()> {
        let columns = self.fitted(width);
        let heading = |&(index, room): &(usize, usize)| {
            let text = self.headings[index].0;
            let right = self.rows.first().is_some_and(|row| row[index].align == Align::Right);
            let align = if right { Align::Right } else { Align::Left };
            (
                TextCell {
                    text: text.to_owned(),
                    style: Style::new(),
                    align,
                    cut: Cut::End,
                },
                room,
            )
        };
        write_row(out, columns.iter().map(heading))?;
        for row in &self.rows {
            write_row(out, columns.iter().map(|&(index, room)| (row[index].clone(), room)))?;
        }
        Ok(())
    }

    /// The visible columns by index, with their widths.
    fn fitted(&self, width: Option<usize>) -> Vec<(usize, usize)> {
        let natural = |index: usize| {
            let cells = self.rows.iter().map(|row| row[index].text.width());
            cells.chain([self.headings[index].0.width()]).max().unwrap_or(0)
        };
        let mut columns: Vec<(usize, usize)> = (0..self.headings.len()).map(|index| (index, natural(index))).collect();
        let Some(width) = width else { return columns };
        while columns.len() > 1 && total(&columns) > width {
            let Some(extra) = columns
                .iter()
                .rposition(|(index, _)| self.headings[*index].1 == Fit::Extra)
            else {
                break;
            };
            columns.remove(extra);
        }
        while !columns.is_empty() && total(&columns) > width {
            let over = total(&columns) - width;
            let Some((_, room)) = columns
                .iter_mut()
                .max_by_key(|(_, room)| *room)
                .filter(|(_, room)| *room > CUT_MIN)
            else {
                break;
            };
            *room -= over.min(*room - CUT_MIN);
        }
        columns
    }
}

/// The width of the columns with the gaps.
fn total(columns: &[(usize, usize)]) -> usize {
    columns
        .iter()
        .map(|(_, room)| room + GAP)
        .sum::<usize>()
        .saturating_sub(GAP)
}

fn write_row(out: &mut impl Write, cells: impl Iterator<Item = (TextCell, usize)>) -> io::Result<()> {
    let mut line = String::new();
    let mut spaces = 0;
    for (cell, room) in cells {
        let text = match cell.cut {
            Cut::Middle => cut_in_the_middle(&cell.text, room),
            Cut::End => cut(&cell.text, room),
        };
        let missing = room.saturating_sub(text.width());
        let (before, after) = match cell.align {
            Align::Left => (0, missing),
            Align::Right => (missing, 0),
        };
        line.push_str(&" ".repeat(spaces + before));
        line.push_str(&format!("{}{text}{}", cell.style.render(), cell.style.render_reset()));
        spaces = after + GAP;
    }
    writeln!(out, "{line}")
}

/// The beginning of `text` that fits into `room` columns, with `…` if it was truncated.
pub(crate) fn cut(text: &str, room: usize) -> String {
    if text.width() <= room {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used + 1 > room {
            break;
        }
        kept.push(c);
    }
    kept.push('…');
    kept
}

/// The beginning and the end of `text` that fit into `room` columns, with `…` between them if it was truncated.
fn cut_in_the_middle(text: &str, room: usize) -> String {
    // A combining mark stays with its letter.
    let mut pieces: Vec<(&str, usize)> = Vec::new();
    for (at, c) in text.char_indices() {
        let (end, own) = (at + c.len_utf8(), c.width().unwrap_or(0));
        match pieces.last_mut() {
            Some((piece, _)) if own == 0 => *piece = &text[at - piece.len()..end],
            _ => pieces.push((&text[at..end], own)),
        }
    }
    let widths: Vec<usize> = pieces.iter().map(|(_, width)| *width).collect();
    let Some((first, last)) = ends_within(&widths, room) else {
        return text.to_owned();
    };
    let joined = |pieces: &[(&str, usize)]| pieces.iter().map(|(piece, _)| *piece).collect::<String>();
    let (beginning, end) = (joined(&pieces[..first]), joined(&pieces[pieces.len() - last..]));
    format!("{beginning}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(text: &str) -> TextCell {
        TextCell {
            text: text.to_owned(),
            style: Style::new(),
            align: if text.parse::<u64>().is_ok() {
                Align::Right
            } else {
                Align::Left
            },
            cut: if text.contains('-') || text.contains('利') {
                Cut::Middle
            } else {
                Cut::End
            },
        }
    }

    fn shown(rows: &[[&str; 3]], width: Option<usize>) -> String {
        let headings = vec![("USER", Fit::Needed), ("STATUS", Fit::Needed), ("SESSIONS", Fit::Extra)];
        let rows = rows
            .iter()
            .map(|row| row.iter().map(|text| cell(text)).collect())
            .collect();
        let mut out = Vec::new();
        TextTable::new(headings, rows).write(&mut out, width).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_aligned_and_numbers_are_on_the_right() {
        assert_eq!(
            shown(&[["alice", "ONLINE", "2"], ["bo", "IDLE", "11"]], None),
            "USER   STATUS  SESSIONS\nalice  ONLINE         2\nbo     IDLE          11\n"
        );
    }

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(
            shown(&[["利用者", "ONLINE", "x"], ["bo", "IDLE", "x"]], None),
            "USER    STATUS  SESSIONS\n利用者  ONLINE  x\nbo      IDLE    x\n"
        );
    }

    #[test]
    fn a_narrow_terminal_omits_extra_columns_then_truncates() {
        let rows = [["a-very-long-user-id-indeed", "ONLINE", "1"]];
        assert_eq!(
            shown(&rows, Some(36)),
            "USER                        STATUS\na-very-long-user-id-indeed  ONLINE\n"
        );
        assert_eq!(
            shown(&rows, Some(24)),
            "USER              STATUS\na-very-…d-indeed  ONLINE\n"
        );
    }

    #[test]
    fn output_into_a_pipe_is_not_truncated() {
        let long = "x".repeat(500);
        assert!(shown(&[[&long, "ONLINE", "1"]], None).contains(&long));
    }

    #[test]
    fn long_ids_keep_both_ends_and_stay_different() {
        let ids = ["acme-tenant/user-0001", "acme-tenant/user-0002", "acme-beta/users-0001"];
        let shown: Vec<String> = ids.iter().map(|id| cut_in_the_middle(id, 15)).collect();
        assert_eq!(shown, ["acme-te…er-0001", "acme-te…er-0002", "acme-be…rs-0001"]);
        assert_eq!(cut_in_the_middle("alice", 5), "alice");
        assert_eq!(cut_in_the_middle("利用者利用者", 8), "利…用者");
        assert_eq!(cut_in_the_middle("ae\u{301}io\u{301}u", 4), "a…o\u{301}u");
    }

    #[test]
    fn truncation_never_splits_a_wide_character() {
        assert_eq!(cut("利用者利用者", 6), "利用…");
        assert_eq!(cut("利用者利用者", 5), "利用…");
        assert_eq!(cut("abc", 3), "abc");
    }
}
