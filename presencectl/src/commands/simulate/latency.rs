//! A latency histogram with buckets that are at most 1.6 % wide. Pure.

use std::time::Duration;

use serde::Serialize;

/// Buckets per doubling, as a power of two: a bucket's width is at most a 64th of its value.
const SUB_BITS: u32 = 6;
const SUBS: u64 = 1 << SUB_BITS;
/// The range is 2^36 µs, 19 hours; longer latencies count as that.
const DOUBLINGS: u32 = 36;

#[derive(Debug, Clone)]
pub(super) struct Latencies {
    buckets: Vec<u64>,
    count: u64,
    max_micros: u64,
}

/// The summary of a histogram, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Percentiles {
    pub(super) count: u64,
    pub(super) p50_ms: f64,
    pub(super) p90_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self {
            buckets: vec![0; bucket_of(1 << DOUBLINGS) + 1],
            count: 0,
            max_micros: 0,
        }
    }
}

impl Latencies {
    pub(super) fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.max_micros = self.max_micros.max(micros);
        self.count += 1;
        if let Some(bucket) = self.buckets.get_mut(bucket_of(micros.min(1 << DOUBLINGS))) {
            *bucket += 1;
        }
    }

    pub(super) fn percentiles(&self) -> Percentiles {
        Percentiles {
            count: self.count,
            p50_ms: self.percentile_ms(50),
            p90_ms: self.percentile_ms(90),
            p99_ms: self.percentile_ms(99),
            max_ms: millis(self.max_micros),
        }
    }

    /// The smallest latency that `percent` of all don't exceed; 0 if there are none.
    fn percentile_ms(&self, percent: u64) -> f64 {
        let rank = (self.count * percent).div_ceil(100);
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank && seen > 0 {
                return millis(top_of(index as u64).min(self.max_micros));
            }
        }
        0.0
    }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of a run fit into 53 bits")]
fn millis(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

#[expect(clippy::cast_possible_truncation, reason = "below 64 * 37")]
const fn bucket_of(micros: u64) -> usize {
    if micros < SUBS {
        return micros as usize;
    }
    let doubling = micros.ilog2() - SUB_BITS;
    (doubling as usize + 1) * SUBS as usize + ((micros >> doubling) - SUBS) as usize
}

/// The highest value in a bucket.
const fn top_of(index: u64) -> u64 {
    if index < SUBS {
        return index;
    }
    let doubling = index / SUBS - 1;
    ((index % SUBS + SUBS + 1) << doubling) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(micros: impl IntoIterator<Item = u64>) -> Percentiles {
        let mut latencies = Latencies::default();
        for micros in micros {
            latencies.record(Duration::from_micros(micros));
        }
        latencies.percentiles()
    }

    #[test]
    fn every_value_is_in_a_narrow_bucket_that_contains_it() {
        for micros in (0..5000).chain((12..36).flat_map(|bits| [(1 << bits) - 1, 1 << bits, (1 << bits) + 1])) {
            let top = top_of(bucket_of(micros) as u64);
            assert!(
                top >= micros && (top - micros) * SUBS <= micros,
                "{micros} in a bucket up to {top}"
            );
        }
    }

    #[test]
    fn percentiles_match_those_of_the_sorted_list() {
        let percentiles = of(1..=100);
        assert_eq!((percentiles.count, percentiles.max_ms), (100, 0.1));
        for (found, exact) in [
            (percentiles.p50_ms, 0.050),
            (percentiles.p90_ms, 0.090),
            (percentiles.p99_ms, 0.099),
        ] {
            assert!(found >= exact && found <= exact * 1.02, "{found} for {exact}");
        }
    }

    #[test]
    fn an_outlier_is_the_maximum_and_bounds_the_percentiles() {
        let percentiles = of([vec![1000; 99], vec![9_999_999]].concat());
        assert!(percentiles.p99_ms < 1.02, "{percentiles:?}");
        assert_eq!(percentiles.max_ms, 9999.999);
        let single = of([1234]);
        assert_eq!(single.p50_ms, 1.234);
        assert_eq!(single.max_ms, 1.234);
    }

    #[test]
    fn an_empty_histogram_is_zero_and_huge_values_are_bounded() {
        assert_eq!(
            of([]),
            Percentiles {
                count: 0,
                p50_ms: 0.0,
                p90_ms: 0.0,
                p99_ms: 0.0,
                max_ms: 0.0
            }
        );
        assert_eq!(of([u64::MAX]).count, 1);
    }
}
