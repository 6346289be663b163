//! Draws a screen as SVG: backgrounds, shapes, and runs of text with a fixed width, so that columns align in any font.

use std::fmt::Write;

use super::cells::{Attribute, Cell, Colour, Style};
use super::shapes::{At, HEIGHT, WIDTH, is_wide, rect, shape, short};

const MARGIN: f64 = 14.0;
const FONT_SIZE: f64 = 15.0;
/// From the top of a cell to the baseline.
const BASE: f64 = 14.2;
const BACK: &str = "#0d1117";
const FRONT: &str = "#c9d1d9";
const FONTS: &str = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace";

/// The first sixteen colours of the palette.
const PALETTE: [&str; 16] = [
    "#1c2128", "#f47067", "#57ab5a", "#d4a72c", "#539bf5", "#b083f0", "#39c5cf", "#adbac7", "#768390", "#ff938a",
    "#6bc46d", "#eac54f", "#6cb6ff", "#dcbdfb", "#56d4dd", "#f0f6fc",
];

pub(crate) fn draw(rows: &[Vec<Cell>]) -> String {
    let columns: usize = rows.first().map_or(0, |row| row.iter().map(|cell| cell.width).sum());
    let (width, height) = (
        columns as f64 * WIDTH + MARGIN * 2.0,
        rows.len() as f64 * HEIGHT + MARGIN * 2.0,
    );
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" font-family=\"{FONTS}\" \
         font-size=\"{FONT_SIZE}\">\n<title>presencectl watch</title>\n\
         <rect width=\"{0}\" height=\"{1}\" rx=\"8\" fill=\"{BACK}\"/>\n",
        short(width),
        short(height)
    );
    for (index, row) in rows.iter().enumerate() {
        let y = MARGIN + index as f64 * HEIGHT;
        draw_backs(row, y, &mut svg);
        draw_fronts(row, y, &mut svg);
        svg.push('\n');
    }
    svg + "</svg>\n"
}

fn draw_backs(row: &[Cell], y: f64, svg: &mut String) {
    let columns = columns_of(row);
    for run in (0..row.len())
        .collect::<Vec<_>>()
        .chunk_by(|a, b| back(row[*a].style) == back(row[*b].style))
    {
        let colour = back(row[run[0]].style);
        if colour != BACK {
            let width: usize = run.iter().map(|index| row[*index].width).sum();
            let place = (MARGIN + columns[run[0]] as f64 * WIDTH, y);
            *svg += &rect(place, (width as f64 * WIDTH, HEIGHT), &colour);
        }
    }
}

/// How a cell's character is drawn.
#[derive(PartialEq)]
enum Kind {
    /// As one of a run of letters.
    Letters,
    /// Alone, centred in its cell: the glyphs of other scripts differ in width.
    Alone(usize),
    Shape(usize),
    /// As one of a run of the same shape.
    Wide(char),
}

/// The column at which each cell begins.
fn columns_of(row: &[Cell]) -> Vec<usize> {
    let mut next = 0;
    let mut columns = Vec::with_capacity(row.len());
    for cell in row {
        columns.push(next);
        next += cell.width;
    }
    columns
}

fn kind_of(cell: &Cell, column: usize) -> Kind {
    let first = cell.text.chars().next().unwrap_or(' ');
    if cell.text.is_ascii() {
        Kind::Letters
    } else if is_wide(first) {
        Kind::Wide(first)
    } else if shape(first, At { x: 0.0, y: 0.0 }, 1, "").is_some() {
        Kind::Shape(column)
    } else {
        Kind::Alone(column)
    }
}

fn draw_fronts(row: &[Cell], y: f64, svg: &mut String) {
    let columns = columns_of(row);
    let kinds: Vec<Kind> = row
        .iter()
        .zip(&columns)
        .map(|(cell, column)| kind_of(cell, *column))
        .collect();
    let mut from = 0;
    while from < row.len() {
        let style = row[from].style;
        let same = row[from..]
            .iter()
            .zip(&kinds[from..])
            .take_while(|(cell, kind)| cell.style == style && **kind == kinds[from])
            .count();
        let x = MARGIN + columns[from] as f64 * WIDTH;
        draw_run(&row[from..from + same], &kinds[from], At { x, y }, svg);
        from += same;
    }
}

fn draw_run(cells: &[Cell], kind: &Kind, at: At, svg: &mut String) {
    let style = cells[0].style;
    let colour = front(style);
    let text: String = cells.iter().map(|cell| cell.text.as_str()).collect();
    match kind {
        Kind::Shape(_) | Kind::Wide(_) => {
            let first = text.chars().next().unwrap_or(' ');
            *svg += &shape(first, at, cells.len(), &colour).unwrap_or_default();
        }
        Kind::Alone(_) => {
            let x = at.x + cells[0].width as f64 * WIDTH / 2.0;
            let _ = write!(
                svg,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\"{}>{}</text>",
                short(x),
                short(at.y + BASE),
                attributes(style, &colour),
                escape(&text)
            );
        }
        Kind::Letters => draw_words(&text, at, &attributes(style, &colour), svg),
    }
    if style.has(Attribute::Underlined) {
        let width = cells.iter().map(|cell| cell.width).sum::<usize>() as f64 * WIDTH;
        *svg += &rect((at.x, at.y + BASE + 2.0), (width, 1.0), &colour);
    }
}

/// Places every word separately, so that no renderer can collapse the blanks between them.
fn draw_words(text: &str, at: At, attributes: &str, svg: &mut String) {
    let mut from = 0;
    while let Some(skipped) = text[from..].find(|c| c != ' ') {
        from += skipped;
        let length = text[from..].find(' ').unwrap_or(text.len() - from);
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{}\" textLength=\"{}\" lengthAdjust=\"spacingAndGlyphs\"{attributes}>{}</text>",
            short(at.x + from as f64 * WIDTH),
            short(at.y + BASE),
            short(length as f64 * WIDTH),
            escape(&text[from..from + length])
        );
        from += length;
    }
}

fn attributes(style: Style, colour: &str) -> String {
    let mut text = format!(" fill=\"{colour}\"");
    if style.has(Attribute::Bold) {
        text += " font-weight=\"bold\"";
    }
    if style.has(Attribute::Italic) {
        text += " font-style=\"italic\"";
    }
    if style.has(Attribute::Dim) {
        text += " opacity=\"0.65\"";
    }
    text
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn front(style: Style) -> String {
    if style.has(Attribute::Inverse) {
        return hex(style.back, BACK);
    }
    hex(style.front, FRONT)
}

fn back(style: Style) -> String {
    if style.has(Attribute::Inverse) {
        return hex(style.front, FRONT);
    }
    hex(style.back, BACK)
}

fn hex(colour: Colour, plain: &str) -> String {
    let rgb = |r: u8, g: u8, b: u8| format!("#{r:02x}{g:02x}{b:02x}");
    match colour {
        Colour::Plain => plain.to_owned(),
        Colour::Rgb(r, g, b) => rgb(r, g, b),
        Colour::Indexed(index @ 0..16) => PALETTE[usize::from(index)].to_owned(),
        // xterm's palette: a cube of six steps a side, then 24 greys.
        Colour::Indexed(index @ 16..232) => {
            let step = |place: u8| match (index - 16) / place % 6 {
                0 => 0,
                step => 55 + step * 40,
            };
            rgb(step(36), step(6), step(1))
        }
        Colour::Indexed(index @ 232..) => {
            let grey = 8 + (index - 232) * 10;
            rgb(grey, grey, grey)
        }
    }
}
