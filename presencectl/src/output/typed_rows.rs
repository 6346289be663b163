//! Typed rows and columns, independent of the output format. The type of a cell decides that text from users is
//! escaped, that tables show relative times, and that numbers are right-aligned.

use std::io::{self, Write};

use anstyle::Style;
use presence::{Status, Wall};

use super::terminal::Colour;
use super::text_table::{Align, Cut, Fit, TextCell, TextTable};
use super::{csv, escape, time};

/// A column, with its heading in tables and its name in CSV.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) heading: &'static str,
    /// The field name in CSV, as in JSON.
    pub(crate) name: &'static str,
    /// What a narrow terminal does to the column.
    pub(crate) fit: Fit,
}

impl Column {
    /// A column that is always shown.
    pub(crate) const fn needed(heading: &'static str, name: &'static str) -> Self {
        Self {
            heading,
            name,
            fit: Fit::Needed,
        }
    }

    /// A column that is omitted when it is empty or the terminal is narrow.
    pub(crate) const fn extra(heading: &'static str, name: &'static str) -> Self {
        Self {
            heading,
            name,
            fit: Fit::Extra,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    /// Text from a user or a server, not escaped yet.
    Hostile(String),
    /// Text of this program.
    Text(String),
    Status(Status),
    /// A point in time; `None` is shown as "never".
    Moment(Option<Wall>),
    Number(u64),
    /// A number with one decimal.
    Decimal(f64),
    /// No value: an empty field, or null in JSON.
    Empty,
}

/// How tables show points in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moments {
    /// Date, time and age.
    Full,
    /// Time or date, and age.
    Short,
    /// The age alone.
    Age,
}

#[derive(Debug, Default)]
pub(crate) struct TypedRows {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl TypedRows {
    pub(crate) fn new(columns: &[Column]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, row: Vec<Cell>) {
        debug_assert_eq!(row.len(), self.columns.len());
        self.rows.push(row);
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table for a terminal of this width, `None` for a pipe: times are shortened before an extra column is omitted,
    /// and again before an id is truncated.
    pub(crate) fn table_within(&self, width: Option<usize>, now: Wall, colour: Colour) -> TextTable {
        let full = self.table(now, colour, Moments::Full);
        let Some(width) = width.filter(|width| full.natural_width() > *width) else {
            return full;
        };
        let short = self.table(now, colour, Moments::Short);
        if short.needed_width() > width {
            self.table(now, colour, Moments::Age)
        } else {
            short
        }
    }

    /// A table, without the extra columns that are empty in every row.
    pub(crate) fn table(&self, now: Wall, colour: Colour, moments: Moments) -> TextTable {
        let is_used = |index: &usize| {
            self.columns[*index].fit == Fit::Needed || self.rows.iter().any(|row| row[*index] != Cell::Empty)
        };
        let used: Vec<usize> = (0..self.columns.len()).filter(is_used).collect();
        let heading = |&index: &usize| (self.columns[index].heading, self.columns[index].fit);
        let row = |row: &Vec<Cell>| {
            used.iter()
                .map(|&index| show(&row[index], now, colour, moments))
                .collect()
        };
        TextTable::new(used.iter().map(heading).collect(), self.rows.iter().map(row).collect())
    }

    pub(crate) fn write_csv_header(&self, out: &mut impl Write) -> io::Result<()> {
        let names: Vec<_> = self.columns.iter().map(|column| column.name).collect();
        writeln!(out, "{}", names.join(","))
    }

    pub(crate) fn write_csv_rows(&self, out: &mut impl Write) -> io::Result<()> {
        for row in &self.rows {
            let fields: Vec<_> = row.iter().map(csv_field).collect();
            writeln!(out, "{}", fields.join(","))?;
        }
        Ok(())
    }
}

fn csv_field(cell: &Cell) -> String {
    match cell {
        Cell::Hostile(text) => csv::hostile_field(text),
        Cell::Text(text) => csv::field(text).into_owned(),
        Cell::Status(status) => status.as_str().to_owned(),
        Cell::Moment(at) => at.map(|at| at.to_string()).unwrap_or_default(),
        Cell::Number(number) => number.to_string(),
        Cell::Decimal(number) => format!("{number:.1}"),
        Cell::Empty => String::new(),
    }
}

fn show(cell: &Cell, now: Wall, colour: Colour, moments: Moments) -> TextCell {
    let left = |text: String, style: Style| TextCell {
        text,
        style,
        align: Align::Left,
        cut: Cut::End,
    };
    let right = |text: String| TextCell {
        text,
        style: Style::new(),
        align: Align::Right,
        cut: Cut::End,
    };
    match cell {
        Cell::Hostile(text) => TextCell {
            cut: Cut::Middle,
            ..left(escape::escape(text).into_owned(), Style::new())
        },
        Cell::Text(text) => left(text.clone(), Style::new()),
        Cell::Status(status) => left(status.as_str().to_owned(), colour.of(*status)),
        Cell::Moment(None) => left("never".to_owned(), Style::new()),
        Cell::Moment(Some(at)) => {
            let text = match moments {
                Moments::Full => time::moment(*at, now),
                Moments::Short => time::short_moment(*at, now),
                Moments::Age => time::relative(*at, now),
            };
            left(text, Style::new())
        }
        Cell::Number(number) => right(number.to_string()),
        Cell::Decimal(number) => right(format!("{number:.1}")),
        Cell::Empty => left("-".to_owned(), Style::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> TypedRows {
        let mut rows = TypedRows::new(&[
            Column::needed("USER", "userId"),
            Column::needed("STATUS", "status"),
            Column::needed("SINCE", "since"),
        ]);
        let at = Wall::from_millis(1_000_000_000_000);
        rows.push(vec![
            Cell::Hostile("=a\u{1b}".into()),
            Cell::Status(Status::Idle),
            Cell::Moment(Some(at)),
        ]);
        rows
    }

    #[test]
    fn csv_carries_exact_times_and_escaped_text() {
        let mut out = Vec::new();
        rows().write_csv_header(&mut out).unwrap();
        rows().write_csv_rows(&mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "userId,status,since\n'=a\\u{1b},IDLE,2001-09-09T01:46:40.000Z\n"
        );
    }

    #[test]
    fn ids_are_truncated_in_the_middle_after_the_times_are_shortened() {
        let now = Wall::from_millis(1_000_000_060_000);
        let mut rows = rows();
        let id = "tenant-acme/user-0123456789-0123456789-0001";
        rows.push(vec![
            Cell::Hostile(id.into()),
            Cell::Status(Status::Idle),
            Cell::Moment(Some(now)),
        ]);
        let shown = |width| {
            let mut out = Vec::new();
            let table = rows.table_within(width, now, Colour::Plain);
            table.write(&mut out, width).unwrap();
            String::from_utf8(out).unwrap().lines().nth(2).unwrap().to_owned()
        };
        let full = format!("{id}  IDLE    2001-09-09 01:47:40Z (just now)");
        assert_eq!((shown(None), shown(Some(full.len()))), (full.clone(), full.clone()));
        assert_ne!(shown(Some(full.len() - 1)), full);
        assert_eq!(shown(Some(80)), format!("{id}  IDLE    01:47:40Z (just now)"));
        assert_eq!(shown(Some(61)), format!("{id}  IDLE    just now"));
        assert_eq!(shown(Some(40)), "tenant-acm…456789-0001  IDLE    just now");
    }

    #[test]
    fn a_table_has_colours_only_if_enabled() {
        let now = Wall::from_millis(1_000_000_060_000);
        let shown = |colour| {
            let mut out = Vec::new();
            rows().table(now, colour, Moments::Full).write(&mut out, None).unwrap();
            String::from_utf8(out).unwrap()
        };
        let plain = shown(Colour::Plain);
        assert!(
            plain.contains("=a\\u{1b}  IDLE    2001-09-09 01:46:40Z (1m ago)"),
            "{plain}"
        );
        assert!(!plain.contains('\u{1b}'));
        assert!(shown(Colour::Painted).contains("\u{1b}[33mIDLE\u{1b}[0m"));
    }
}
