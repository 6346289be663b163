//! Whether a node answers at any time: it is asked again and again by a thread that does nothing else, and the longest answer is
//! kept: by the clock, beyond what the machine took from every program meanwhile ([`Control`]), and in the CPU time that the node
//! used meanwhile. On a machine that does other work too, the first says little: the second is what a client waits for on a machine
//! that has a processor for it, the third is what others had to wait for, at most, if the node had the machine for itself.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::Daemon;
use crate::clock::Stopwatch;
use crate::control::Control;
use crate::keep_alive::KeepAlive;
use crate::process::Process;
use crate::wait::Ticker;

const ASKED_EVERY: Duration = Duration::from_millis(20);
const WRITTEN_EVERY: Duration = Duration::from_millis(50);

/// The longest answers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Longest {
    pub waited: Duration,
    /// The longest without the time by which the control was late meanwhile.
    pub beyond: Duration,
    /// The most CPU that the node used during an answer.
    pub own_cpu: Duration,
    /// The longest delay of the control.
    pub control: Duration,
}

impl Longest {
    /// The longest of each.
    pub fn max(self, other: Self) -> Self {
        Self {
            waited: self.waited.max(other.waited),
            beyond: self.beyond.max(other.beyond),
            own_cpu: self.own_cpu.max(other.own_cpu),
            control: self.control.max(other.control),
        }
    }
}

impl fmt::Display for Longest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the longest answer of a node {:.1?}, {:.1?} beyond what the machine took, with at most {:.1?} of its CPU (the control \
             was up to {:.1?} late)",
            self.waited, self.beyond, self.own_cpu, self.control
        )
    }
}

/// Asks a node, until this is dropped. Then nothing is asked any more, and the node may be stopped.
#[derive(Debug)]
pub struct Responsiveness {
    longest: Arc<Mutex<Longest>>,
    control: Arc<Control>,
    is_over: Arc<AtomicBool>,
    /// None once it is over.
    thread: Option<JoinHandle<()>>,
}

impl Responsiveness {
    /// Reads the records of these users in turn: of as many that all partitions are among theirs.
    pub fn watch(node: &Daemon, users: Vec<String>) -> Self {
        Self::start(
            node,
            ASKED_EVERY,
            users,
            async |connection: &mut KeepAlive, user: &str| {
                connection.record(user).await;
            },
        )
    }

    /// Sets custom statuses of these users in turn: of as many that none is set too often.
    pub fn watch_writes(node: &Daemon, users: Vec<String>) -> Self {
        Self::start(
            node,
            WRITTEN_EVERY,
            users,
            async |connection: &mut KeepAlive, user: &str| {
                connection.set_custom_status(user, "DO_NOT_DISTURB").await;
            },
        )
    }

    fn start(
        node: &Daemon,
        every: Duration,
        users: Vec<String>,
        request: impl AsyncFn(&mut KeepAlive, &str) + Send + 'static,
    ) -> Self {
        let (address, secret, process) = (node.address(), node.secret(), node.process());
        let control = Arc::new(Control::start());
        let (longest, is_over) = (Arc::<Mutex<Longest>>::default(), Arc::<AtomicBool>::default());
        let (kept, stop, late) = (Arc::clone(&longest), Arc::clone(&is_over), Arc::clone(&control));
        let ask = async move || {
            let mut connection = KeepAlive::connect_to(address, secret).await;
            let mut ticker = Ticker::every(every);
            for user in users.iter().cycle() {
                ticker.next().await;
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let answer = measure(process, &late, request(&mut connection, user)).await;
                let mut longest = kept.lock().unwrap();
                *longest = longest.max(answer);
            }
        };
        // Not behind what else the program does.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        Self {
            longest,
            control,
            is_over,
            thread: Some(std::thread::spawn(move || runtime.block_on(ask()))),
        }
    }

    /// Takes the longest answers since the last time. Fails if the node ceased to answer.
    pub fn take_longest(&self) -> Longest {
        let is_asking = self.thread.as_ref().is_some_and(|thread| !thread.is_finished());
        assert!(is_asking, "the node ceased to answer");
        let longest = std::mem::take(&mut *self.longest.lock().unwrap());
        Longest {
            control: self.control.take_longest(),
            ..longest
        }
    }
}

async fn measure<T>(process: Process, control: &Control, asking: impl Future<Output = T>) -> Longest {
    let before = process.exact_cpu_time();
    let (asked, late) = (Stopwatch::start(), control.late());
    asking.await;
    let waited = asked.elapsed();
    Longest {
        waited,
        beyond: waited.saturating_sub(control.late().saturating_sub(late)),
        own_cpu: process.exact_cpu_time().saturating_sub(before),
        control: Duration::ZERO,
    }
}

impl Drop for Responsiveness {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was told when it came.
            thread.join().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_node_is_asked_nothing_once_nobody_watches_it() {
        let node = Daemon::start(&[]).await;
        let watched = Responsiveness::watch(&node, vec!["ann".to_owned()]);
        // The thread that asks keeps the longest answers.
        let kept = Arc::downgrade(&watched.longest);
        drop(watched);
        assert_eq!(kept.strong_count(), 0);
    }
}
