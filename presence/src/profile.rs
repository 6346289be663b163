//! The second half: all contributions, the reports and the custom status become the record that watchers see, and the
//! decision whether it must be published. Where contributions come from (this node, or every node through Redis) is not
//! known here.

mod adopt;
mod flags;

pub use self::adopt::Adopted;
use self::flags::{Flag, Flags};
use crate::durable_part::{DurablePart, Preference, Version};
use crate::report::{Report, ReportInput};
use crate::revision::Revision;
use crate::rule::{Decision, Reason, decide};
use crate::sessions::{Activity, Contribution, Timers};
use crate::setter::Setter;
use crate::status::{Actor, Status};
pub use crate::stored::Stored;
use crate::time::{Mono, Now, Wall};
use crate::user_id::UserId;
use crate::wire::record::{Record, Viewer};

/// The recipients of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Audience {
    /// Observers alone, who watch everyone: whoever asks for the user is sent the record.
    Observers,
    /// The user's own connections and observers: only the custom status changed.
    Inner,
    /// All watchers and observers.
    Everyone,
}

/// Whether a record may be behind what other nodes know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// The node knows all that the cluster knows; a node that is alone always does.
    Current,
    /// The cluster can't be reached: the record is marked `stale`.
    Stale,
}

/// A change with a new revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Who is sent the change.
    pub audience: Audience,
    /// The status before the change.
    pub from: Status,
    /// The status after it.
    pub to: Status,
    /// The reason of the status after it.
    pub reason: Reason,
}

/// Everything about one user that does not belong to one node's sessions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    durable: DurablePart,
    decision: Decision,
    since: Option<Wall>,
    last_seen: Option<Wall>,
    last_active: Option<Wall>,
    revision: Revision,
    flags: Flags,
    /// Until when the custom status that the user set by a request counts like an active session.
    chosen_until: Option<Mono>,
    /// The status last published.
    told: Status,
    /// Who is to be sent what changed since then, whatever the status is by now.
    pending_publication: Option<Audience>,
}

impl Profile {
    /// Builds the profile from what is stored. Times from the future are taken as `now`, and [`Self::is_clamped`] says so.
    #[must_use]
    pub fn restore(mut stored: Stored, now: Wall) -> Self {
        let clamp = |time: Option<Wall>| time.map(|time| time.min(now));
        let mut flags = Flags::default();
        flags.set(Flag::Clamped, stored.latest_time() > Some(now));
        stored.durable.clamp_times(now);
        let last_seen = clamp(stored.last_seen.max(stored.last_active));
        Self {
            durable: stored.durable,
            decision: Decision {
                status: stored.status,
                ..Decision::default()
            },
            since: clamp(stored.since),
            last_seen,
            last_active: clamp(stored.last_active),
            revision: stored.revision,
            flags,
            chosen_until: None,
            told: stored.status,
            pending_publication: None,
        }
    }

    /// Merges what the store answered: a newer durable part, later times, a higher revision. The record is no longer degraded.
    pub fn handle_load(&mut self, stored: Stored, now: Wall) {
        let mut loaded = Self::restore(stored, now);
        self.handle_durable(std::mem::take(&mut loaded.durable), now);
        self.since = self.since.or(loaded.since);
        self.last_seen = self.last_seen.max(loaded.last_seen);
        self.last_active = self.last_active.max(loaded.last_active);
        self.revision = self.revision.max(loaded.revision);
        if loaded.is_clamped() {
            self.flags.set(Flag::Clamped, true);
        }
        self.flags.set(Flag::Unread, false);
        if self.flags.take(Flag::Degraded) {
            self.publish_to(Audience::Everyone);
        }
    }

    /// Takes a durable part that the store returned; one with a lower version changes nothing. Times from the future
    /// are taken as `now`.
    pub fn handle_durable(&mut self, part: DurablePart, now: Wall) {
        self.take_durable(part, now, DurablePart::replace_with);
    }

    fn take_durable(&mut self, mut part: DurablePart, now: Wall, replace: fn(&mut DurablePart, DurablePart)) {
        if part.version < self.durable.version {
            return;
        }
        if part.preference.custom != self.durable.preference.custom {
            self.publish_to(Audience::Inner);
        }
        part.clamp_times(now);
        replace(&mut self.durable, part);
    }

