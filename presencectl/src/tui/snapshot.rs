//! `watch --once`: one frame as text on stdout, coloured only on a terminal. No terminal is needed.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use tokio::time::timeout;
use unicode_width::UnicodeWidthStr;

use super::effect::Effect;
use super::event_loop::{Channels, Clock, Input};
use super::geometry::Size;
use super::message::Message;
use super::model::{ConnectionState, Model};
use super::theme::Theme;
use super::update::{apply_pending, update};
use super::view;
use crate::failure::Failure;
use crate::output::Colour;

/// Timeout until all data for the frame has arrived.
const DATA_TIMEOUT: Duration = Duration::from_secs(20);
/// How often requests are made that are due.
const TICK_EVERY: Duration = Duration::from_millis(100);
/// The size without a terminal and without variables.
const DEFAULT_SIZE: Size = Size { width: 120, height: 40 };
/// Bound for the size from the variables.
const SIZE_MAX: u16 = 1000;

/// The size of the terminal, else that of the variables, else the default.
pub(crate) fn size(terminal: Option<Size>, variable: impl Fn(&str) -> Option<String>) -> Size {
    let number = |name| {
        let number: u16 = variable(name)?.trim().parse().ok()?;
        (1..=SIZE_MAX).contains(&number).then_some(number)
    };
    terminal.unwrap_or_else(|| Size {
        width: number("COLUMNS").unwrap_or(DEFAULT_SIZE.width),
        height: number("LINES").unwrap_or(DEFAULT_SIZE.height),
    })
}

/// Waits until the data is complete, and prints one frame.
pub(crate) async fn print(
    mut model: Model,
    mut channels: Channels,
    clock: Clock,
    theme: &Theme,
    colour: Colour,
) -> Result<(), Failure> {
    let waiting = async {
        // The times of a user who is not listed come with its record, which the dashboard asks for once a second.
        let mut unlisted = model.detail.as_ref().map(|detail| detail.user.clone());
        while !is_complete(&model) {
            let input = timeout(TICK_EVERY, channels.inputs.recv()).await;
            let mut effects = update(&mut model, Message::Tick(clock.now()));
            match input {
                Ok(Some(Input::Message(message))) => effects.extend(update(&mut model, message)),
                Ok(_) => break,
                Err(_) => {}
            }
            if matches!(model.connection, ConnectionState::Live)
                && let Some(user) = unlisted.take()
            {
                effects.push(Effect::FetchRecords(vec![user]));
            }
            for effect in effects {
                // Ticks, stream events and responses cause requests only.
                let _ = channels.requests.send(effect).await;
            }
        }
    };
    let _ = timeout(DATA_TIMEOUT, waiting).await;
    if let ConnectionState::Ended { why, .. } | ConnectionState::Lost { why, .. } = &model.connection {
        return Err(Failure::unreachable(why));
    }
    if !matches!(model.connection, ConnectionState::Live) {
        return Err(Failure::unreachable(format_args!(
            "the daemon's data was incomplete after {} s",
            DATA_TIMEOUT.as_secs()
        )));
    }
    apply_pending(&mut model);
    let area = Rect::new(0, 0, model.size.width, model.size.height);
    let mut buffer = Buffer::empty(area);
    view::draw(&model, theme, &mut buffer);
    let mut out = io::stdout().lock();
    out.write_all(text(&buffer, colour).as_bytes())?;
    out.flush()?;
    Ok(())
}

fn is_complete(model: &Model) -> bool {
    let is_known = model.stats.is_some() || model.stats_error.is_some();
    let detail = model.detail.as_ref();
    let is_explained = detail.is_none_or(|detail| {
        // The times of a user who is not listed come with its record.
        let has_times = detail.record.is_some() || model.known_users.find(&detail.user).is_some();
        detail.error.is_some() || (detail.explain.is_some() && has_times)
    });
    match model.connection {
        ConnectionState::Live => is_known && is_explained,
        ConnectionState::Lost { .. } | ConnectionState::Ended { .. } => true,
        ConnectionState::Connecting | ConnectionState::Loading => false,
    }
}

/// The lines of a frame, without trailing blanks.
fn text(buffer: &Buffer, colour: Colour) -> String {
    let area = buffer.area;
    let plain = Cell::EMPTY.style();
    let mut text = String::new();
    for y in area.top()..area.bottom() {
        let row = area.left()..area.right();
        let is_seen = |x: &u16| buffer.cell((*x, y)).is_some_and(|cell| !is_blank(cell, colour));
        let end = row.clone().rev().find(is_seen).map_or(area.left(), |x| x + 1);
        let mut last = plain;
        let mut skipped = 0;
        for x in row.start..end {
            let Some(cell) = buffer.cell((x, y)) else { continue };
            // The second half of a wide character has no cell of its own on a terminal.
            if skipped > 0 {
                skipped -= 1;
                continue;
            }
            skipped = UnicodeWidthStr::width(cell.symbol()).saturating_sub(1);
            let style = cell.style();
            if colour == Colour::Painted && style != last {
                text.push_str(&sgr(style));
                last = style;
            }
            text.push_str(cell.symbol());
        }
        if last != plain {
            text.push_str(&sgr(plain));
        }
        text.push('\n');
    }
    text
}

