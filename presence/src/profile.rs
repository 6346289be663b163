//! The second half: all contributions, the reports and the custom status become the record that is told, and whether it must
//! be published. Where contributions come from (this node, or every node through Redis) is not known here.

use crate::report::{Report, ReportInput, Source};
use crate::revision::Revision;
use crate::rule::{Decision, Reason, decide};
use crate::sessions::{Activity, Contribution};
use crate::status::{Actor, CustomStatus, Status};
use crate::time::{Mono, Now, Wall};
use crate::user_id::UserId;
use crate::wire::record::{Record, Viewer};

/// What the user wants to be shown as, since when, and who said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Preference {
    /// The custom status.
    pub custom: CustomStatus,
    /// When it was set; never, if none.
    pub set_at: Option<Wall>,
    /// Who set it.
    pub set_by: Option<Actor>,
}

/// Who is told of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Audience {
    /// The user's own connections and observers: only the custom status changed.
    Inner,
    /// Everyone who watches.
    Everyone,
}

/// A change with a new revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Who is told.
    pub audience: Audience,
    /// The status before.
    pub from: Status,
    /// The status now.
    pub to: Status,
    /// Why it is that.
    pub reason: Reason,
}

/// Everything about one user that does not belong to one node's sessions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    preference: Preference,
    reports: Vec<Report>,
    decision: Decision,
    since: Option<Wall>,
    last_seen: Option<Wall>,
    last_active: Option<Wall>,
    revision: Revision,
    degraded: bool,
    /// What changed since the last [`Profile::recompute`] and is told even if the status stays.
    pending_publication: Option<Audience>,
}

/// A profile as it is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stored {
    /// The custom status.
    pub preference: Preference,
    /// The reports that still hold.
    pub reports: Vec<Report>,
    /// The status last written.
    pub status: Status,
    /// Since when.
    pub since: Option<Wall>,
    /// When last heard.
    pub last_seen: Option<Wall>,
    /// When last active.
    pub last_active: Option<Wall>,
    /// The revision last written, or the floor of this run if that is higher.
    pub revision: Revision,
}

impl Stored {
    /// What the sessions that the previous run lost said of activity, as far as the disk tells: so that the status stays
    /// what it was, and nobody whose client knows nothing of activity is held idle by a guess.
    #[must_use]
    pub fn activity_in_grace(&self) -> Activity {
        // The custom status is on disk before the status that follows from it, and is activity of whoever was present.
        let is_since_chosen = self.preference.set_by == Some(Actor::User) && self.preference.set_at > self.since;
        let is_idle_without_sessions = || decide(&[], &self.reports, &self.preference).status == Status::Idle;
        match self.status {
            Status::Online => Activity::Active,
            Status::Idle if self.preference.custom == CustomStatus::Idle || is_idle_without_sessions() => {
                Activity::Unknown
            }
            Status::Idle if is_since_chosen => Activity::Active,
            Status::Idle => Activity::Idle,
            Status::DoNotDisturb | Status::Offline => Activity::Unknown,
        }
    }
}

impl Profile {
    /// What the store knew. Times from the future are clamped to `now`; only the order of custom statuses and reports stays as it
    /// is, because the disk would take a custom status with an earlier moment for an older one.
    #[must_use]
    pub fn restore(mut stored: Stored, now: Wall) -> Self {
        let clamp = |time: Option<Wall>| time.map(|time| time.min(now));
        for report in &mut stored.reports {
            report.since = report.since.min(now);
            report.heard = report.heard.min(now);
            report.last_active = clamp(report.last_active);
        }
        let last_seen = clamp(stored.last_seen.max(stored.last_active));
        Self {
            preference: stored.preference,
            reports: stored.reports,
            decision: Decision {
                status: stored.status,
                ..Decision::default()
            },
            since: clamp(stored.since),
            last_seen,
            last_active: clamp(stored.last_active),
            revision: stored.revision,
            degraded: false,
            pending_publication: None,
        }
    }