    /// The report that `input` opens or refreshes, or none if it ends one. The store gives it its version; until then it has
    /// the next one. `taken` is when it was asked for.
    #[must_use]
    pub fn report(&self, taken: Now, input: &ReportInput) -> Option<Report> {
        let is_held = |report: &&Report| report.expires.is_none_or(|at| at > taken.mono);
        let before = self
            .reports()
            .iter()
            .filter(is_held)
            .find(|report| report.source == input.source);
        Report::after(before, input, taken, self.version().next())
    }

    /// Moves the times by a report that was opened, refreshed or ended at `taken`.
    pub fn note_report(&mut self, taken: Wall, input: &ReportInput) {
        let last_active = Some(taken).filter(|_| input.update_last_active);
        self.move_times(Some(taken), last_active);
    }

    /// The user, who is present, set a custom status at `taken`. By a request it counts like an active session for a while.
    pub fn handle_custom_status(&mut self, taken: Now, setter: Setter, timers: &Timers) {
        if setter.actor() == Actor::User {
            self.note_activity(taken.wall);
        }
        if setter == Setter::Request {
            self.chosen_until = self.chosen_until.max(Some(taken.mono.after(timers.idle_after)));
        }
    }

    /// The user is not present: what was chosen before counts like no session any more.
    pub const fn note_absence(&mut self) {
        self.chosen_until = None;
    }

    /// Ends all reports on behalf of an operator. Returns how many there were.
    pub fn handle_kick(&mut self) -> usize {
        self.note_absence();
        std::mem::take(&mut self.durable.reports).len()
    }

    /// Applies the deadlines up to `now`.
    pub fn on_deadline(&mut self, now: Mono) {
        self.on_custom_status_deadline(now);
        let is_over = |report: &Report| report.expires.is_some_and(|at| at <= now);
        if self.durable.reports.iter().any(is_over) {
            let mut reports = std::mem::take(&mut self.durable.reports).into_vec();
            reports.retain(|report| !is_over(report));
            self.durable.reports = reports.into_boxed_slice();
        }
    }

    /// The same without ending reports.
    pub fn on_custom_status_deadline(&mut self, now: Mono) {
        self.chosen_until = self.chosen_until.filter(|until| *until > now);
    }

    /// The next moment at which [`Self::on_deadline`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        [self.chosen_until, self.report_deadline()].into_iter().flatten().min()
    }

    /// When the first report ends by itself.
    #[must_use]
    pub fn report_deadline(&self) -> Option<Mono> {
        self.reports().iter().filter_map(|report| report.expires).min()
    }

    /// Until when the custom status that the user set by a request counts like an active session.
    #[must_use]
    pub const fn chosen_until(&self) -> Option<Mono> {
        self.chosen_until
    }

    /// Applies the rule, without taking note of what follows.
    #[must_use]
    pub fn decide(&self, contributions: &[Contribution]) -> Decision {
        let chosen = match self.chosen_until {
            Some(_) => Activity::Active,
            None => Activity::Unknown,
        };
        decide(contributions, self.reports(), self.preference(), chosen)
    }

    /// Applies the rule to the present state. What must be published then is pending until [`Self::publish`].
    pub fn apply_rule(&mut self, now: Wall, contributions: &[Contribution]) {
        for contribution in contributions {
            self.last_seen = self.last_seen.max(contribution.last_seen);
            self.last_active = self.last_active.max(contribution.last_active);
        }
        self.last_seen = self.last_seen.max(self.last_active);
        self.flags.set(Flag::Unlogged, false);
        let from = self.decision.status;
        self.decision = self.decide(contributions);
        if self.decision.status == Status::Offline {
            self.note_absence();
        }
        if from != self.decision.status {
            self.since = Some(now);
            self.publish_to(Audience::Everyone);
        }
    }

    /// Whether something changed that was not published yet.
    #[must_use]
    pub const fn is_publication_pending(&self) -> bool {
        self.pending_publication.is_some()
    }

    /// Takes what is pending for publication, all that changed since the last one as one change, under the next revision from
    /// `next`, which is given the one before.
    pub fn publish(&mut self, next: impl FnOnce(Revision) -> Revision) -> Option<Published> {
        let audience = self.pending_publication.take()?;
        self.revision = next(self.revision);
        let to = self.decision.status;
        self.flags.set(Flag::ToldDegraded, self.is_degraded());
        Some(Published {
            audience,
            from: std::mem::replace(&mut self.told, to),
            to,
            reason: self.decision.reason,
        })
    }

    /// Makes the next [`Self::publish`] take a new revision though nothing changed: the store may have dropped what was
    /// published last.
    pub fn force_publish(&mut self) {
        self.publish_to(Audience::Inner);
    }

    /// The record as `viewer` may see it.
    #[must_use]
    pub fn record(
        &self,
        user_id: &UserId,
        contributions: &[(&str, Contribution)],
        viewer: Viewer,
        freshness: Freshness,
    ) -> Record {
        let inner = viewer != Viewer::Public;
        let internal = viewer == Viewer::Internal;
        let connections: u32 = contributions.iter().map(|(_, one)| one.connections).sum();
        let sessions = connections.saturating_add(u32::try_from(self.reports().len()).unwrap_or(u32::MAX));
        Record {
            user_id: user_id.clone(),
            status: self.decision.status,
            since: self.since,
            last_seen: self.last_seen,
            last_active: self.last_active,
            revision: self.revision,
            degraded: self.is_degraded(),
            stale: freshness == Freshness::Stale,
            custom_status: inner.then_some(self.preference().custom),
            custom_status_set_by: self.preference().set_by.filter(|_| internal),
            sessions: inner.then_some(sessions),
            reason: internal.then_some(self.decision.reason),
            nodes: internal.then(|| nodes_of(contributions)),
        }
    }

    fn publish_to(&mut self, audience: Audience) {
        self.pending_publication = self.pending_publication.max(Some(audience));
    }
}