/// Whether a cell is invisible: a blank without a background or modifier.
fn is_blank(cell: &Cell, colour: Colour) -> bool {
    let is_plain = colour == Colour::Plain || (cell.bg == Color::Reset && cell.modifier.is_empty());
    cell.symbol() == " " && is_plain
}

/// The escape sequence of a style, starting with a reset.
fn sgr(style: Style) -> String {
    let mut codes = "0".to_owned();
    let modifiers = [
        (Modifier::BOLD, "1"),
        (Modifier::DIM, "2"),
        (Modifier::ITALIC, "3"),
        (Modifier::UNDERLINED, "4"),
        (Modifier::REVERSED, "7"),
        (Modifier::CROSSED_OUT, "9"),
    ];
    for (modifier, code) in modifiers {
        if style.add_modifier.contains(modifier) {
            let _ = write!(codes, ";{code}");
        }
    }
    for (colour, base) in [(style.fg, 30), (style.bg, 40)] {
        if let Some(code) = colour.and_then(|colour| colour_code(colour, base)) {
            let _ = write!(codes, ";{code}");
        }
    }
    format!("\x1b[{codes}m")
}

/// `base` is 30 for the foreground, 40 for the background (ECMA-48, section 8.3.117).
fn colour_code(colour: Color, base: u8) -> Option<String> {
    let named = |index: u8| {
        Some(
            match index {
                0..8 => base + index,
                // The bright colours of xterm.
                _ => base + 52 + index,
            }
            .to_string(),
        )
    };
    match colour {
        Color::Reset => None,
        Color::Black => named(0),
        Color::Red => named(1),
        Color::Green => named(2),
        Color::Yellow => named(3),
        Color::Blue => named(4),
        Color::Magenta => named(5),
        Color::Cyan => named(6),
        Color::Gray => named(7),
        Color::DarkGray => named(8),
        Color::LightRed => named(9),
        Color::LightGreen => named(10),
        Color::LightYellow => named(11),
        Color::LightBlue => named(12),
        Color::LightMagenta => named(13),
        Color::LightCyan => named(14),
        Color::White => named(15),
        Color::Indexed(index) => Some(format!("{};5;{index}", base + 8)),
        Color::Rgb(r, g, b) => Some(format!("{};2;{r};{g};{b}", base + 8)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::Detail;
    use super::super::model::tests::user;
    use super::*;

    #[test]
    fn the_size_is_the_terminals_else_that_of_the_variables() {
        let none = |_: &str| None;
        let variables = |name: &str| Some(if name == "COLUMNS" { "90" } else { "30" }.to_owned());
        let wrong = |_: &str| Some("99999".to_owned());
        let terminal = Size { width: 80, height: 24 };
        assert_eq!(size(Some(terminal), variables), terminal);
        assert_eq!(size(None, variables), Size { width: 90, height: 30 });
        assert_eq!((size(None, none), size(None, wrong)), (DEFAULT_SIZE, DEFAULT_SIZE));
    }

    #[test]
    fn a_snapshot_needs_users_statistics_and_the_explanation() {
        let mut model = Model::new(DEFAULT_SIZE, Clock::new().now());
        model.stats_error = Some("no statistics".to_owned());
        assert!(!is_complete(&model), "no snapshot of the stream");
        model.connection = ConnectionState::Live;
        assert!(is_complete(&model));
        model.stats_error = None;
        assert!(!is_complete(&model), "statistics are missing");
        model.stats_error = Some("no statistics".to_owned());
        model.detail = Some(Detail::new(user("ann")));
        assert!(!is_complete(&model), "the explanation is missing");
        let detail = model.detail.as_mut().unwrap();
        detail.error = Some("refused".to_owned());
        assert!(is_complete(&model));
    }

    #[test]
    fn a_snapshot_is_plain_or_coloured_with_wide_characters() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 8, 2));
        buffer.set_string(0, 0, "漢ab", Style::new().fg(Color::Green).add_modifier(Modifier::BOLD));
        assert_eq!(text(&buffer, Colour::Plain), "漢ab\n\n");
        assert_eq!(
            text(&buffer, Colour::Painted),
            "\x1b[0;1;32m漢ab\x1b[0m\n\n",
            "no trailing blanks"
        );
        buffer.set_style(Rect::new(6, 1, 1, 1), Style::new().bg(Color::Blue));
        assert_eq!(text(&buffer, Colour::Plain), "漢ab\n\n");
        assert!(
            text(&buffer, Colour::Painted).ends_with("\n      \x1b[0;44m \x1b[0m\n"),
            "a blank with a background is visible"
        );
    }

    #[test]
    fn every_colour_has_its_escape_code() {
        assert_eq!(colour_code(Color::DarkGray, 30), Some("90".to_owned()));
        assert_eq!(colour_code(Color::White, 40), Some("107".to_owned()));
        assert_eq!(colour_code(Color::Indexed(208), 30), Some("38;5;208".to_owned()));
        assert_eq!(colour_code(Color::Rgb(1, 2, 3), 40), Some("48;2;1;2;3".to_owned()));
        assert_eq!(colour_code(Color::Reset, 30), None);
    }
}
