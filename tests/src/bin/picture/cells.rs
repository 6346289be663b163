//! What a terminal shows, cell by cell: text with the sequences that colour it, read back. Nothing is drawn here.

use unicode_width::UnicodeWidthChar;

/// A colour as a program named it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Colour {
    /// The terminal's own.
    #[default]
    Plain,
    /// One of 256.
    Indexed(u8),
    /// Mixed.
    Rgb(u8, u8, u8),
}

/// How a cell looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Style {
    pub(crate) front: Colour,
    pub(crate) back: Colour,
    pub(crate) bold: bool,
    pub(crate) dim: bool,
    pub(crate) italic: bool,
    pub(crate) underlined: bool,
    pub(crate) inverse: bool,
}

/// One cell, or two if the character is wide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    /// A character with what combines with it.
    pub(crate) text: String,
    pub(crate) width: usize,
    pub(crate) style: Style,
}

/// Reads a screen of so many columns, row by row.
pub(crate) fn read(text: &str, columns: usize) -> Vec<Vec<Cell>> {
    let mut style = Style::default();
    text.lines().map(|line| read_row(line, columns, &mut style)).collect()
}

fn read_row(line: &str, columns: usize, style: &mut Style) -> Vec<Cell> {
    let mut row: Vec<Cell> = Vec::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            let sequence: String = chars
                .by_ref()
                .skip(1)
                .take_while(|c| !c.is_ascii_alphabetic())
                .collect();
            style.apply(&sequence);
            continue;
        }
        match (c.width(), row.last_mut()) {
            (Some(0), Some(before)) => before.text.push(c),
            (width, _) => row.push(Cell {
                text: c.into(),
                width: width.unwrap_or(1).max(1),
                style: *style,
            }),
        }
    }
    let filled: usize = row.iter().map(|cell| cell.width).sum();
    let blank = Cell {
        text: " ".into(),
        width: 1,
        style: Style::default(),
    };
    row.extend(vec![blank; columns.saturating_sub(filled)]);
    row
}

impl Style {
    /// Applies the numbers of a sequence that ends with `m`.
    fn apply(&mut self, sequence: &str) {
        let mut numbers = sequence.split([';', ':']).map(|number| number.parse().unwrap_or(0_u16));
        while let Some(number) = numbers.next() {
            match number {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                3 => self.italic = true,
                4 => self.underlined = true,
                7 => self.inverse = true,
                22 => (self.bold, self.dim) = (false, false),
                23 => self.italic = false,
                24 => self.underlined = false,
                27 => self.inverse = false,
                38 => self.front = mixed(&mut numbers),
                39 => self.front = Colour::Plain,
                48 => self.back = mixed(&mut numbers),
                49 => self.back = Colour::Plain,
                30..=37 => self.front = indexed(number - 30),
                40..=47 => self.back = indexed(number - 40),
                90..=97 => self.front = indexed(number - 82),
                100..=107 => self.back = indexed(number - 92),
                _ => {}
            }
        }
    }
}

fn indexed(number: u16) -> Colour {
    Colour::Indexed(u8::try_from(number).unwrap_or(0))
}

/// What follows a 38 or a 48.
fn mixed(numbers: &mut impl Iterator<Item = u16>) -> Colour {
    let kind = numbers.next();
    let mut byte = || u8::try_from(numbers.next().unwrap_or(0)).unwrap_or(255);
    match kind {
        Some(5) => Colour::Indexed(byte()),
        Some(2) => Colour::Rgb(byte(), byte(), byte()),
        _ => Colour::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_wide_characters_are_parsed() {
        let rows = read("\u{1b}[31;1ma\u{1b}[38;5;200m名\u{1b}[0;48;2;1;2;3mb\u{1b}[m", 6);
        let row = &rows[0];
        assert_eq!(row.iter().map(|cell| cell.width).sum::<usize>(), 6);
        assert!(row[0].style.bold && row[0].style.front == Colour::Indexed(1));
        assert_eq!((row[1].width, row[1].style.front), (2, Colour::Indexed(200)));
        assert_eq!((row[2].style.back, row[2].style.bold), (Colour::Rgb(1, 2, 3), false));
        assert_eq!(row[3].style, Style::default());
    }
}
