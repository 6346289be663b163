//! Box drawing, block, Braille and status characters as shapes that fill a cell exactly: glyphs of fonts leave gaps
//! between them or differ in size. All other characters are text.

/// The size of a cell, in pixels.
pub(crate) const WIDTH: f64 = 9.0;
pub(crate) const HEIGHT: f64 = 19.0;

/// The width of a line, in pixels.
const LINE: f64 = 1.2;
/// The radius of round status characters, in pixels.
const RADIUS: f64 = 3.7;

/// The top left corner of a cell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    pub(crate) x: f64,
    pub(crate) y: f64,
}

/// Whether equal neighbours become one shape: separate ones would show a seam when the picture is scaled.
pub(crate) const fn is_wide(c: char) -> bool {
    matches!(c, '▀'..='█' | '░'..='▓' | '▔' | '─' | '━')
}

/// Draws a run of equal characters; none if they are text.
pub(crate) fn shape(c: char, at: At, cells: usize, colour: &str) -> Option<String> {
    let rest = |left: f64, top: f64, width: f64, height: f64| {
        Some(rect(
            (at.x + left * WIDTH, at.y + top * HEIGHT),
            (width * WIDTH * cells as f64, height * HEIGHT),
            colour,
        ))
    };
    match c {
        '▀' => rest(0.0, 0.0, 1.0, 0.5),
        '▁'..='█' => {
            let eighths = f64::from(u32::from(c) - u32::from('▁') + 1) / 8.0;
            rest(0.0, 1.0 - eighths, 1.0, eighths)
        }
        '▉'..='▏' => rest(0.0, 0.0, 1.0 - f64::from(u32::from(c) - u32::from('█')) / 8.0, 1.0),
        '▐' => rest(0.5, 0.0, 0.5, 1.0),
        '▔' => rest(0.0, 0.0, 1.0, 0.125),
        '▕' => rest(0.875, 0.0, 0.125, 1.0),
        '░' | '▒' | '▓' => {
            let opacity = f64::from(u32::from(c) - u32::from('░') + 1) / 4.0;
            rest(0.0, 0.0, 1.0, 1.0).map(|rect| rect.replace("/>", &format!(" opacity=\"{opacity}\"/>")))
        }
        '\u{2800}'..='\u{28ff}' => Some(dots(c, at, colour)),
        '─' | '━' => {
            let (middle, width) = (at.y + HEIGHT / 2.0, if c == '━' { LINE * 2.0 } else { LINE });
            let size = (WIDTH * cells as f64, width);
            Some(rect((at.x, middle - width / 2.0), size, colour))
        }
        _ => arms(c).map_or_else(|| sign(c, at, colour), |arms| Some(lines(c, arms, at, colour))),
    }
}

pub(crate) fn rect((x, y): (f64, f64), (width, height): (f64, f64), colour: &str) -> String {
    format!(
        "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{colour}\"/>",
        short(x),
        short(y),
        short(width),
        short(height)
    )
}

