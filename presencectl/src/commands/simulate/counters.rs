//! What happened, counted. Matches what watchers were told with the change it came from: by revision, since a delivery
//! may well arrive before the answer that names it. Pure: times come in.

use std::collections::BTreeMap;
use std::time::Instant;

use presence::Revision;

use super::latency::Latencies;

/// More kinds of errors than this are not told apart.
const ERROR_KINDS_MAX: usize = 32;
/// Deliveries remembered until the answer names their revision: one for each watcher there can be, in most runs.
const EARLY_MAX: usize = 4096;
/// So many of a hundred operations may go wrong in a run that counts as good.
const ERRORS_MAX_PERCENT: u64 = 1;

/// A change of status on its way.
#[derive(Debug)]
struct PendingChange {
    sent: Instant,
    /// Known with the answer.
    revision: Option<Revision>,
    /// What watchers were told before that.
    early: Vec<(Revision, Instant)>,
}

/// All counts of a run.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Connections tried.
    pub(super) attempts: u64,
    /// Connections made.
    pub(super) connects: u64,
    /// Changes of status sent.
    pub(super) changes: u64,
    /// Records of others received.
    pub(super) deliveries: u64,
    /// Other things done: activity, going idle.
    pub(super) activities: u64,
    /// Closes with 1001, and back.
    pub(super) reloads: u64,
    /// Connections dropped without a close.
    pub(super) crashes: u64,
    /// Closes with 1000 in between.
    pub(super) leaves: u64,
    /// Connections that are open.
    pub(super) open: u64,
    /// Until the welcome.
    pub(super) connect: Latencies,
    /// From a change to its answer.
    pub(super) ack: Latencies,
    /// From a change to each watcher that was told of it.
    pub(super) delivery: Latencies,
    /// What went wrong, by kind.
    pub(super) errors: BTreeMap<String, u64>,
    in_flight: BTreeMap<u64, PendingChange>,
}

impl Counters {
    /// A person sends a change.
    pub(super) fn change_sent(&mut self, person: u64, at: Instant) {
        self.changes += 1;
        let change = PendingChange {
            sent: at,
            revision: None,
            early: Vec::new(),
        };
        self.in_flight.insert(person, change);
    }

    /// The answer to a person's change came.
    pub(super) fn change_answered(&mut self, person: u64, revision: Option<Revision>, at: Instant) {
        let Some(change) = self.in_flight.get_mut(&person) else {
            return;
        };
        self.ack.record(at.saturating_duration_since(change.sent));
        change.revision = revision;
        for (early, told) in std::mem::take(&mut change.early) {
            if Some(early) == revision {
                self.delivery.record(told.saturating_duration_since(change.sent));
            }
        }
    }

    /// Somebody was told of another person.
    pub(super) fn delivered(&mut self, person: u64, revision: Revision, at: Instant) {
        self.deliveries += 1;
        let Some(change) = self.in_flight.get_mut(&person) else {
            return;
        };
        match change.revision {
            Some(of_change) if of_change == revision => self.delivery.record(at.saturating_duration_since(change.sent)),
            Some(_) => {}
            None if change.early.len() < EARLY_MAX => change.early.push((revision, at)),
            None => {}
        }
    }

    /// Something went wrong.
    pub(super) fn error(&mut self, kind: String) {
        let known = self.errors.contains_key(&kind) || self.errors.len() < ERROR_KINDS_MAX;
        *self
            .errors
            .entry(if known { kind } else { "other".to_owned() })
            .or_default() += 1;
    }

    /// How much went wrong.
    pub(super) fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Whether so little went wrong that the run counts.
    pub(super) fn is_good(&self) -> bool {
        self.connects > 0 && self.error_count() * 100 <= (self.attempts + self.changes) * ERRORS_MAX_PERCENT
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_delivery_counts_for_its_change_whether_it_comes_before_or_after_the_answer() {
        let start = crate::clock::instant();
        let at = |millis| start + Duration::from_millis(millis);
        let mut counters = Counters::default();
        counters.change_sent(1, at(0));
        counters.delivered(1, Revision::new(7), at(2));
        counters.delivered(1, Revision::new(6), at(1));
        counters.change_answered(1, Some(Revision::new(7)), at(3));
        counters.delivered(1, Revision::new(7), at(5));
        counters.delivered(1, Revision::new(9), at(100));
        counters.delivered(2, Revision::new(1), at(100));
        assert_eq!(counters.deliveries, 5);
        let told = counters.delivery.percentiles();
        assert_eq!((told.count, told.max_ms), (2, 5.0));
        assert_eq!(counters.ack.percentiles().max_ms, 3.0);
    }

    #[test]
    fn one_error_in_a_hundred_is_borne_and_more_is_not() {
        let mut counters = Counters {
            attempts: 50,
            connects: 50,
            changes: 50,
            ..Counters::default()
        };
        assert!(counters.is_good());
        counters.error("lost".into());
        assert!(counters.is_good());
        counters.error("lost".into());
        assert!(!counters.is_good());
        assert!(!Counters::default().is_good());
    }

    #[test]
    fn kinds_of_errors_are_bounded() {
        let mut counters = Counters::default();
        for kind in 0..1000 {
            counters.error(kind.to_string());
        }
        assert_eq!(counters.errors.len(), ERROR_KINDS_MAX + 1);
        assert_eq!(counters.error_count(), 1000);
    }
}