    /// A profile made without the store's answer. [`Self::handle_load`] puts it right.
    #[must_use]
    pub fn fallback() -> Self {
        Self {
            degraded: true,
            ..Self::default()
        }
    }

    /// The store answered at last. What happened meanwhile stays; what the store knows is taken: of the custom status and of each
    /// source's report the later one holds. A report is on disk before it is shown, so one that is not there is over.
    pub fn handle_load(&mut self, stored: Stored, now: Wall) {
        let loaded = Self::restore(stored, now);
        if loaded.preference.set_at >= self.preference.set_at {
            if self.preference.custom != loaded.preference.custom {
                self.publish_to(Audience::Inner);
            }
            self.preference = loaded.preference;
        }
        let is_stored = |known: &Report| loaded.reports.iter().any(|one| one.source == known.source);
        self.reports.retain(is_stored);
        for report in loaded.reports {
            match self.reports.iter_mut().find(|one| one.source == report.source) {
                Some(known) if known.order > report.order => {}
                Some(known) => *known = report,
                None => self.reports.push(report),
            }
        }
        self.since = self.since.or(loaded.since);
        self.last_seen = self.last_seen.max(loaded.last_seen);
        self.last_active = self.last_active.max(loaded.last_active);
        self.revision = self.revision.max(loaded.revision);
        if std::mem::take(&mut self.degraded) {
            self.publish_to(Audience::Everyone);
        }
    }

    /// The moment to write down for a custom status made now: after every report there is, so that it is the latest word.
    #[must_use]
    pub fn preference_time(&self, now: Wall) -> Wall {
        let latest = self
            .reports
            .iter()
            .map(|report| report.order)
            .chain(self.preference.set_at)
            .max();
        latest.map_or(now, |latest| now.max(latest))
    }

    /// A custom status is on disk. One that is older than what holds changes nothing.
    pub fn handle_preference(&mut self, preference: Preference) {
        if preference.set_at < self.preference.set_at {
            return;
        }
        if preference.custom != self.preference.custom {
            self.publish_to(Audience::Inner);
        }
        self.preference = preference;
    }

    /// What a report made now would be, or none if it ends one.
    #[must_use]
    pub fn report(&self, now: Now, input: &ReportInput) -> Option<Report> {
        let status = match input.status {
            Status::Offline => return None,
            Status::Online => CustomStatus::Online,
            Status::Idle => CustomStatus::Idle,
            Status::DoNotDisturb => CustomStatus::DoNotDisturb,
        };
        let holds = |report: &&Report| report.expires.is_none_or(|at| at > now.mono);
        let before = self
            .reports
            .iter()
            .filter(holds)
            .find(|report| report.source == input.source);
        let just_after = |preference: Wall| Wall::from_millis(preference.as_millis().saturating_add(1));
        Some(Report {
            source: input.source.clone(),
            status,
            since: before.map_or(now.wall, |report| report.since),
            heard: now.wall,
            order: self
                .preference
                .set_at
                .map_or(now.wall, |set_at| now.wall.max(just_after(set_at))),
            last_active: match input.update_last_active {
                true => Some(now.wall),
                false => before.and_then(|report| report.last_active),
            },
            expires: input.ttl.map(|ttl| now.mono.after(ttl)),
        })
    }

    /// A report is on disk: it opens or refreshes its source's, or ends it if there is none.
    pub fn handle_report(&mut self, now: Now, source: &Source, report: Option<Report>, active: bool) {
        self.reports.retain(|one| one.source != *source);
        if report.is_some() && self.reports.len() == self.reports.capacity() {
            // Most users have one, and a vector that grows by itself begins with room for four.
            self.reports.reserve_exact(self.reports.len().max(1));
        }
        self.reports.extend(report);
        self.last_seen = self.last_seen.max(Some(now.wall));
        if active {
            self.last_active = self.last_active.max(Some(now.wall));
        }
    }

    /// The operator ends the reports. Says how many there were.
    pub fn handle_kick(&mut self) -> usize {
        std::mem::take(&mut self.reports).len()
    }

