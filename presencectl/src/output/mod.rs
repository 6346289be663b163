//! Output of commands. A command fills a [`Report`], from which the table, JSON, NDJSON or CSV is generated here, so
//! that no format omits escaping. No command writes to stdout directly.

pub(crate) mod changes;
pub(crate) mod csv;
pub(crate) mod escape;
pub(crate) mod explain_text;
pub(crate) mod json;
pub(crate) mod middle;
pub(crate) mod number;
pub(crate) mod records;
pub(crate) mod terminal;
pub(crate) mod text_table;
pub(crate) mod time;
pub(crate) mod typed_rows;

use std::io::{self, BufWriter, Stdout, Write};

use presence::Wall;
use serde::Serialize;

use crate::failure::Failure;
pub(crate) use terminal::Colour;
use text_table::TextTable;
pub(crate) use typed_rows::{Cell, Column, TypedRows};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns, relative times, colour on a terminal
    #[default]
    Table,
    /// One document {"v":1,...}; stays compatible
    Json,
    /// One JSON object per line, each with "v":1
    Ndjson,
    /// RFC 4180 with a header line; text that a spreadsheet would run as a formula is prefixed with '
    Csv,
}

/// The output in the table format.
pub(crate) enum HumanOutput {
    /// Sentences only, without the rows.
    Text(String),
    /// The rows as a table between two texts.
    Table { above: String, below: String },
}

/// The result of a command, in every format.
pub(crate) struct Report<'a, D, I> {
    /// For JSON; must serialize as a map.
    pub(crate) document: D,
    /// For NDJSON, a line each; must serialize as maps.
    pub(crate) items: &'a [I],
    /// For CSV and the table.
    pub(crate) rows: TypedRows,
    pub(crate) human: HumanOutput,
}

/// The output stream with its format.
pub(crate) struct Output {
    pub(crate) format: Format,
    pub(crate) colour: Colour,
    /// The terminal's width; `None` if stdout is not a terminal.
    width: Option<usize>,
    out: BufWriter<Stdout>,
}

impl Output {
    pub(crate) fn stdout(format: Format) -> Self {
        Self {
            format,
            colour: terminal::colour_of_stdout(),
            width: terminal::width(&io::stdout()),
            out: BufWriter::new(io::stdout()),
        }
    }

    /// Prints a report. Relative times count from `now`, the server's clock.
    pub(crate) fn show<D: Serialize, I: Serialize>(
        &mut self,
        now: Wall,
        report: &Report<'_, D, I>,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Json => json::write_line(&mut self.out, &report.document)?,
            Format::Ndjson => {
                for item in report.items {
                    json::write_line(&mut self.out, item)?;
                }
            }
            Format::Csv => {
                report.rows.write_csv_header(&mut self.out)?;
                report.rows.write_csv_rows(&mut self.out)?;
            }
            Format::Table => match &report.human {
                HumanOutput::Text(text) => self.out.write_all(text.as_bytes())?,
                HumanOutput::Table { above, below } => {
                    self.out.write_all(above.as_bytes())?;
                    if !report.rows.is_empty() {
                        self.table(now, &report.rows).write(&mut self.out, self.width)?;
                    }
                    self.out.write_all(below.as_bytes())?;
                }
            },
        }
        self.flush()
    }

    fn table(&self, now: Wall, rows: &TypedRows) -> TextTable {
        rows.table_within(self.width, now, self.colour)
    }

    /// Prints one JSON object as a line, for streams.
    pub(crate) fn json_line<T: Serialize>(&mut self, item: &T) -> Result<(), Failure> {
        json::write_line(&mut self.out, item)?;
        self.flush()
    }

    /// Prints text that is already escaped, for streams and text that is no report.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.out.write_all(text.as_bytes())?;
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush()?;
        Ok(())
    }
}
