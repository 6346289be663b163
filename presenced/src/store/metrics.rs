//! The store's part of `/metrics`. No user id ever becomes a label.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// The store's metrics. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct StoreMetrics {
    /// Requests that shared one commit.
    pub(super) commit_requests: Histogram,
    /// From the beginning of a transaction to the end of its commit.
    pub(super) commit_seconds: Histogram,
    /// Requests to write that wait for the writer.
    pub(super) writes_waiting: Gauge,
    /// Requests to read that wait for a reader.
    pub(super) reads_waiting: Gauge,
    /// Failures of requests, transactions and checkpoints.
    failures: Family<FailureLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    kind: FailureKind,
}

/// The `kind` of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(super) enum FailureKind {
    /// Another process held the database for too long.
    Locked,
    /// The disk is full, or the file may not grow.
    Full,
    /// The file or its directory may not be written.
    ReadOnly,
    /// Any other error of the disk, or of the database server.
    Io,
    /// The database server can't be reached, or lets nobody in.
    Unreachable,
    /// Another node wrote the same users at the same time, several times in a row.
    Conflict,
    /// The disk didn't keep what it had taken: no writing until the next start.
    Fsync,
    /// The file is damaged: no writing until the next start.
    Damaged,
    /// Committed frames of the log are gone or not as written: no writing until the next start.
    Log,
    /// The file or its log was removed or replaced while it was open: no writing until the next start.
    Moved,
    /// One request that can't be stored, whatever the state of the disk.
    Request,
    /// A queue was full.
    Overloaded,
    /// A write was not answered within its caller's deadline.
    Late,
}

impl FailureKind {
    const ALL: [Self; 13] = [
        Self::Locked,
        Self::Full,
        Self::ReadOnly,
        Self::Io,
        Self::Unreachable,
        Self::Conflict,
        Self::Fsync,
        Self::Damaged,
        Self::Log,
        Self::Moved,
        Self::Request,
        Self::Overloaded,
        Self::Late,
    ];
}

impl StoreMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            commit_requests: Histogram::new(exponential_buckets(1.0, 2.0, 12)),
            commit_seconds: Histogram::new(exponential_buckets(0.000_1, 2.0, 16)),
            writes_waiting: Gauge::default(),
            reads_waiting: Gauge::default(),
            failures: Family::default(),
        };
        registry.register(
            "store_commit_requests",
            "Requests that shared one commit",
            metrics.commit_requests.clone(),
        );
        registry.register_with_unit(
            "store_commit",
            "Time from the beginning of a transaction to the end of its commit",
            Unit::Seconds,
            metrics.commit_seconds.clone(),
        );
        registry.register(
            "store_writes_waiting",
            "Requests that wait for the writer",
            metrics.writes_waiting.clone(),
        );
        registry.register(
            "store_reads_waiting",
            "Requests that wait for a reader",
            metrics.reads_waiting.clone(),
        );
        registry.register(
            "store_failures",
            "Failures of the store by kind",
            metrics.failures.clone(),
        );
        // Present from the start, so that an alert can tell 0 from no data.
        for kind in FailureKind::ALL {
            drop(metrics.failures.get_or_create(&FailureLabels { kind }));
        }
        metrics
    }

    pub(super) fn failed(&self, kind: FailureKind) {
        self.failures.get_or_create(&FailureLabels { kind }).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_kind_is_exported_before_it_happens() {
        let mut registry = Registry::default();
        let _metrics = StoreMetrics::register(&mut registry);
        let mut figures = String::new();
        prometheus_client::encoding::text::encode(&mut figures, &registry).expect("figures");
        for kind in FailureKind::ALL {
            let figure = format!("store_failures_total{{kind=\"{kind:?}\"}} 0\n");
            assert!(figures.contains(&figure), "{figure}{figures}");
        }
    }
}
