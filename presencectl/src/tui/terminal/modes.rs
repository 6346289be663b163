//! The terminal's modes: into those of the dashboard and out of them again, from any thread and whatever happened. Nothing is written
//! to a terminal that was left but by whoever comes after us.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError, TryLockError};
use std::thread;
use std::time::Duration;

use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::termios::{QueueSelector, tcflush};

/// Another screen, no cursor, clicks and the wheel with places beyond column 223, and pasted text marked as such.
pub(super) const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?1000h\x1b[?1006h\x1b[?2004h";
/// The same backwards. Colours and a picture that was not finished end as well.
pub(super) const LEAVE: &str = "\x1b[?2026l\x1b[0m\x1b[?2004l\x1b[?1006l\x1b[?1000l\x1b[?25h\x1b[?1049l";
/// How long a terminal that takes nothing may hold up whoever leaves it.
const PATIENCE: Duration = Duration::from_millis(300);
/// Between two looks at whether it takes something.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Whether the terminal is in the dashboard's modes.
static IS_ENTERED: AtomicBool = AtomicBool::new(false);
/// Whether something panicked, on whatever thread. Then nothing may enter any more: the panic's words would be lost.
static IS_BROKEN: AtomicBool = AtomicBool::new(false);
/// Held while something is written or the modes change, so that none gets between the bytes of another.
static WRITING: Mutex<()> = Mutex::new(());

/// From now on a panic, on whatever thread, leaves the terminal first and is told after that.
pub(super) fn leave_before_a_panic_is_told() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let told = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if IS_ENTERED.load(Ordering::SeqCst) {
                IS_BROKEN.store(true, Ordering::SeqCst);
                leave();
            }
            told(info);
        }));
    });
}

/// Enters.
pub(super) fn enter() -> io::Result<()> {
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    if IS_BROKEN.load(Ordering::SeqCst) {
        return Err(broken());
    }
    enable_raw_mode()?;
    IS_ENTERED.store(true, Ordering::SeqCst);
    write_with_patience(ENTER);
    Ok(())
}

/// Enters although it is entered: the modes may be those of somebody else.
pub(super) fn enter_again() -> io::Result<()> {
    is_still_ours()?;
    let writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    // What is entered already is not entered again.
    disable_raw_mode()?;
    drop(writing);
    enter()
}

/// Leaves, once however often it is called, and as far as the terminal is still there.
pub(crate) fn leave() {
    let _writing = lock_with_patience();
    if IS_ENTERED.swap(false, Ordering::SeqCst) {
        write_with_patience(LEAVE);
        // What the mouse did meanwhile would be typed into the shell.
        let _ = tcflush(io::stdin(), QueueSelector::IFlush);
        let _ = disable_raw_mode();
    }
}

/// # Errors
/// When something panicked elsewhere.
pub(super) fn is_still_ours() -> io::Result<()> {
    if IS_ENTERED.load(Ordering::SeqCst) {
        Ok(())
    } else {
        Err(broken())
    }
}

fn broken() -> io::Error {
    io::Error::other("another part of the dashboard broke; what it said stands above")
}

/// Whoever panicked holds no lock for long, unless the terminal takes nothing: then the modes are more important than the order.
fn lock_with_patience() -> Option<MutexGuard<'static, ()>> {
    let looks = PATIENCE.as_millis() / LOOK_EVERY.as_millis();
    for _ in 0..looks {
        match WRITING.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => thread::park_timeout(LOOK_EVERY),
        }
    }
    None
}

/// Past the lock and the buffer of stdout: whoever holds them may be the one that panicked. Given up where nothing is taken.
fn write_with_patience(text: &str) {
    let stdout = io::stdout();
    let mut rest = text.as_bytes();
    while !rest.is_empty() && takes_something(&stdout) {
        match rustix::io::write(stdout.as_fd(), rest) {
            Ok(count) if count > 0 => rest = &rest[count..],
            Err(Errno::INTR) => {}
            _ => return,
        }
    }
}

fn takes_something(stdout: &io::Stdout) -> bool {
    let patience = Timespec {
        tv_sec: 0,
        tv_nsec: i64::from(PATIENCE.subsec_nanos()),
    };
    loop {
        let mut polled = [PollFd::new(stdout, PollFlags::OUT)];
        match rustix::event::poll(&mut polled, Some(&patience)) {
            Err(Errno::INTR) => {}
            result => return result.is_ok_and(|ready| ready > 0),
        }
    }
}

/// Stdout for as long as the terminal is in the dashboard's modes. After that what is written vanishes: half a picture would stand
/// in the shell.
#[derive(Debug)]
pub(super) struct Tty;

impl Write for Tty {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if !IS_ENTERED.load(Ordering::SeqCst) {
                return Ok(bytes.len());
            }
            match rustix::io::write(io::stdout(), bytes) {
                Err(Errno::INTR) => {}
                // Somebody who has the terminal too wants no write to wait; this one does.
                Err(Errno::AGAIN) => {
                    takes_something(&io::stdout());
                }
                result => return Ok(result?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
