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
const SAID: &str = "this-is-what-broke";
/// Far more than are drawn before another thread has panicked.
const PICTURES_MAX: usize = 1_000_000;

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
        let ours = terminal.try_clone().unwrap();
        let mut output = File::from(master);
        let read = thread::spawn(move || {
            let mut bytes = Vec::new();
            // Ends with an error when the other side is closed.
            let _ = output.read_to_end(&mut bytes);
            String::from_utf8(bytes).unwrap()
        });
        (Self { terminal: ours, read }, terminal)
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
fn ended(how: &str, test: &str) -> (String, bool) {
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
    assert_eq!(after, before, "{how}: the driver is as it was");
    drop(pty.terminal);
    (pty.read.join().unwrap(), status.success())
}

/// The child process.
fn enter_and_end(how: &str) {
    let mut screen = Screen::enter(channel().1).unwrap();
    let picture = |buffer: &mut Buffer| buffer.set_string(0, 0, "a-picture", Style::new());
    screen.draw(picture).unwrap();
    match how {
        "dropped" => drop(screen),
        "impatient" => {
            // A previous program may leave the terminal in this mode.
            let flags = rustix::fs::fcntl_getfl(io::stdout()).unwrap() | OFlags::NONBLOCK;
            rustix::fs::fcntl_setfl(io::stdout(), flags).unwrap();
            for number in 0..2_000 {
                screen.repaint();
                let line = format!("{number:040}");
                let picture = |buffer: &mut Buffer| (0..10).for_each(|y| buffer.set_string(0, y, &line, Style::new()));
                screen.draw(picture).unwrap();
            }
        }
        "here" => panic!("{SAID}"),
        "in a picture" => screen.draw(|_| panic!("{SAID}")).unwrap(),
        "elsewhere" => {
            let elsewhere = thread::spawn(|| panic!("{SAID}"));
            // As the dashboard does: it draws until that fails.
            let told = (0..PICTURES_MAX).find_map(|_| {
                screen.repaint();
                screen.draw(picture).err()
            });
            let told = told.expect("it draws no more");
            assert!(elsewhere.join().is_err());
            assert!(told.to_string().contains("stands above"), "{told}");
            assert!(
                screen.stop().is_err() && screen.resume().is_err(),
                "nothing enters again"
            );
            drop(screen);
        }
        how => unreachable!("{how}"),
    }
}

/// The modes were restored completely before any other output.
fn is_left(sent: &str) -> &str {
    let (before, rest) = sent
        .split_once(ENTER)
        .unwrap_or_else(|| panic!("never entered: {sent:?}"));
    assert!(!before.contains('\x1b'), "{before:?}");
    let (pictures, after) = rest.split_once(LEAVE).unwrap_or_else(|| panic!("never left: {sent:?}"));
    assert!(pictures.contains("a-picture"), "{pictures:?}");
    assert!(!after.contains('\x1b'), "nothing follows that could act: {after:?}");
    assert!(
        !after.contains("a-picture"),
        "nothing of a picture is in the shell: {after:?}"
    );
    after
}

#[test]
fn the_terminal_is_restored_on_drop() {
    if let Ok(how) = std::env::var(CHILD) {
        return enter_and_end(&how);
    }
    let (sent, is_well) = ended("dropped", "the_terminal_is_restored_on_drop");
    assert!(is_well, "{sent}");
    is_left(&sent);
}

#[test]
fn a_non_blocking_terminal_gets_every_frame() {
    let test = "a_non_blocking_terminal_gets_every_frame";
    if let Ok(how) = std::env::var(CHILD) {
        return enter_and_end(&how);
    }
    let (sent, is_well) = ended("impatient", test);
    assert!(is_well, "{}", &sent[sent.len().saturating_sub(2000)..]);
    assert!(is_left(&sent).contains("ok") && sent.contains("01999"));
}

#[test]
fn a_panic_restores_the_terminal_before_its_message() {
    if let Ok(how) = std::env::var(CHILD) {
        return enter_and_end(&how);
    }
    for how in ["here", "in a picture"] {
        let (sent, is_well) = ended(how, "a_panic_restores_the_terminal_before_its_message");
        assert!(!is_well, "{how}: {sent}");
        assert!(is_left(&sent).contains(SAID), "{how}: {sent:?}");
    }
}

#[test]
fn a_panic_on_another_thread_restores_and_stops_drawing() {
    if let Ok(how) = std::env::var(CHILD) {
        return enter_and_end(&how);
    }
    for _ in 0..5 {
        let (sent, is_well) = ended("elsewhere", "a_panic_on_another_thread_restores_and_stops_drawing");
        assert!(is_well, "{sent}");
        assert!(is_left(&sent).contains(SAID), "{sent:?}");
    }
}
