//! The terminal: what is shown on it, what it sends, and how it is left. Nothing here knows what the pictures are of.

mod canvas;
pub(crate) mod input;
mod modes;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use ratatui::buffer::Buffer;
use rustix::process::{Signal, getpid, kill_current_process_group, kill_process};

use super::geometry::Size;
use crate::output::terminal::size;
use canvas::Canvas;
pub(crate) use modes::leave;
use modes::{Tty, enter, enter_again, is_still_ours};

/// Where a terminal does not know its size.
const USUAL: Size = Size { width: 80, height: 24 };
/// No picture is larger, whatever a terminal says of itself.
const LARGEST: u16 = 1000;
/// A process that is to stop has stopped by then. One without a shell that could bring it back never does, and goes on.
const STOPPED_WITHIN: Duration = Duration::from_millis(500);

/// The terminal in the dashboard's modes; left when this is dropped.
pub(crate) struct Screen {
    canvas: Canvas<Tty>,
    /// Tells when somebody continued this process after it was stopped.
    continued: Receiver<()>,
}

impl Screen {
    /// Enters. From now on a panic leaves first and is told after that.
    ///
    /// # Errors
    /// What the terminal says.
    pub(crate) fn enter(continued: Receiver<()>) -> io::Result<Self> {
        modes::leave_before_a_panic_is_told();
        enter()?;
        Ok(Self {
            canvas: Canvas::new(Tty),
            continued,
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

    /// Asks for what a terminal's own Ctrl-Z does: all of the job stops, a script around us as well. This process is told like the
    /// others, and then stops by [`Self::stop`].
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn suspend(&mut self) -> io::Result<()> {
        Ok(kill_current_process_group(Signal::TSTP)?)
    }

    /// Back to the shell until it brings us to the front again.
    ///
    /// # Errors
    /// What the terminal says.
    pub(crate) fn stop(&mut self) -> io::Result<()> {
        leave();
        while self.continued.try_recv().is_ok() {}
        // Of the signals that stop, the one that is not listened to: it stops nobody whom no shell could bring back. Another thread may be
        // the one that takes it, and this one run on for a while: it must not enter before the stop.
        kill_process(getpid(), Signal::TTOU)?;
        let _ = self.continued.recv_timeout(STOPPED_WITHIN);
        enter()?;
        self.repaint();
        Ok(())
    }

    /// Somebody may have stopped this process without a word, and the shell have had the terminal meanwhile.
    ///
    /// # Errors
    /// What the terminal says.
    pub(crate) fn resume(&mut self) -> io::Result<()> {
        enter_again()?;
        self.repaint();
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}
