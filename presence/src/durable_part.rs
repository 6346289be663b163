//! The durable part of a user: the custom status and the reports, with the version that the store gives to each write of
//! either. Versions alone decide what is newer; wall clocks of different nodes, or of one node before and after it was
//! set, are not compared.

use serde::{Deserialize, Serialize};

use crate::report::Report;
use crate::status::{Actor, CustomStatus};
use crate::time::Wall;

/// Counts the writes of one user's durable part: the store gives each write `max(stored, proposed) + 1`, where the writer
/// proposes the version that it knows. 0: nothing was ever written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(u64);

impl Version {
    /// The version of a user without a custom status or report.
    pub const NONE: Self = Self(0);

    /// Wraps the number that the store holds.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number to store.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The version of the next write, unless another node writes first.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// What the user wants to be shown as while present, and who set it when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Preference {
    /// The custom status.
    pub custom: CustomStatus,
    /// When it was set, for people to read; none if it never was.
    pub set_at: Option<Wall>,
    /// Who set it; none if nobody did.
    pub set_by: Option<Actor>,
    /// The version of the write that set it. Reports with a higher version are newer.
    pub version: Version,
}

/// Custom status and reports as one write left them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DurablePart {
    /// The version of the last write, at least that of the custom status and of each report.
    pub version: Version,
    /// The custom status.
    pub preference: Preference,
    /// The reports that hold. A boxed slice, because a million users hold one each.
    pub reports: Box<[Report]>,
}

impl DurablePart {
    /// Whether both say the same: what was written between them changed nothing but the version.
    #[must_use]
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        let has = |report: &Report| {
            let is_same = |one: &Report| one.source == report.source && one.version == report.version;
            other.reports.iter().any(is_same)
        };
        self.preference == other.preference && self.reports.len() == other.reports.len() && self.reports.iter().all(has)
    }

    /// Takes times from the future as `now`.
    pub(crate) fn clamp_times(&mut self, now: Wall) {
        self.preference.set_at = self.preference.set_at.map(|time| time.min(now));
        for report in &mut self.reports {
            report.since = report.since.min(now);
            report.heard = report.heard.min(now);
            report.last_active = report.last_active.map(|time| time.min(now));
        }
    }

    /// Takes over `newer`, which must not have a lower version. A report of the same source and version stays as it is, with
    /// its deadline and times: they were converted from the stored wall times once, before any later jump of the clock.
    ///
    /// A report that is not here although its version is at most this part's was here and ended by its deadline; the store
    /// has not been told yet. It stays ended: with a wall clock that went back, it would otherwise hold once more.
    pub(crate) fn replace_with(&mut self, newer: Self) {
        let known = self.version;
        self.take(newer, |report| report.version > known);
    }

    /// Takes over what the log of a cluster has, which must not be of a lower version. The log alone ends reports there, so one
    /// that is not here was never heard of.
    pub(crate) fn replace_with_logged(&mut self, newer: Self) {
        self.take(newer, |_| true);
    }

    fn take(&mut self, newer: Self, is_new: impl Fn(&Report) -> bool) {
        let mut reports = newer.reports.into_vec();
        reports.retain_mut(|report| {
            let known = self.reports.iter().find(|known| known.source == report.source);
            match known.filter(|known| known.version == report.version) {
                Some(known) => {
                    report.clone_from(known);
                    true
                }
                None => is_new(report),
            }
        });
        *self = Self {
            reports: reports.into_boxed_slice(),
            ..newer
        };
    }
}
