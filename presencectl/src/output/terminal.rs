//! What stdout is: a terminal or not, how wide, with colour or without.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use anstyle::{AnsiColor, Style};
use presence::Status;

/// Whether to paint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    /// Escape sequences are wanted.
    Painted,
    /// Plain text only.
    Plain,
}

impl Colour {
    /// The style of a status: never its only sign, the word stands beside it.
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

    /// A colour of the doctor's marks.
    pub(crate) const fn plain_or(self, colour: AnsiColor) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Painted => colour.on_default(),
        }
    }

    /// The word of a status, painted.
    pub(crate) fn status(self, status: Status) -> String {
        paint(self.of(status), status.as_str())
    }
}

/// Text between the escape sequences of a style; plain text if the style is plain.
pub(crate) fn paint(style: Style, text: &str) -> String {
    format!("{}{text}{}", style.render(), style.render_reset())
}

/// Only on a terminal that knows colours, and not with `NO_COLOR`.
pub(crate) fn colour_of_stdout() -> Colour {
    let stdout = io::stdout();
    // Variables may force colour into a pipe elsewhere; what is read by programs stays plain here.
    match anstream::AutoStream::choice(&stdout) {
        anstream::ColorChoice::Never => Colour::Plain,
        _ if stdout.is_terminal() => Colour::Painted,
        _ => Colour::Plain,
    }
}

/// The columns of a terminal; none if that is something else.
pub(crate) fn width(stream: &(impl IsTerminal + AsFd)) -> Option<usize> {
    size(stream).map(|(columns, _)| usize::from(columns))
}

/// Columns and rows of a terminal; none if that is something else, or does not know.
pub(crate) fn size(stream: &(impl IsTerminal + AsFd)) -> Option<(u16, u16)> {
    if !stream.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    Some((size.ws_col, size.ws_row)).filter(|(columns, rows)| *columns > 0 && *rows > 0)
}
