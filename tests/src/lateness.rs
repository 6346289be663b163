//! By how much the timers of this process are late over time: what happens meanwhile is late, too, and recorded late.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::clock::Stopwatch;
use crate::wait::late_by;

/// What was measured of it, until this is dropped.
#[derive(Debug)]
pub struct Lateness {
    /// When a timer was late, since the clock began, and by how much.
    late: Arc<Mutex<Vec<(Duration, Duration)>>>,
    task: JoinHandle<()>,
}

impl Drop for Lateness {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Lateness {
    /// Begins to measure.
    pub fn start(clock: Stopwatch) -> Self {
        let late = Arc::<Mutex<Vec<_>>>::default();
        let written = Arc::clone(&late);
        let task = tokio::spawn(async move {
            loop {
                let late = late_by().await;
                if !late.is_zero() {
                    written.lock().unwrap().push((clock.elapsed(), late));
                }
            }
        });
        Self { late, task }
    }

    /// The sum of what timers were late between these times: what was due at `from` and is recorded at `to` took so much less.
    pub fn between(&self, from: Duration, to: Duration) -> Duration {
        let late = self.late.lock().unwrap();
        let meant = late.iter().filter(|(at, _)| (from..=to).contains(at));
        meant.map(|(_, late)| *late).sum()
    }
}
