//! The terminal is restored however the program ends: this test program runs itself as a process on a pseudo terminal.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};

use ratatui::style::Style;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use super::modes::{ENTER, LEAVE};
use super::*;

/// Environment variable of the child process: how it ends.
const CHILD: &str = "PRESENCECTL_TEST_SCREEN";
const PANIC_MESSAGE: &str = "this-is-the-panic-message";
/// Far more than are drawn before another thread has panicked.
const FRAMES_MAX: usize = 1_000_000;

struct Pty {
    /// The only open descriptor here, so reading ends with the process.
    terminal: OwnedFd,
    read: JoinHandle<String>,
}

impl Pty {
    fn open() -> (Self, OwnedFd) {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let size = Winsize {
            ws_row: 10,
            ws_col: 40,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&master, size).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = rustix::fs::open(name, flags, Mode::empty()).unwrap();
        let kept = terminal.try_clone().unwrap();
        let mut output = File::from(master);
        let read = thread::spawn(move || {
            let mut bytes = Vec::new();
            // Ends with an error when the other side is closed.
            let _ = output.read_to_end(&mut bytes);
            String::from_utf8(bytes).unwrap()
        });
        (Self { terminal: kept, read }, terminal)
    }
}

/// The modes to compare.
fn modes(termios: &Termios) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        termios.input_modes,
        termios.output_modes,
        termios.control_modes,
        termios.local_modes,
    )
}

/// The output of a child process that ends in this way, and whether it succeeded.
fn run_in_pty(how: &str, test: &str) -> (String, bool) {
    let (pty, terminal) = Pty::open();
    let before = modes(&tcgetattr(&pty.terminal).unwrap());
    let mut command = Command::new("setsid");
    command
        .arg("--ctty")
        .arg("--wait")
        .arg(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("tui::terminal::tests::{test}"), "--nocapture"]);
    command.env(CHILD, how);
    command.stdin(Stdio::from(terminal.try_clone().unwrap()));
    command.stdout(Stdio::from(terminal.try_clone().unwrap()));
    command.stderr(Stdio::from(terminal));
    let mut child = command.spawn().unwrap();
    // It holds the terminal too.
    drop(command);
    let status = child.wait().unwrap();
    let after = modes(&tcgetattr(&pty.terminal).unwrap());
    assert_eq!(after, before, "{how}: the terminal modes are restored");
    drop(pty.terminal);
    (pty.read.join().unwrap(), status.success())
}

/// The child process.
fn run_child(how: &str) {
    let mut screen = Screen::enter(channel().1).unwrap();
    let frame = |buffer: &mut Buffer| buffer.set_string(0, 0, "a-frame", Style::new());
    screen.draw(frame).unwrap();
    match how {
        "dropped" => drop(screen),
        "non-blocking" => {
            // A previous program may leave the terminal in this mode.
            let flags = rustix::fs::fcntl_getfl(io::stdout()).unwrap() | OFlags::NONBLOCK;
            rustix::fs::fcntl_setfl(io::stdout(), flags).unwrap();
            for number in 0..2_000 {
                screen.repaint();
                let line = format!("{number:040}");
                let frame = |buffer: &mut Buffer| (0..10).for_each(|y| buffer.set_string(0, y, &line, Style::new()));
                screen.draw(frame).unwrap();
            }
        }
        "here" => panic!("{PANIC_MESSAGE}"),
        "in a frame" => screen.draw(|_| panic!("{PANIC_MESSAGE}")).unwrap(),
        "elsewhere" => {
            let elsewhere = thread::spawn(|| panic!("{PANIC_MESSAGE}"));
            // As the dashboard does: it draws until that fails.
            let error = (0..FRAMES_MAX).find_map(|_| {
                screen.repaint();
                screen.draw(frame).err()
            });
            let error = error.expect("drawing fails");
            assert!(elsewhere.join().is_err());
            assert!(error.to_string().contains("see the message above"), "{error}");
            assert!(
                screen.stop().is_err() && screen.resume().is_err(),
                "the modes are not entered again"
            );
            drop(screen);
        }
        how => unreachable!("{how}"),
    }
}

/// The modes were restored completely before any other output.
fn assert_restored(sent: &str) -> &str {
    let (before, rest) = sent
        .split_once(ENTER)
        .unwrap_or_else(|| panic!("modes not entered: {sent:?}"));
    assert!(!before.contains('\x1b'), "{before:?}");
    let (frames, after) = rest
        .split_once(LEAVE)
        .unwrap_or_else(|| panic!("modes not restored: {sent:?}"));
    assert!(frames.contains("a-frame"), "{frames:?}");
    assert!(
        !after.contains('\x1b'),
        "control sequences after the restore: {after:?}"
    );
    assert!(
        !after.contains("a-frame"),
        "part of a frame after the restore: {after:?}"
    );
    after
}

#[test]
fn the_terminal_is_restored_on_drop() {
    if let Ok(how) = std::env::var(CHILD) {
        return run_child(&how);
    }
    let (sent, is_success) = run_in_pty("dropped", "the_terminal_is_restored_on_drop");
    assert!(is_success, "{sent}");
    assert_restored(&sent);
}

#[test]
fn a_non_blocking_terminal_gets_every_frame() {
    let test = "a_non_blocking_terminal_gets_every_frame";
    if let Ok(how) = std::env::var(CHILD) {
        return run_child(&how);
    }
    let (sent, is_success) = run_in_pty("non-blocking", test);
    assert!(is_success, "{}", &sent[sent.len().saturating_sub(2000)..]);
    assert!(assert_restored(&sent).contains("ok") && sent.contains("01999"));
}

#[test]
fn a_panic_restores_the_terminal_before_its_message() {
    if let Ok(how) = std::env::var(CHILD) {
        return run_child(&how);
    }
    for how in ["here", "in a frame"] {
        let (sent, is_success) = run_in_pty(how, "a_panic_restores_the_terminal_before_its_message");
        assert!(!is_success, "{how}: {sent}");
        assert!(assert_restored(&sent).contains(PANIC_MESSAGE), "{how}: {sent:?}");
    }
}

#[test]
fn a_panic_on_another_thread_restores_and_stops_drawing() {
    if let Ok(how) = std::env::var(CHILD) {
        return run_child(&how);
    }
    for _ in 0..5 {
        let (sent, is_success) = run_in_pty("elsewhere", "a_panic_on_another_thread_restores_and_stops_drawing");
        assert!(is_success, "{sent}");
        assert!(assert_restored(&sent).contains(PANIC_MESSAGE), "{sent:?}");
    }
}
