//! The terminal: into the dashboard's modes and out of them again, whatever happens. Nothing here knows what is drawn.

pub(crate) mod input;

use std::io::{self, BufWriter, Stdout, Write};
use std::os::fd::AsFd;
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use crossterm::clipboard::CopyToClipboard;
use crossterm::queue;
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use rustix::process::{Signal, getpid, kill_process};

use super::geometry::Size;

/// Another screen, no cursor, clicks and the wheel with places beyond column 223, and pasted text marked as such.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?1000h\x1b[?1006h\x1b[?2004h";
/// The same backwards. Colours and a frame that was not finished end as well.
const LEAVE: &str = "\x1b[?2026l\x1b[0m\x1b[?2004l\x1b[?1006l\x1b[?1000l\x1b[?25h\x1b[?1049l";
/// Terminals that know it show nothing of a picture before all of it is there; the others ignore it.
const BEGIN_PICTURE: &str = "\x1b[?2026h";
const END_PICTURE: &str = "\x1b[?2026l";
/// Room for a whole picture, so that it leaves in few writes.
const PICTURE_BYTES: usize = 64 * 1024;

/// A process that is to stop has stopped by then. One without a shell that could bring it back never does, and goes on.
const STOPPED_WITHIN: Duration = Duration::from_millis(500);

/// Whether the terminal is in the dashboard's modes.
static IS_ENTERED: AtomicBool = AtomicBool::new(false);

/// The terminal in the dashboard's modes; left when this is dropped.
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    /// Tells when somebody continued this process after it was stopped.
    continued: Receiver<()>,
}

impl Screen {
    /// Enters. From now on a panic leaves first and is told after that.
    ///
    /// # Errors
    /// What the terminal says.
    pub(crate) fn enter(continued: Receiver<()>) -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let told = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                leave();
                told(info);
            }));
        });
        let out = BufWriter::with_capacity(PICTURE_BYTES, io::stdout());
        let terminal = Terminal::new(CrosstermBackend::new(out))?;
        let screen = Self { terminal, continued };
        enter()?;
        Ok(screen)
    }

    /// How large it is now.
    ///
    /// # Errors
    /// What the terminal says.
    pub(crate) fn size(&self) -> io::Result<Size> {
        let size = self.terminal.size()?;
        Ok(Size {
            width: size.width,
            height: size.height,
        })
    }

    /// Shows a picture: what differs from the one before is written, all at once.
    ///
    /// # Errors
    /// What the terminal says.
    pub(crate) fn draw(&mut self, picture: impl FnOnce(&mut ratatui::Frame)) -> io::Result<()> {
        self.terminal.backend_mut().write_all(BEGIN_PICTURE.as_bytes())?;
        self.terminal.draw(picture)?;
        self.terminal.backend_mut().write_all(END_PICTURE.as_bytes())?;
        io::Write::flush(self.terminal.backend_mut())
    }

    /// Forgets what is on the screen, so that the next picture is written whole.
    ///
    /// # Errors
    /// What the terminal says.
    pub(crate) fn repaint(&mut self) -> io::Result<()> {
        // `clear` would ask the terminal where the cursor is, and the thread that reads the terminal would get the answer.
        let size = self.terminal.size()?;
        self.terminal.resize(Rect::new(0, 0, size.width, size.height))
    }

    /// Puts a text into the clipboard (OSC 52): in base64, so nothing in it can act.
    ///
    /// # Errors
    /// What the terminal says.
    pub(crate) fn copy(&mut self, text: &str) -> io::Result<()> {
        queue!(self.terminal.backend_mut(), CopyToClipboard::to_clipboard_from(text))?;
        io::Write::flush(self.terminal.backend_mut())
    }

    /// Back to the shell until it brings us to the front again.
    ///
    /// # Errors
    /// What the terminal says.
    pub(crate) fn suspend(&mut self) -> io::Result<()> {
        leave();
        while self.continued.try_recv().is_ok() {}
        // Another thread may be the one that takes it, and this one run on for a while: it must not enter before the stop.
        kill_process(getpid(), Signal::TSTP)?;
        let _ = self.continued.recv_timeout(STOPPED_WITHIN);
        enter()?;
        self.repaint()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    IS_ENTERED.store(true, Ordering::SeqCst);
    write_straight(ENTER);
    Ok(())
}

/// Leaves, once however often it is called, and as far as the terminal is still there.
pub(crate) fn leave() {
    if IS_ENTERED.swap(false, Ordering::SeqCst) {
        write_straight(LEAVE);
        let _ = disable_raw_mode();
    }
}

/// Past the lock and the buffer of stdout: whoever holds them may be the one that panicked.
fn write_straight(text: &str) {
    let stdout = io::stdout();
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        match rustix::io::write(stdout.as_fd(), rest) {
            Ok(count) if count > 0 => rest = &rest[count..],
            Err(rustix::io::Errno::INTR) => {}
            _ => return,
        }
    }
}
