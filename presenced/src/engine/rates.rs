//! How fast things happen: counters, and what they were over the last ten seconds.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use presence::Mono;
use presence::wire::rest::RateStats;

/// Over how many samples, one a second, rates are told.
const SAMPLES: usize = 11;

/// Counters that only grow.
#[derive(Default)]
pub(crate) struct Rates {
    /// Published changes.
    pub(crate) changes: AtomicU64,
    /// Records delivered.
    pub(crate) deliveries: AtomicU64,
    /// Connections made.
    pub(crate) connects: AtomicU64,
    samples: Mutex<VecDeque<(Mono, [u64; 3])>>,
}

impl Rates {
    /// Remembers the counters, once a second however often it is called.
    pub(crate) fn sample(&self, now: Mono) {
        let mut samples = self.samples.lock();
        if samples
            .back()
            .is_some_and(|(at, _)| now.since(*at) < Duration::from_secs(1))
        {
            return;
        }
        if samples.len() == SAMPLES {
            samples.pop_front();
        }
        samples.push_back((now, self.counters()));
    }

    /// Per second, over the samples there are.
    pub(crate) fn stats(&self) -> RateStats {
        let samples = self.samples.lock();
        let (Some((first_at, first)), Some((last_at, last))) = (samples.front(), samples.back()) else {
            return RateStats::default();
        };
        let seconds = last_at.since(*first_at).as_secs_f64();
        let rate = |index: usize| {
            if seconds > 0.0 {
                (last[index] - first[index]) as f64 / seconds
            } else {
                0.0
            }
        };
        RateStats {
            changes_per_second: rate(0),
            deliveries_per_second: rate(1),
            connects_per_second: rate(2),
        }
    }

    fn counters(&self) -> [u64; 3] {
        [&self.changes, &self.deliveries, &self.connects].map(|counter| counter.load(Ordering::Relaxed))
    }
}
