//! The terminal: what is shown on it, what it sends, and how it is left. Nothing here knows what the pictures are of.

mod canvas;
pub(crate) mod input;
mod modes;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ratatui::buffer::Buffer;
use rustix::process::{Signal, kill_current_process_group};
use signal_hook::consts::SIGCONT;
use signal_hook::{flag, low_level};

use super::geometry::Size;
use crate::output::terminal::size;
use canvas::Canvas;
pub(crate) use modes::leave;
use modes::{Tty, enter, is_still_ours};

/// Where a terminal does not know its size.
const USUAL: Size = Size { width: 80, height: 24 };
/// No picture is larger, whatever a terminal says of itself.
const LARGEST: u16 = 1000;
/// The signal that stops us comes within this, or no shell is there that could bring us back.
const STOPPED_WITHIN: Duration = Duration::from_millis(500);
/// Between two looks at whether we were brought back.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The terminal in the dashboard's modes; left when this is dropped.
pub(crate) struct Screen {
    canvas: Canvas<Tty>,
}

impl Screen {
    /// Enters. From now on a panic leaves first and is told after that.
    ///
    /// # Errors
    /// What the terminal says.
    pub(crate) fn enter() -> io::Result<Self> {
        modes::leave_before_a_panic_is_told();
        enter()?;
        Ok(Self {
            canvas: Canvas::new(Tty),
        })
    }

    /// How large it is now.
    pub(crate) fn size(&self) -> Size {
        size(&io::stdout()).map_or(USUAL, |(width, height)| Size {
            width: width.min(LARGEST),
            height: height.min(LARGEST),
        })
    }

    /// Shows a picture, as large as it is given.
    ///
    /// # Errors
    /// What the terminal says, or that it was left because something panicked elsewhere.
    pub(crate) fn draw(&mut self, picture: impl FnOnce(&mut Buffer)) -> io::Result<()> {
        is_still_ours()?;
        self.canvas.draw(self.size(), picture)
    }

    /// Forgets what is on the screen, so that the next picture is written whole.
    pub(crate) const fn repaint(&mut self) {
        self.canvas.spoil();
    }

    /// Puts a text into the clipboard.
    ///
    /// # Errors
    /// What the terminal says.
    pub(crate) fn copy(&mut self, text: &str) -> io::Result<()> {
        self.canvas.copy(text)
    }

    /// Back to the shell until it brings us to the front again.
    ///
    /// # Errors
    /// What the terminal says.
    pub(crate) fn suspend(&mut self) -> io::Result<()> {
        let is_back = Arc::new(AtomicBool::new(false));
        let watched = flag::register(SIGCONT, Arc::clone(&is_back))?;
        leave();
        // All of the job, as a terminal's own Ctrl-Z does: a script around us must stop as well. Which of our threads the signal stops
        // first nobody knows, so this one goes on only after we were continued.
        kill_current_process_group(Signal::TSTP)?;
        for _ in 0..STOPPED_WITHIN.as_millis() / LOOK_EVERY.as_millis() {
            if is_back.load(Ordering::SeqCst) {
                break;
            }
            thread::park_timeout(LOOK_EVERY);
        }
        low_level::unregister(watched);
        enter()?;
        self.repaint();
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}