/// Formats a number in the shortest way.
pub(crate) fn short(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The directions of a box drawing character from the middle of its cell: up, right, down, left.
const fn arms(c: char) -> Option<[bool; 4]> {
    Some(match c {
        '═' | '┄' | '╌' | '┈' => [false, true, false, true],
        '│' | '┃' | '║' | '┆' | '╎' | '┊' => [true, false, true, false],
        '┌' | '╭' | '┏' | '╔' => [false, true, true, false],
        '┐' | '╮' | '┓' | '╗' => [false, false, true, true],
        '└' | '╰' | '┗' | '╚' => [true, true, false, false],
        '┘' | '╯' | '┛' | '╝' => [true, false, false, true],
        '├' | '┣' | '╠' => [true, true, true, false],
        '┤' | '┫' | '╣' => [true, false, true, true],
        '┬' | '┳' | '╦' => [false, true, true, true],
        '┴' | '┻' | '╩' => [true, true, false, true],
        '┼' | '╋' | '╬' => [true, true, true, true],
        _ => return None,
    })
}

fn lines(c: char, [up, right, down, left]: [bool; 4], at: At, colour: &str) -> String {
    let (x, y) = (at.x + WIDTH / 2.0, at.y + HEIGHT / 2.0);
    let is_heavy = "━┃┏┓┗┛┣┫┳┻╋═║╔╗╚╝╠╣╦╩╬".contains(c);
    let width = if is_heavy { LINE * 2.0 } else { LINE };
    let mut path = String::new();
    if "╭╮╰╯".contains(c) {
        let end_y = if down { at.y + HEIGHT } else { at.y };
        let end_x = if right { at.x + WIDTH } else { at.x };
        let bend = if down { y + WIDTH / 2.0 } else { y - WIDTH / 2.0 };
        let parts = [x, end_y, x, bend, x, y, end_x, y].map(short);
        let [a, b, c, d, e, f, g, h] = parts;
        path = format!("M{a} {b}L{c} {d}Q{e} {f} {g} {h}");
    } else {
        for (has, to_x, to_y) in [
            (up, x, at.y),
            (right, at.x + WIDTH, y),
            // A little further, so that no seam is seen to the next row.
            (down, x, at.y + HEIGHT + 0.4),
            (left, at.x, y),
        ] {
            if has {
                path += &format!("M{} {}L{} {}", short(x), short(y), short(to_x), short(to_y));
            }
        }
    }
    let dashes = if "┄╌┈┆╎┊".contains(c) {
        " stroke-dasharray=\"2 2\""
    } else {
        ""
    };
    format!("<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"{dashes}/>")
}

/// Draws a Braille character: two columns of four dots, in the order of their bits.
fn dots(c: char, at: At, colour: &str) -> String {
    const PLACES: [(f64, f64); 8] = [
        (0.25, 0.125),
        (0.25, 0.375),
        (0.25, 0.625),
        (0.75, 0.125),
        (0.75, 0.375),
        (0.75, 0.625),
        (0.25, 0.875),
        (0.75, 0.875),
    ];
    let bits = u32::from(c) - 0x2800;
    let mut drawn = String::new();
    for (index, (x, y)) in PLACES
        .into_iter()
        .enumerate()
        .filter(|(index, _)| bits >> index & 1 == 1)
    {
        debug_assert!(index < 8);
        let place = (at.x + x * WIDTH - 1.2, at.y + y * HEIGHT - 1.2);
        drawn += &rect(place, (2.4, 2.4), colour);
    }
    drawn
}

/// Draws the symbols of the statuses and similar characters.
fn sign(c: char, at: At, colour: &str) -> Option<String> {
    let (x, y) = (at.x + WIDTH / 2.0, at.y + HEIGHT / 2.0);
    let circle = |fill: &str| {
        format!(
            "<circle cx=\"{}\" cy=\"{}\" r=\"{RADIUS}\" fill=\"{fill}\" stroke=\"{colour}\" stroke-width=\"1.2\"/>",
            short(x),
            short(y)
        )
    };
    let outline = circle("none");
    let (near, far) = (-RADIUS * 0.7, RADIUS * 0.7);
    let path = match c {
        '●' => return Some(circle(colour)),
        '○' => return Some(outline),
        '◐' => format!(
            "M{0} {1}A{RADIUS} {RADIUS} 0 0 0 {0} {2}Z",
            short(x),
            short(y - RADIUS),
            short(y + RADIUS)
        ),
        '⊘' => format!(
            "M{} {}L{} {}",
            short(x + near),
            short(y + far),
            short(x + far),
            short(y + near)
        ),
        '⊖' => format!("M{} {}L{} {}", short(x + near), short(y), short(x + far), short(y)),
        _ => return None,
    };
    Some(format!(
        "{outline}<path d=\"{path}\" fill=\"{colour}\" stroke=\"{colour}\" stroke-width=\"1.4\"/>"
    ))
}
