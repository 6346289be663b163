//! Parses a screen, text with SGR control sequences, into cells. Drawing is in `svg`.

use unicode_width::UnicodeWidthChar;

/// A colour as SGR sequences specify it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Colour {
    /// The terminal's default.
    #[default]
    Plain,
    /// An index into the palette of 256 colours.
    Indexed(u8),
    Rgb(u8, u8, u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Style {
    pub(crate) front: Colour,
    pub(crate) back: Colour,
    attributes: u8,
}

/// An attribute of a cell; the values are bits of [`Style`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attribute {
    Bold = 1,
    Dim = 2,
    Italic = 4,
    Underlined = 8,
    Inverse = 16,
}

/// One character; a wide one takes two columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    /// The character with its combining characters.
    pub(crate) text: String,
    pub(crate) width: usize,
    pub(crate) style: Style,
}

/// Parses a screen of so many columns into rows.
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
    pub(crate) const fn has(self, attribute: Attribute) -> bool {
        self.attributes & attribute as u8 != 0
    }

    const fn set(&mut self, attribute: Attribute) {
        self.attributes |= attribute as u8;
    }

    const fn clear(&mut self, attribute: Attribute) {
        self.attributes &= !(attribute as u8);
    }

    /// Applies the parameters of an SGR sequence (ECMA-48, section 8.3.117).
    fn apply(&mut self, sequence: &str) {
        let mut numbers = sequence.split([';', ':']).map(|number| number.parse().unwrap_or(0_u16));
        while let Some(number) = numbers.next() {
            match number {
                0 => *self = Self::default(),
                1 => self.set(Attribute::Bold),
                2 => self.set(Attribute::Dim),
                3 => self.set(Attribute::Italic),
                4 => self.set(Attribute::Underlined),
                7 => self.set(Attribute::Inverse),
                22 => {
                    self.clear(Attribute::Bold);
                    self.clear(Attribute::Dim);
                }
                23 => self.clear(Attribute::Italic),
                24 => self.clear(Attribute::Underlined),
                27 => self.clear(Attribute::Inverse),
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

/// Parses the colour after a 38 or a 48.
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
        assert!(row[0].style.has(Attribute::Bold) && row[0].style.front == Colour::Indexed(1));
        assert_eq!((row[1].width, row[1].style.front), (2, Colour::Indexed(200)));
        assert_eq!(
            (row[2].style.back, row[2].style.has(Attribute::Bold)),
            (Colour::Rgb(1, 2, 3), false)
        );
        assert_eq!(row[3].style, Style::default());
    }
}
