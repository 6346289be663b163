//! Writes frames: the difference to the previous frame, as one synchronized update. It needs only a writer.
//!
//! Ratatui's own `Terminal` is not used: for a full redraw it queries the cursor position, and would have to wait for
//! the response while another thread reads the keys.

use std::io::{self, BufWriter, Write};
use std::mem;

use crossterm::clipboard::CopyToClipboard;
use crossterm::queue;
use crossterm::terminal::{Clear, ClearType};
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::super::geometry::Size;

/// Synchronized output (DEC mode 2026): the terminal shows the frame when it is complete; others ignore it.
const BEGIN: &[u8] = b"\x1b[?2026h";
const END: &[u8] = b"\x1b[?2026l";
/// Room for a whole frame, so that it takes few writes.
const FRAME_BYTES: usize = 64 * 1024;

/// The screen's content and the writer.
pub(super) struct Canvas<W: Write> {
    out: CrosstermBackend<BufWriter<W>>,
    shown: Buffer,
    next: Buffer,
    /// The screen's content is not what was written.
    needs_repaint: bool,
}

impl<W: Write> Canvas<W> {
    pub(super) fn new(out: W) -> Self {
        let out = BufWriter::with_capacity(FRAME_BYTES, out);
        Self {
            out: CrosstermBackend::new(out),
            shown: Buffer::default(),
            next: Buffer::default(),
            needs_repaint: true,
        }
    }

    /// The next frame is written completely.
    pub(super) const fn repaint(&mut self) {
        self.needs_repaint = true;
    }

    /// Draws a frame of this size.
    pub(super) fn draw(&mut self, size: Size, frame: impl FnOnce(&mut Buffer)) -> io::Result<()> {
        let area = Rect::new(0, 0, size.width, size.height);
        self.next.resize(area);
        self.next.reset();
        frame(&mut self.next);
        self.out.write_all(BEGIN)?;
        if self.needs_repaint || self.shown.area != area {
            queue!(self.out, Clear(ClearType::All))?;
            self.shown = Buffer::empty(area);
        }
        self.out.draw(self.shown.diff(&self.next).into_iter())?;
        self.out.write_all(END)?;
        Write::flush(&mut self.out)?;
        self.needs_repaint = false;
        mem::swap(&mut self.shown, &mut self.next);
        Ok(())
    }

    /// Copies a text to the clipboard (OSC 52), in base64, so nothing in it is interpreted.
    pub(super) fn copy(&mut self, text: &str) -> io::Result<()> {
        queue!(self.out, CopyToClipboard::to_clipboard_from(text))?;
        Write::flush(&mut self.out)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use ratatui::style::Style;

    use super::*;

    const SIZE: Size = Size { width: 20, height: 3 };

    /// Records what is written.
    #[derive(Clone, Default)]
    struct Recorder(Rc<RefCell<Vec<u8>>>);

    impl Write for Recorder {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Recorder {
        fn take(&self) -> String {
            String::from_utf8(mem::take(&mut *self.0.borrow_mut())).unwrap()
        }
    }

    fn canvas() -> (Canvas<Recorder>, Recorder) {
        let written = Recorder::default();
        (Canvas::new(written.clone()), written)
    }

    fn text(text: &'static str) -> impl FnOnce(&mut Buffer) {
        move |buffer| buffer.set_string(0, 1, text, Style::new())
    }

    #[test]
    fn a_frame_is_one_synchronized_update_of_what_changed() {
        let (mut canvas, written) = canvas();
        canvas.draw(SIZE, text("alice-bob")).unwrap();
        let first = written.take();
        assert!(
            first.starts_with("\x1b[?2026h\x1b[2J") && first.ends_with("\x1b[?2026l"),
            "{first:?}"
        );
        assert!(first.contains("alice-bob"), "{first:?}");
        canvas.draw(SIZE, text("alice-bot")).unwrap();
        let second = written.take();
        assert!(second.starts_with("\x1b[?2026h\x1b[2;9Ht"), "{second:?}");
        assert!(second.ends_with("\x1b[?2026l"), "{second:?}");
        assert!(!second.contains("alice") && !second.contains("\x1b[2J"), "{second:?}");
    }

    #[test]
    fn a_repaint_or_a_resize_draws_all_without_terminal_queries() {
        let (mut canvas, written) = canvas();
        canvas.draw(SIZE, text("alice")).unwrap();
        written.take();
        canvas.repaint();
        canvas.draw(SIZE, text("alice")).unwrap();
        let anew = written.take();
        assert!(anew.contains("\x1b[2J") && anew.contains("alice"), "{anew:?}");
        canvas.draw(SIZE, text("alice")).unwrap();
        assert!(!written.take().contains("alice"));
        let smaller = Size { width: 10, height: 2 };
        canvas.draw(smaller, text("alice")).unwrap();
        let smaller = written.take();
        assert!(smaller.contains("\x1b[2J") && smaller.contains("alice"), "{smaller:?}");
        for question in ["\x1b[6n", "\x1b[c", "\x1b[?u"] {
            assert!(!anew.contains(question) && !smaller.contains(question));
        }
    }

    #[test]
    fn a_screen_of_any_small_size_is_drawn() {
        let (mut canvas, written) = canvas();
        for (width, height) in [(1, 1), (0, 0), (1, 0)] {
            canvas.draw(Size { width, height }, |_| {}).unwrap();
            assert!(written.take().ends_with("\x1b[?2026l"));
        }
    }

    #[test]
    fn a_copied_text_is_sent_as_base64() {
        let (mut canvas, written) = canvas();
        canvas.copy("al\x1b]52;c;!\x07ice\x1b\\").unwrap();
        let copied = written.take();
        let inside = copied
            .strip_prefix("\x1b]52;c;")
            .and_then(|rest| rest.strip_suffix("\x1b\\").or_else(|| rest.strip_suffix("\x07")));
        let inside = inside.unwrap_or_else(|| panic!("{copied:?}"));
        assert_eq!(inside, "YWwbXTUyO2M7IQdpY2UbXA==");
    }
}
