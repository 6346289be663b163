//! The terminal: drawing frames, reading input, and restoring it. It doesn't know what the frames show.

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
use modes::{Tty, check_entered, enter, reenter};

/// For a terminal of unknown size.
const DEFAULT_SIZE: Size = Size { width: 80, height: 24 };
/// Bound for the size that a terminal reports.
const SIZE_MAX: u16 = 1000;
/// A process that can be stopped is stopped by then. One without a shell to continue it never stops, and goes on.
const STOP_TIMEOUT: Duration = Duration::from_millis(500);

/// The terminal in the dashboard's modes; restored on drop.
pub(crate) struct Screen {
    canvas: Canvas<Tty>,
    /// Receives after SIGCONT.
    continued: Receiver<()>,
}

impl Screen {
    /// Enters the modes. From now on a panic restores the terminal before its message is printed.
    pub(crate) fn enter(continued: Receiver<()>) -> io::Result<Self> {
        modes::install_panic_hook();
        enter()?;
        Ok(Self {
            canvas: Canvas::new(Tty),
            continued,
        })
    }

    pub(crate) fn size(&self) -> Size {
        size(&io::stdout()).map_or(DEFAULT_SIZE, |(width, height)| Size {
            width: width.min(SIZE_MAX),
            height: height.min(SIZE_MAX),
        })
    }

    /// Draws a frame of the screen's size. Fails if the terminal was restored because another thread panicked.
    pub(crate) fn draw(&mut self, frame: impl FnOnce(&mut Buffer)) -> io::Result<()> {
        check_entered()?;
        self.canvas.draw(self.size(), frame)
    }

    /// The next frame is written completely.
    pub(crate) const fn repaint(&mut self) {
        self.canvas.repaint();
    }

    /// Copies to the clipboard.
    pub(crate) fn copy(&mut self, text: &str) -> io::Result<()> {
        self.canvas.copy(text)
    }

    /// Acts as Ctrl-Z in a terminal does: SIGTSTP to the whole job, including a script around this process. This
    /// process handles the signal with [`Self::stop`].
    pub(crate) fn suspend(&mut self) -> io::Result<()> {
        Ok(kill_current_process_group(Signal::TSTP)?)
    }

    /// Restores the terminal and stops until the shell continues this process.
    pub(crate) fn stop(&mut self) -> io::Result<()> {
        leave();
        while self.continued.try_recv().is_ok() {}
        // SIGTTOU stops the process and has no handler; unlike SIGSTOP it does not stop a process that no shell could
        // continue. Another thread may receive it while this one still runs, so this one waits before it enters the
        // modes.
        kill_process(getpid(), Signal::TTOU)?;
        let _ = self.continued.recv_timeout(STOP_TIMEOUT);
        enter()?;
        self.repaint();
        Ok(())
    }

    /// Enters the modes again after an uncaught stop, when the shell has used the terminal.
    pub(crate) fn resume(&mut self) -> io::Result<()> {
        reenter()?;
        self.repaint();
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}
