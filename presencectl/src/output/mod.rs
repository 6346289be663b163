//! What a command found, shown in the format that was asked for. A command fills a [`Report`] once; tables, JSON,
//! NDJSON and CSV are made from it here, so that no format can forget to escape. No command writes to stdout by itself.

pub(crate) mod changes;
pub(crate) mod csv;
pub(crate) mod dataset;
pub(crate) mod escape;
pub(crate) mod json;
pub(crate) mod number;
pub(crate) mod reasons;
pub(crate) mod records;
pub(crate) mod terminal;
pub(crate) mod text_table;
pub(crate) mod time;

use std::io::{self, BufWriter, Stdout, Write};

use presence::Wall;
use serde::Serialize;

use crate::failure::Failure;
use dataset::Moments;
pub(crate) use dataset::{Cell, Column, Dataset};
pub(crate) use terminal::Colour;
use text_table::TextTable;

/// How output is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people: aligned columns, relative times, colour on a terminal
    #[default]
    Table,
    /// One document {"v":1,…}; stays compatible
    Json,
    /// One JSON object a line, each with "v":1
    Ndjson,
    /// RFC 4180 with a header line; a text that a spreadsheet would run as a formula gets a ' in front
    Csv,
}

/// What people see.
pub(crate) enum HumanOutput {
    /// Sentences instead of the dataset.
    Text(String),
    /// The dataset as a table, with sentences around it.
    Table {
        /// Before it.
        above: String,
        /// After it.
        below: String,
    },
}

/// What a command found.
pub(crate) struct Report<'a, D, I> {
    /// The JSON document; must serialize as a map.
    pub(crate) document: D,
    /// The lines of NDJSON; each must serialize as a map.
    pub(crate) items: &'a [I],
    /// The rows of CSV and of the table.
    pub(crate) dataset: Dataset,
    /// What people see.
    pub(crate) human: HumanOutput,
}

/// Where output goes, and how.
pub(crate) struct Output {
    /// The format asked for.
    pub(crate) format: Format,
    /// Whether to paint.
    pub(crate) colour: Colour,
    /// The terminal's width; none for anything else.
    width: Option<usize>,
    out: BufWriter<Stdout>,
}

impl Output {
    /// On stdout, as it is.
    pub(crate) fn stdout(format: Format) -> Self {
        Self {
            format,
            colour: terminal::colour_of_stdout(),
            width: terminal::width(&io::stdout()),
            out: BufWriter::new(io::stdout()),
        }
    }

    /// Shows a report. `now` is the server's clock, by which times are relative.
    ///
    /// # Errors
    /// When stdout can't be written.
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
                report.dataset.write_csv_header(&mut self.out)?;
                report.dataset.write_csv_rows(&mut self.out)?;
            }
            Format::Table => match &report.human {
                HumanOutput::Text(text) => self.out.write_all(text.as_bytes())?,
                HumanOutput::Table { above, below } => {
                    self.out.write_all(above.as_bytes())?;
                    if !report.dataset.is_empty() {
                        self.table(now, &report.dataset).write(&mut self.out, self.width)?;
                    }
                    self.out.write_all(below.as_bytes())?;
                }
            },
        }
        self.flush()
    }

    /// A table with moments as long as the terminal has room for.
    fn table(&self, now: Wall, dataset: &Dataset) -> TextTable {
        let full = dataset.table(now, self.colour, Moments::Full);
        match self.width {
            Some(width) if full.natural_width() > width => dataset.table(now, self.colour, Moments::Short),
            _ => full,
        }
    }

    /// One JSON object as a line, for streams.
    ///
    /// # Errors
    /// When stdout can't be written.
    pub(crate) fn json_line<T: Serialize>(&mut self, item: &T) -> Result<(), Failure> {
        json::write_line(&mut self.out, item)?;
        self.flush()
    }

    /// Text that is escaped already, for streams and for what is no report.
    ///
    /// # Errors
    /// When stdout can't be written.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.out.write_all(text.as_bytes())?;
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush()?;
        Ok(())
    }
}