/// The names of the nodes that hold connections, in the same order on every node.
fn nodes_of(contributions: &[(&str, Contribution)]) -> Vec<String> {
    let here = contributions.iter().filter(|(_, one)| one.connections > 0);
    let mut nodes: Vec<String> = here.map(|(node, _)| (*node).to_owned()).collect();
    nodes.sort_unstable();
    nodes
}

impl Profile {
    /// Until then a custom status counts like an active session; other nodes may have told.
    pub(crate) const fn set_chosen_until(&mut self, until: Option<Mono>) {
        self.chosen_until = until;
    }

    /// The last outcome of the rule.
    #[must_use]
    pub const fn decision(&self) -> Decision {
        self.decision
    }

    /// Custom status and reports.
    #[must_use]
    pub const fn durable_part(&self) -> &DurablePart {
        &self.durable
    }

    /// The custom status that holds.
    #[must_use]
    pub const fn preference(&self) -> &Preference {
        &self.durable.preference
    }

    /// The reports that hold.
    #[must_use]
    pub fn reports(&self) -> &[Report] {
        &self.durable.reports
    }

    /// The version of the durable part: what a write proposes to the store.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.durable.version
    }

    /// The revision last published.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// When the status began.
    #[must_use]
    pub const fn since(&self) -> Option<Wall> {
        self.since
    }

    /// When the user was last heard.
    #[must_use]
    pub const fn last_seen(&self) -> Option<Wall> {
        self.last_seen
    }

    /// When the user was last active.
    #[must_use]
    pub const fn last_active(&self) -> Option<Wall> {
        self.last_active
    }

    /// The latest time that a record of the user tells, or `explain`: what happens to the user next is not before it.
    #[must_use]
    pub fn latest_time(&self) -> Option<Wall> {
        let times = [self.since, self.last_seen, self.last_active, self.preference().set_at];
        times.into_iter().max().flatten()
    }

    /// Whether the disk may have times that are later than [`Self::latest_time`], from a clock that was wrong.
    #[must_use]
    pub const fn is_clamped(&self) -> bool {
        self.flags.has(Flag::Clamped)
    }

    /// Whether the profile was made without the store's answer, and is told so.
    #[must_use]
    pub const fn is_degraded(&self) -> bool {
        self.flags.has(Flag::Degraded)
    }

    /// Whether the durable part is assumed: neither the store nor the log has told one.
    #[must_use]
    pub fn is_assumed(&self) -> bool {
        self.is_degraded() || self.flags.has(Flag::Unread) && self.version() == Version::NONE
    }
}
