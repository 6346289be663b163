//! A thread that does nothing but find out how late it is woken: what the machine takes from every program, whatever that
//! program does. What a client waited for a node beyond that is the node's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::Stopwatch;
use crate::wait::block_for;

/// How long it sleeps each time; a delay that falls between two of its moments is too short to matter.
const SLEEP: Duration = Duration::from_millis(1);
/// How late a wake-up is on an idle machine.
const IDLE_LATE: Duration = Duration::from_micros(200);

/// The thread. It ends when this is dropped.
#[derive(Debug)]
pub struct Control {
    kept: Arc<Kept>,
    thread: Option<JoinHandle<()>>,
}

/// All in nanoseconds.
#[derive(Debug)]
struct Kept {
    clock: Stopwatch,
    /// How late it was, in all.
    late: AtomicU64,
    longest: AtomicU64,
    /// When it is to be woken.
    due: AtomicU64,
    is_over: AtomicBool,
}

impl Kept {
    fn now(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_nanos()).unwrap()
    }

    fn run(&self) {
        while !self.is_over.load(Ordering::SeqCst) {
            let due = self.now() + nanos(SLEEP + IDLE_LATE);
            self.due.store(due, Ordering::SeqCst);
            block_for(SLEEP);
            let late = self.now().saturating_sub(due);
            self.late.fetch_add(late, Ordering::SeqCst);
            self.longest.fetch_max(late, Ordering::SeqCst);
        }
    }
}

impl Control {
    pub fn start() -> Self {
        let kept = Arc::new(Kept {
            clock: Stopwatch::start(),
            late: AtomicU64::new(0),
            longest: AtomicU64::new(0),
            due: AtomicU64::new(u64::MAX),
            is_over: AtomicBool::new(false),
        });
        let of_thread = Arc::clone(&kept);
        let thread = std::thread::spawn(move || of_thread.run());
        Self {
            kept,
            thread: Some(thread),
        }
    }

    /// How late it was so far, in all.
    pub fn late(&self) -> Duration {
        let overdue = self.kept.now().saturating_sub(self.kept.due.load(Ordering::SeqCst));
        Duration::from_nanos(self.kept.late.load(Ordering::SeqCst) + overdue)
    }

    /// The longest delay since the last time.
    pub fn take_longest(&self) -> Duration {
        Duration::from_nanos(self.kept.longest.swap(0, Ordering::SeqCst))
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.kept.is_over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap()
}
