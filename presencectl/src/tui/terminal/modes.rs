//! The terminal's modes: entered and restored, from any thread and after any failure. After they are restored this
//! process writes nothing more to the terminal.

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

/// Alternate screen, no cursor, mouse clicks and wheel with SGR coordinates, bracketed paste.
pub(super) const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?1000h\x1b[?1006h\x1b[?2004h";
/// The reverse. Colours and an unfinished synchronized update end as well.
pub(super) const LEAVE: &str = "\x1b[?2026l\x1b[0m\x1b[?2004l\x1b[?1006l\x1b[?1000l\x1b[?25h\x1b[?1049l";
/// How long a terminal that accepts no output may delay the restore.
const OUTPUT_TIMEOUT: Duration = Duration::from_millis(300);
/// The poll interval of a lock.
const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Whether the terminal is in the dashboard's modes.
static IS_ENTERED: AtomicBool = AtomicBool::new(false);
/// Whether any thread panicked. After that the modes must not be entered, or the panic message would be lost.
static HAS_PANICKED: AtomicBool = AtomicBool::new(false);
/// Held while writing or changing modes, so that outputs don't interleave.
static WRITING: Mutex<()> = Mutex::new(());

/// Installs a panic hook that restores the terminal before the message is printed.
pub(super) fn install_panic_hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if IS_ENTERED.load(Ordering::SeqCst) {
                HAS_PANICKED.store(true, Ordering::SeqCst);
                leave();
            }
            previous(info);
        }));
    });
}

pub(super) fn enter() -> io::Result<()> {
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    if HAS_PANICKED.load(Ordering::SeqCst) {
        return Err(panicked());
    }
    enable_raw_mode()?;
    IS_ENTERED.store(true, Ordering::SeqCst);
    write_with_timeout(ENTER);
    Ok(())
}

/// Enters the modes although they should be set: another program may have changed them.
pub(super) fn reenter() -> io::Result<()> {
    check_entered()?;
    let writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    // `enable_raw_mode` does nothing if it is enabled already.
    disable_raw_mode()?;
    drop(writing);
    enter()
}

/// Restores the terminal; further calls do nothing.
pub(crate) fn leave() {
    let _writing = lock_with_timeout();
    if IS_ENTERED.swap(false, Ordering::SeqCst) {
        write_with_timeout(LEAVE);
        // Pending mouse input would be typed into the shell.
        let _ = tcflush(io::stdin(), QueueSelector::IFlush);
        let _ = disable_raw_mode();
    }
}

/// Fails if the terminal was restored because a thread panicked.
pub(super) fn check_entered() -> io::Result<()> {
    if IS_ENTERED.load(Ordering::SeqCst) {
        Ok(())
    } else {
        Err(panicked())
    }
}

fn panicked() -> io::Error {
    io::Error::other("another thread panicked; see the message above")
}

/// A panicking thread holds the lock only briefly, unless the terminal accepts no output: then restoring matters more
/// than the order.
fn lock_with_timeout() -> Option<MutexGuard<'static, ()>> {
    let attempts = OUTPUT_TIMEOUT.as_millis() / LOCK_POLL_INTERVAL.as_millis();
    for _ in 0..attempts {
        match WRITING.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => thread::park_timeout(LOCK_POLL_INTERVAL),
        }
    }
    None
}

/// Bypasses the lock and the buffer of stdout, which the panicking thread may hold. Gives up if the terminal accepts no
/// output.
fn write_with_timeout(text: &str) {
    let stdout = io::stdout();
    let mut rest = text.as_bytes();
    while !rest.is_empty() && wait_writable(&stdout) {
        match rustix::io::write(stdout.as_fd(), rest) {
            Ok(count) if count > 0 => rest = &rest[count..],
            Err(Errno::INTR) => {}
            _ => return,
        }
    }
}

fn wait_writable(stdout: &io::Stdout) -> bool {
    let limit = Timespec {
        tv_sec: 0,
        tv_nsec: i64::from(OUTPUT_TIMEOUT.subsec_nanos()),
    };
    loop {
        let mut polled = [PollFd::new(stdout, PollFlags::OUT)];
        match rustix::event::poll(&mut polled, Some(&limit)) {
            Err(Errno::INTR) => {}
            result => return result.is_ok_and(|ready| ready > 0),
        }
    }
}

/// Stdout while the terminal is in the dashboard's modes. After that output is discarded: a partial frame would be left
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
                // Another process with the same terminal may have set it to non-blocking.
                Err(Errno::AGAIN) => {
                    wait_writable(&io::stdout());
                }
                result => return Ok(result?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
