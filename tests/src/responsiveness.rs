//! Whether a node answers at any time: it is asked again and again, and the longest answer is kept, in time and in the CPU time
//! that the node used meanwhile. On a machine that does other work too, only the latter says what the node itself is to blame
//! for: it is what others had to wait for, at most, if the node had the machine for itself.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::Daemon;
use crate::clock::Stopwatch;
use crate::keep_alive::KeepAlive;
use crate::wait::Ticker;

const ASKED_EVERY: Duration = Duration::from_millis(20);

/// The longest answers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Longest {
    pub waited: Duration,
    /// The most CPU that the node used during an answer.
    pub own_cpu: Duration,
}

impl Longest {
    /// The longest of both.
    pub fn max(self, other: Self) -> Self {
        Self {
            waited: self.waited.max(other.waited),
            own_cpu: self.own_cpu.max(other.own_cpu),
        }
    }
}

/// Reads records of a node, until this is dropped.
#[derive(Debug)]
pub struct Responsiveness {
    longest: Arc<Mutex<Longest>>,
    task: JoinHandle<()>,
}

impl Responsiveness {
    /// Reads the records of these users in turn: of as many that all partitions are among theirs.
    pub async fn watch(node: &Daemon, users: Vec<String>) -> Self {
        let mut connection = KeepAlive::connect(node).await;
        let process = node.process();
        let longest = Arc::<Mutex<Longest>>::default();
        let kept = Arc::clone(&longest);
        let task = tokio::spawn(async move {
            let mut ticker = Ticker::every(ASKED_EVERY);
            for user in users.iter().cycle() {
                ticker.next().await;
                let (asked, before) = (Stopwatch::start(), process.exact_cpu_time());
                connection.record(user).await;
                let answer = Longest {
                    waited: asked.elapsed(),
                    own_cpu: process.exact_cpu_time().saturating_sub(before),
                };
                let mut longest = kept.lock().unwrap();
                *longest = longest.max(answer);
            }
        });
        Self { longest, task }
    }

    /// Takes the longest answers since the last time. Fails if the node ceased to answer.
    pub fn take_longest(&self) -> Longest {
        assert!(!self.task.is_finished(), "the node ceased to answer");
        std::mem::take(&mut self.longest.lock().unwrap())
    }
}

impl Drop for Responsiveness {
    fn drop(&mut self) {
        self.task.abort();
    }
}
