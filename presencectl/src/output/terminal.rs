//! Properties of stdout: whether it is a terminal, its size, and whether it supports colour.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use anstyle::{AnsiColor, Style};
use presence::Status;

/// Whether output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    Painted,
    Plain,
}

impl Colour {
    /// The style of a status. Its name is always printed too, so no information depends on colour.
    pub(crate) const fn of(self, status: Status) -> Style {
        let colour = match (self, status) {
            (Self::Plain, _) => return Style::new(),
            (Self::Painted, Status::Online) => AnsiColor::Green,
            (Self::Painted, Status::Idle) => AnsiColor::Yellow,
            (Self::Painted, Status::DoNotDisturb) => AnsiColor::Red,
            (Self::Painted, Status::Offline) => AnsiColor::BrightBlack,
        };
        colour.on_default()
    }

    /// The style for `doctor`'s results.
    pub(crate) const fn plain_or(self, colour: AnsiColor) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Painted => colour.on_default(),
        }
    }

    /// The coloured name of a status.
    pub(crate) fn status(self, status: Status) -> String {
        paint(self.of(status), status.as_str())
    }
}

/// Text in a style, with the escape sequences unless the style is plain.
pub(crate) fn paint(style: Style, text: &str) -> String {
    format!("{}{text}{}", style.render(), style.render_reset())
}

/// Coloured only on a terminal that supports it, and not with `NO_COLOR`.
pub(crate) fn colour_of_stdout() -> Colour {
    let stdout = io::stdout();
    // Variables may force colour into a pipe; output for programs stays plain regardless.
    match anstream::AutoStream::choice(&stdout) {
        anstream::ColorChoice::Never => Colour::Plain,
        _ if stdout.is_terminal() => Colour::Painted,
        _ => Colour::Plain,
    }
}

/// The width of a terminal; `None` if the stream is something else.
pub(crate) fn width(stream: &(impl IsTerminal + AsFd)) -> Option<usize> {
    size(stream).map(|(columns, _)| usize::from(columns))
}

/// Columns and rows of a terminal; `None` if the stream is something else or the size is unknown.
pub(crate) fn size(stream: &(impl IsTerminal + AsFd)) -> Option<(u16, u16)> {
    if !stream.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    Some((size.ws_col, size.ws_row)).filter(|(columns, rows)| *columns > 0 && *rows > 0)
}
