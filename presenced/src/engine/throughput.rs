//! How fast things happen: counters, and what they were over the last ten seconds.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use presence::Mono;
use presence::wire::rest::RateStats;

/// Samples, one a second, over which rates are computed.
const SAMPLES: usize = 11;

/// Counters that only grow.
#[derive(Default)]
pub(crate) struct Throughput {
    changes: AtomicU64,
    deliveries: AtomicU64,
    connects: AtomicU64,
    /// Between changes and their writes.
    lag: Lag,
    samples: Mutex<VecDeque<Sample>>,
}

/// Times between changes and their writes since the last sample, in microseconds.
#[derive(Default)]
struct Lag {
    sum: AtomicU64,
    count: AtomicU64,
    longest: AtomicU64,
}

/// What the counters were, and the lags of the second before.
struct Sample {
    at: Mono,
    counters: [u64; 3],
    lag_sum_micros: u64,
    lag_count: u64,
    lag_longest_micros: u64,
}

impl Throughput {
    /// A change was published.
    pub(crate) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Records were handed to a connection.
    pub(crate) fn records_delivered(&self, count: u64) {
        self.deliveries.fetch_add(count, Ordering::Relaxed);
    }

    /// A connection was made.
    pub(crate) fn connected(&self) {
        self.connects.fetch_add(1, Ordering::Relaxed);
    }

    /// Remembers the counters, once a second however often it is called.
    pub(crate) fn sample(&self, now: Mono) {
        let mut samples = self.samples.lock();
        if samples
            .back()
            .is_some_and(|last| now.since(last.at) < Duration::from_secs(1))
        {
            return;
        }
        if samples.len() == SAMPLES {
            samples.pop_front();
        }
        let take = |figure: &AtomicU64| figure.swap(0, Ordering::Relaxed);
        samples.push_back(Sample {
            at: now,
            counters: self.counters(),
            lag_sum_micros: take(&self.lag.sum),
            lag_count: take(&self.lag.count),
            lag_longest_micros: take(&self.lag.longest),
        });
    }

    /// What was still to be sent has been written, so long after the first change of it.
    pub(crate) fn delivered(&self, lag: Duration) {
        let micros = u64::try_from(lag.as_micros()).unwrap_or(u64::MAX);
        self.lag.sum.fetch_add(micros, Ordering::Relaxed);
        self.lag.count.fetch_add(1, Ordering::Relaxed);
        self.lag.longest.fetch_max(micros, Ordering::Relaxed);
    }

    /// Per second, over the samples there are.
    pub(crate) fn stats(&self) -> RateStats {
        let samples = self.samples.lock();
        let (Some(first), Some(last)) = (samples.front(), samples.back()) else {
            return RateStats::default();
        };
        let seconds = last.at.since(first.at).as_secs_f64();
        let rate = |index: usize| {
            if seconds > 0.0 {
                (last.counters[index] - first.counters[index]) as f64 / seconds
            } else {
                0.0
            }
        };
        // The first sample covers the second before the window.
        let lags = samples.iter().skip(1);
        let (sum, count) = lags.clone().fold((0_u64, 0_u64), |(sum, count), sample| {
            (sum.saturating_add(sample.lag_sum_micros), count + sample.lag_count)
        });
        let longest = lags.map(|sample| sample.lag_longest_micros).max().unwrap_or(0);
        RateStats {
            changes_per_second: rate(0),
            deliveries_per_second: rate(1),
            connects_per_second: rate(2),
            delivery_lag_seconds: sum as f64 / count.max(1) as f64 / 1e6,
            delivery_lag_max_seconds: longest as f64 / 1e6,
        }
    }

    fn counters(&self) -> [u64; 3] {
        [&self.changes, &self.deliveries, &self.connects].map(|counter| counter.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::from_millis(seconds * 1000)
    }

    #[test]
    fn rates_and_lags_cover_the_last_ten_seconds() {
        let rates = Throughput::default();
        assert_eq!(rates.stats(), RateStats::default());
        rates.sample(at(0));
        rates.changes.fetch_add(20, Ordering::Relaxed);
        rates.delivered(Duration::from_millis(1));
        rates.delivered(Duration::from_millis(3));
        rates.sample(at(1));
        rates.sample(at(2));
        let stats = rates.stats();
        assert_eq!((stats.changes_per_second, stats.connects_per_second), (10.0, 0.0));
        assert_eq!(
            (stats.delivery_lag_seconds, stats.delivery_lag_max_seconds),
            (0.002, 0.003)
        );
        (3..=11).for_each(|second| rates.sample(at(second)));
        assert_eq!(rates.stats(), RateStats::default(), "that is over");
    }

    #[test]
    fn a_second_is_sampled_once() {
        let rates = Throughput::default();
        rates.sample(at(0));
        rates.delivered(Duration::from_millis(5));
        rates.sample(Mono::from_millis(999));
        rates.sample(at(1));
        assert_eq!(rates.stats().delivery_lag_max_seconds, 0.005);
    }
}
