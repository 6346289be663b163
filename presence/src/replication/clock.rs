//! Redis's clock as a node estimates it: records of all nodes carry one clock.

use std::time::Duration;

use crate::replication::settings::UNREACHABLE_AFTER;
use crate::time::{Mono, Reading, Wall};

/// A smaller difference is how long an answer takes, and no error of a clock.
pub const CLOCK_FOLLOWS_FROM_MS: u64 = 100;
/// By how much the clocks of records of two nodes may differ. Each is at most [`CLOCK_FOLLOWS_FROM_MS`] from what its node takes
/// for Redis's clock, and that is behind Redis's by as long as an answer took to come: [`UNREACHABLE_AFTER`] at most.
pub const CLOCKS_DIFFER_MAX: Duration =
    UNREACHABLE_AFTER.saturating_add(Duration::from_millis(2 * CLOCK_FOLLOWS_FROM_MS));

/// The last answer's time, carried on by the monotonic clock.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SharedClock {
    last: Option<(Wall, Mono)>,
}

impl SharedClock {
    /// An answer came with this time.
    pub(super) const fn handle_time(&mut self, time: Wall, at: Mono) {
        self.last = Some((time, at));
    }

    /// Whether Redis has told its time.
    pub(super) const fn is_known(&self) -> bool {
        self.last.is_some()
    }

    /// The time by now; before the first answer that of the node's own clock.
    pub(super) fn estimate(&self, reading: Reading) -> Wall {
        match self.last {
            Some((time, at)) => time.after(reading.mono.since(at)),
            None => reading.records().record_time(None),
        }
    }

    /// What records say by now: the node's clock of records, which follows the estimate when it is far from it, so that times
    /// of one node don't jitter.
    pub(super) fn now(&self, reading: Reading) -> Wall {
        let (estimate, records) = (self.estimate(reading), reading.records().record_time(None));
        match estimate.as_millis().abs_diff(records.as_millis()) <= CLOCK_FOLLOWS_FROM_MS {
            true => records,
            false => estimate,
        }
    }

    /// When it will be `time`.
    pub(super) fn mono_of(&self, time: Wall, reading: Reading) -> Mono {
        reading.mono.after(time.since(self.now(reading)))
    }
}

/// Random moments, from one seed that comes in: SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number
/// Generators", 2014).
#[derive(Debug, Clone, Copy)]
pub(super) struct Jitter(pub(super) u64);

impl Jitter {
    /// A number below `bound`.
    pub(super) const fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % if bound == 0 { 1 } else { bound }
    }

    /// A moment from `at` on, within `spread`.
    pub(super) fn within(&mut self, at: Mono, spread: std::time::Duration) -> Mono {
        let millis = u64::try_from(spread.as_millis()).unwrap_or(u64::MAX);
        at.after(std::time::Duration::from_millis(self.below(millis)))
    }
}
