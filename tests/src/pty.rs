//! A program on its own pseudoterminal, with the time of every frame that it completes. For measurements: it needs far
//! less CPU than tmux, and a frame is seen the moment it is complete.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::sync::watch;

use crate::clock::Stopwatch;
use crate::process::Process;
use crate::wait::{wait_until, within_deadline};

/// The markers of synchronized output, around each frame.
const BEGIN: &[u8] = b"\x1b[?2026h";
const END: &[u8] = b"\x1b[?2026l";

/// The screen so far.
struct ScreenState {
    screen: vt100::Parser,
    /// When each frame was complete.
    frames: Vec<Duration>,
    /// The number of frames that were begun.
    begun: usize,
    bytes: u64,
}

/// A running program. Killed when dropped.
pub struct Pty {
    child: Child,
    keys: File,
    clock: Stopwatch,
    drawn: Arc<Mutex<ScreenState>>,
    frames_drawn: watch::Receiver<usize>,
}

impl Pty {
    /// Starts the program on a terminal of this size, in its own session, so that this is its controlling terminal.
    pub fn start(program: &Command, width: u16, height: u16) -> Self {
        let (master, slave) = open(width, height);
        let mut command = Command::new("setsid");
        command
            .arg("--ctty")
            .arg(program.get_program())
            .args(program.get_args());
        command.env_clear();
        for (name, value) in program.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command.env("TERM", "xterm-256color");
        command.current_dir(program.get_current_dir().unwrap());
        command.stdin(Stdio::from(slave.try_clone().unwrap()));
        command.stdout(Stdio::from(slave.try_clone().unwrap()));
        command.stderr(Stdio::from(slave));
        let child = command.spawn().unwrap();
        let drawn = Arc::new(Mutex::new(ScreenState {
            screen: vt100::Parser::new(height.try_into().unwrap(), width.try_into().unwrap(), 0),
            frames: Vec::new(),
            begun: 0,
            bytes: 0,
        }));
        let (told, frames_drawn) = watch::channel(0);
        let clock = Stopwatch::start();
        let keys = File::from(master.try_clone().unwrap());
        let mut output = File::from(master);
        let seen = Arc::clone(&drawn);
        std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            let mut rest = Vec::new();
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                rest.extend_from_slice(&buffer[..length]);
                let mut drawn = seen.lock().unwrap();
                drawn.take(&mut rest, clock);
                told.send_replace(drawn.frames.len());
            }
        });
        Self {
            child,
            keys,
            clock,
            drawn,
            frames_drawn,
        }
    }

    pub fn process(&self) -> Process {
        Process::of(self.child.id())
    }

    /// Writes the bytes of keys and returns the time.
    pub fn press(&mut self, keys: &[u8]) -> Duration {
        let at = self.clock.elapsed();
        self.keys.write_all(keys).unwrap();
        at
    }

    /// Waits for a frame that satisfies the condition and returns when it was complete.
    pub async fn until(&mut self, what: &str, is_such: impl Fn(&vt100::Screen) -> bool) -> Duration {
        self.until_after(Duration::ZERO, what, is_such).await
    }

    /// Waits for such a frame that was complete after the given time.
    pub async fn until_after(
        &mut self,
        moment: Duration,
        what: &str,
        is_such: impl Fn(&vt100::Screen) -> bool,
    ) -> Duration {
        loop {
            self.frames_drawn.borrow_and_update();
            {
                let drawn = self.drawn.lock().unwrap();
                if let Some(at) = drawn.frames.last()
                    && *at > moment
                    && is_such(drawn.screen.screen())
                {
                    return *at;
                }
            }
            let changed = within_deadline(what, self.frames_drawn.changed()).await;
            if changed.is_err() {
                panic!("it ended: {what}\n{}", self.text());
            }
        }
    }

    /// Reads the current screen.
    pub fn with_screen<T>(&self, look: impl FnOnce(&vt100::Screen) -> T) -> T {
        look(self.drawn.lock().unwrap().screen.screen())
    }

    /// The text of the current screen.
    pub fn text(&self) -> String {
        self.with_screen(vt100::Screen::contents)
    }

    /// When each frame so far was complete.
    pub fn frames(&self) -> Vec<Duration> {
        self.drawn.lock().unwrap().frames.clone()
    }

    /// The number of frames begun and of bytes written.
    pub fn written(&self) -> (usize, u64) {
        let drawn = self.drawn.lock().unwrap();
        (drawn.begun, drawn.bytes)
    }

    /// Writes the keys and waits for a successful exit.
    pub async fn quit(mut self, keys: &[u8]) {
        self.press(keys);
        let status = wait_until("the program ends", async || self.child.try_wait().unwrap()).await;
        assert!(status.success(), "{status}");
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("--- the screen ---\n{}\n--- end of the screen ---", self.text());
        }
    }
}

impl ScreenState {
    /// Processes complete frames and leaves an incomplete one in `rest`.
    fn take(&mut self, rest: &mut Vec<u8>, clock: Stopwatch) {
        self.bytes += rest.len() as u64;
        let mut from = 0;
        while let Some(length) = position(&rest[from..], END) {
            let until = from + length + END.len();
            self.begun += count(&rest[from..until], BEGIN);
            self.screen.process(&rest[from..until]);
            self.frames.push(clock.elapsed());
            from = until;
        }
        rest.drain(..from);
        self.bytes -= rest.len() as u64;
    }
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn count(bytes: &[u8], wanted: &[u8]) -> usize {
    bytes.windows(wanted.len()).filter(|window| *window == wanted).count()
}

fn open(width: u16, height: u16) -> (OwnedFd, OwnedFd) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let size = Winsize {
        ws_row: height,
        ws_col: width,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(master.as_fd(), size).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let slave = rustix::fs::open(name, flags, Mode::empty()).unwrap();
    (master, slave)
}
