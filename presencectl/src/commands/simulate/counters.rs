//! The counters of a run. Deliveries to watchers are matched with the change that caused them by revision; a delivery
//! may arrive before the response that names the revision. Pure: times are arguments.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use presence::Revision;

use super::latency::Latencies;

/// Further kinds of errors are counted together.
const ERROR_KINDS_MAX: usize = 32;
/// Early deliveries kept until the response names the revision: in most runs one per watcher.
const EARLY_MAX: usize = 4096;
/// A run with more failed operations, in percent, fails.
const ERRORS_MAX_PERCENT: u64 = 1;

/// A pending change of a custom status.
#[derive(Debug)]
struct PendingChange {
    sent: Instant,
    /// Known from the response.
    revision: Option<Revision>,
    /// Deliveries before the response.
    early: Vec<(Revision, Instant)>,
}

/// What became of the connects to a node that none has reached.
#[derive(Debug)]
struct Unreached {
    connects: u64,
    /// Of the last one.
    why: String,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Connections that were begun, whether they succeeded or not.
    pub(super) attempts: u64,
    pub(super) connects: u64,
    /// Custom status changes sent.
    pub(super) changes: u64,
    /// Records of other users received.
    pub(super) deliveries: u64,
    /// Activity and idle reports sent.
    pub(super) activities: u64,
    /// Closes with 1001, followed by a reconnect.
    pub(super) reloads: u64,
    /// Connections dropped without a close frame.
    pub(super) crashes: u64,
    /// Closes with 1000, followed by a reconnect.
    pub(super) leaves: u64,
    /// Connections that the daemon closed because it restarts.
    pub(super) restarts: u64,
    /// Connects and changes that the daemon asked to repeat later.
    pub(super) postponed: u64,
    /// Connections that continued the session of the one before, and those that could not.
    pub(super) resumed: u64,
    pub(super) not_resumed: u64,
    /// Watches that went on from the position before, and those that began anew.
    pub(super) watches_resumed: u64,
    pub(super) watches_anew: u64,
    /// How often somebody was told to be OFFLINE who had not signed out.
    pub(super) unexpected_offline: u64,
    pub(super) open: u64,
    /// Latency of the handshake including the welcome.
    pub(super) connect: Latencies,
    /// Latency from a change to its response.
    pub(super) ack: Latencies,
    /// Latency from a change to each watcher.
    pub(super) delivery: Latencies,
    /// How often each kind of error occurred.
    pub(super) errors: BTreeMap<String, u64>,
    /// The addresses of nodes that no connect has reached so far.
    unreached: BTreeMap<String, Unreached>,
    reached: BTreeSet<String>,
    in_flight: BTreeMap<u64, PendingChange>,
}

impl Counters {
    pub(super) fn change_sent(&mut self, user: u64, at: Instant) {
        self.changes += 1;
        let change = PendingChange {
            sent: at,
            revision: None,
            early: Vec::new(),
        };
        self.in_flight.insert(user, change);
    }

    pub(super) fn change_acknowledged(&mut self, user: u64, revision: Option<Revision>, at: Instant) {
        let Some(change) = self.in_flight.get_mut(&user) else {
            return;
        };
        self.ack.record(at.saturating_duration_since(change.sent));
        change.revision = revision;
        for (early, delivered_at) in std::mem::take(&mut change.early) {
            if Some(early) == revision {
                self.delivery
                    .record(delivered_at.saturating_duration_since(change.sent));
            }
        }
    }

    /// A watcher received the record of another user.
    pub(super) fn delivered(&mut self, user: u64, revision: Revision, at: Instant) {
        self.deliveries += 1;
        let Some(change) = self.in_flight.get_mut(&user) else {
            return;
        };
        match change.revision {
            Some(of_change) if of_change == revision => self.delivery.record(at.saturating_duration_since(change.sent)),
            Some(_) => {}
            None if change.early.len() < EARLY_MAX => change.early.push((revision, at)),
            None => {}
        }
    }

    pub(super) fn error(&mut self, kind: String) {
        let known = self.errors.contains_key(&kind) || self.errors.len() < ERROR_KINDS_MAX;
        *self
            .errors
            .entry(if known { kind } else { "other".to_owned() })
            .or_default() += 1;
    }

    /// The node at this address has answered. Connects that did not reach it before were told to wait.
    pub(super) fn reached(&mut self, address: &str) {
        if self.reached.contains(address) {
            return;
        }
        self.reached.insert(address.to_owned());
        if let Some(before) = self.unreached.remove(address) {
            self.postponed += before.connects;
        }
    }

    /// A connect did not reach the node at this address; the next one is to another node.
    pub(super) fn not_reached(&mut self, address: &str, why: String) {
        if self.reached.contains(address) {
            self.postponed += 1;
            return;
        }
        let unreached = Unreached {
            connects: 0,
            why: String::new(),
        };
        let unreached = self.unreached.entry(address.to_owned()).or_insert(unreached);
        unreached.connects += 1;
        unreached.why = why;
    }

    /// No more connects are made: a node that none has reached is not one that was away for a while.
    pub(super) fn finish(&mut self) {
        for (address, Unreached { connects, why }) in std::mem::take(&mut self.unreached) {
            *self
                .errors
                .entry(format!("never reached {address}: {why}"))
                .or_default() += connects;
        }
    }

    pub(super) fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Whether the errors are within the limit.
    pub(super) fn is_good(&self) -> bool {
        self.connects > 0 && self.error_count() * 100 <= (self.attempts + self.changes) * ERRORS_MAX_PERCENT
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_delivery_is_matched_before_and_after_the_response() {
        let start = crate::clock::instant();
        let at = |millis| start + Duration::from_millis(millis);
        let mut counters = Counters::default();
        counters.change_sent(1, at(0));
        counters.delivered(1, Revision::new(7), at(2));
        counters.delivered(1, Revision::new(6), at(1));
        counters.change_acknowledged(1, Some(Revision::new(7)), at(3));
        counters.delivered(1, Revision::new(7), at(5));
        counters.delivered(1, Revision::new(9), at(100));
        counters.delivered(2, Revision::new(1), at(100));
        assert_eq!(counters.deliveries, 5);
        let delivery = counters.delivery.percentiles();
        assert_eq!((delivery.count, delivery.max_ms), (2, 5.0));
        assert_eq!(counters.ack.percentiles().max_ms, 3.0);
    }

    #[test]
    fn a_run_fails_with_more_than_one_percent_errors() {
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
    fn a_node_that_is_never_reached_is_an_error_and_one_that_comes_is_none() {
        let mut counters = Counters::default();
        counters.not_reached("http://late", "refused".into());
        counters.not_reached("http://never", "no route".into());
        counters.not_reached("http://never", "refused".into());
        counters.reached("http://late");
        counters.not_reached("http://late", "refused".into());
        counters.finish();
        assert_eq!(counters.postponed, 2);
        let errors: Vec<_> = counters.errors.into_iter().collect();
        assert_eq!(errors, [("never reached http://never: refused".to_owned(), 2)]);
    }

    #[test]
    fn the_number_of_error_kinds_is_bounded() {
        let mut counters = Counters::default();
        for kind in 0..1000 {
            counters.error(kind.to_string());
        }
        assert_eq!(counters.errors.len(), ERROR_KINDS_MAX + 1);
        assert_eq!(counters.error_count(), 1000);
    }
}