    /// Reports whose time is up end.
    pub fn on_deadline(&mut self, now: Mono) {
        self.reports.retain(|report| report.expires.is_none_or(|at| at > now));
    }

    /// The next moment at which [`Self::on_deadline`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        self.reports.iter().filter_map(|report| report.expires).min()
    }

    /// Applies the rule to what there is now. If something must be told, takes the next revision from `next`, which is
    /// given the one before.
    pub fn recompute(
        &mut self,
        now: Wall,
        contributions: &[Contribution],
        next: impl FnOnce(Revision) -> Revision,
    ) -> Option<Published> {
        for contribution in contributions {
            self.last_seen = self.last_seen.max(contribution.last_seen);
            self.last_active = self.last_active.max(contribution.last_active);
        }
        self.last_seen = self.last_seen.max(self.last_active);
        let from = self.decision.status;
        self.decision = decide(contributions, &self.reports, &self.preference);
        let to = self.decision.status;
        if from != to {
            self.since = Some(now);
            self.publish_to(Audience::Everyone);
        }
        let audience = self.pending_publication.take()?;
        self.revision = next(self.revision);
        Some(Published {
            audience,
            from,
            to,
            reason: self.decision.reason,
        })
    }

    /// The next [`Self::recompute`] takes a new revision, though nothing changed: the disk may have dropped what was told last.
    pub fn force_publish(&mut self) {
        self.publish_to(Audience::Inner);
    }

    /// The user did something that no connection tells: last active moves, and no event follows.
    pub fn note_activity(&mut self, now: Wall) {
        self.last_active = self.last_active.max(Some(now));
        self.last_seen = self.last_seen.max(self.last_active);
    }

    /// Takes times along that cause no event.
    pub fn note_times(&mut self, contribution: &Contribution) {
        self.last_active = self.last_active.max(contribution.last_active);
        self.last_seen = self.last_seen.max(contribution.last_seen).max(self.last_active);
    }

    /// The record as `viewer` may see it.
    #[must_use]
    pub fn record(&self, user_id: &UserId, contributions: &[(&str, Contribution)], viewer: Viewer) -> Record {
        let inner = viewer != Viewer::Public;
        let internal = viewer == Viewer::Internal;
        let connections: u32 = contributions.iter().map(|(_, one)| one.connections).sum();
        let sessions = connections.saturating_add(u32::try_from(self.reports.len()).unwrap_or(u32::MAX));
        Record {
            user_id: user_id.clone(),
            status: self.decision.status,
            since: self.since,
            last_seen: self.last_seen,
            last_active: self.last_active,
            revision: self.revision,
            degraded: self.degraded,
            stale: false,
            custom_status: inner.then_some(self.preference.custom),
            sessions: inner.then_some(sessions),
            reason: internal.then_some(self.decision.reason),
            nodes: internal.then(|| {
                let here = contributions.iter().filter(|(_, one)| one.connections > 0);
                here.map(|(node, _)| (*node).to_owned()).collect()
            }),
        }
    }

    /// What the rule said last.
    #[must_use]
    pub const fn decision(&self) -> Decision {
        self.decision
    }

    /// The custom status that holds.
    #[must_use]
    pub const fn preference(&self) -> &Preference {
        &self.preference
    }

    /// The reports that hold.
    #[must_use]
    pub fn reports(&self) -> &[Report] {
        &self.reports
    }

    /// The revision last published.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// Since when the status holds.
    #[must_use]
    pub const fn since(&self) -> Option<Wall> {
        self.since
    }

    /// When the user was last heard.
    #[must_use]
    pub const fn last_seen(&self) -> Option<Wall> {
        self.last_seen
    }

    /// When the user last did something.
    #[must_use]
    pub const fn last_active(&self) -> Option<Wall> {
        self.last_active
    }

    /// Whether it was made without the store's answer.
    #[must_use]
    pub const fn is_degraded(&self) -> bool {
        self.degraded
    }

    fn publish_to(&mut self, audience: Audience) {
        self.pending_publication = self.pending_publication.max(Some(audience));
    }
}
