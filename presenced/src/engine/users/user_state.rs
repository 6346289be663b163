//! The state of the rules of `presence` for one user: the sessions on this node, the contributions of other nodes, and the
//! profile that they and the custom status add up to. The only place where any of it is changed.

use std::time::Duration;

use presence::explain::{NodeSessions, OtherSessions};
use presence::profile::Stored;
use presence::replication::CommandKind;
use presence::wire::record::{Record, Viewer};
use presence::wire::rest::Explain;
use presence::{
    Activity, Contribution, DurablePart, EndReason, Mono, Now, Predecessor, Profile, Published, Reading, Report,
    ReportInput, Revision, SessionId, Sessions, Setter, Source, Status, Timers, UserId, Version, Wall,
};

use super::shared_state::Unconfirmed;
use crate::cluster::{Cluster, NodeContribution};

/// A report that reached its deadline.
pub(in crate::engine) struct ExpiredSource {
    pub(in crate::engine) source: Source,
    pub(in crate::engine) version: Version,
}

/// The state of the rules for one user.
#[derive(Debug)]
pub(in crate::engine) struct UserState {
    pub(super) sessions: Sessions,
    pub(super) profile: Profile,
    /// What the user's sessions on other nodes add up to.
    pub(super) remote: Option<Box<RemoteContributions>>,
    /// A report is being refreshed on disk: until that is known, no report ends by itself.
    is_refreshing_report: bool,
    /// Connections that may be gone, after the registration of this node was ended.
    pub(super) unconfirmed: Option<Box<Unconfirmed>>,
    /// The status that is on its way to the log.
    pub(super) offered: Option<Status>,
}

impl UserState {
    pub(in crate::engine) fn new(profile: Profile, remote: Vec<NodeContribution>) -> Self {
        Self {
            sessions: Sessions::default(),
            profile,
            remote: (!remote.is_empty()).then(|| Box::new(RemoteContributions(remote))),
            is_refreshing_report: false,
            unconfirmed: None,
            offered: None,
        }
    }

    pub(in crate::engine) fn profile(&self) -> &Profile {
        &self.profile
    }

    pub(in crate::engine) fn is_assumed(&self) -> bool {
        self.profile.is_assumed()
    }

    /// The present of this user: not before a time that was told of it, though the system's clock went back.
    pub(in crate::engine) fn now(&self, reading: Reading) -> Now {
        reading.for_user(self.profile.latest_time())
    }

    /// When the user asked for something that takes effect now: not before what was heard of it until then, though the
    /// system's clock went back. What was heard since is later.
    pub(in crate::engine) fn asked_at(&self, reading: Reading, now: Now) -> Now {
        let heard = self.profile.last_seen();
        let asked = now.wall.before(now.mono.since(reading.mono));
        reading.for_user(heard.map(|heard| heard.min(asked)))
    }

    /// Whether a connection or a grace period of this node keeps the user present.
    pub(in crate::engine) fn is_connected(&self) -> bool {
        self.sessions.is_present()
    }

    /// Whether a connection, a grace period or a report keeps the user present.
    pub(in crate::engine) fn is_present(&self) -> bool {
        self.is_connected()
            || !self.profile.reports().is_empty()
            || self.remote().iter().any(|remote| remote.contribution.is_present())
    }

    /// Whether grace periods alone keep the user present.
    pub(in crate::engine) fn is_only_in_grace(&self) -> bool {
        self.sessions.grace().is_some() && self.sessions.connections().is_empty() && self.profile.reports().is_empty()
    }

    /// Whether a grace period or a report will end by itself.
    #[cfg(test)]
    pub(in crate::engine) fn has_ends_ahead(&self) -> bool {
        self.sessions.grace().is_some() || self.profile.report_deadline().is_some()
    }

    #[cfg(test)]
    pub(in crate::engine) fn grace(&self) -> Option<presence::GracePeriod> {
        self.sessions.grace().cloned()
    }

    /// How many sessions would be in grace if this node stopped now.
    pub(in crate::engine) fn places(&self) -> u32 {
        self.sessions.places()
    }

    /// A connection began, beside what is in grace on other nodes. Expire deadlines first: what a custom status counted like ends
    /// when the user was absent.
    pub(in crate::engine) fn connect(&mut self, now: Now, id: SessionId, elsewhere: Activity, timers: &Timers) {
        self.sessions.handle_connect_beside(now, id, elsewhere, timers.grace);
    }

    /// The connection continues a session that was lost. Whether that one had a place in the grace period.
    pub(in crate::engine) fn resume(&mut self, now: Now, id: SessionId, of: Predecessor, timers: &Timers) -> bool {
        self.sessions.handle_resume(now, id, of, timers.grace)
    }

    pub(in crate::engine) fn disconnect(&mut self, now: Now, id: SessionId, reason: EndReason, grace: Duration) {
        self.sessions.handle_end(now, id, reason, grace);
    }

    /// A frame of any kind arrived. The only input of sessions that moves times and after which the rule need not be applied;
    /// [`Self::take_times`] takes those into the record.
    /// Whether the connection was in doubt, so that it must be told to the others.
    pub(in crate::engine) fn heard(&mut self, now: Now, id: SessionId) -> bool {
        self.sessions.handle_heard(now, id);
        self.confirm(id)
    }

    /// A message arrived, other than a ping.
    pub(in crate::engine) fn message(&mut self, now: Now, id: SessionId) {
        self.sessions.handle_message(now, id);
    }

    pub(in crate::engine) fn activity(&mut self, now: Now, id: SessionId, ago: Duration, timers: &Timers) {
        self.sessions.handle_activity(now, id, ago, timers);
    }

    pub(in crate::engine) fn away(&mut self, now: Now, id: SessionId, ago: Option<Duration>) {
        self.sessions.handle_away(now, id, ago);
    }

    /// A custom status is on disk; `part` is what the store has now.
    pub(in crate::engine) fn set_preference(&mut self, now: Now, part: DurablePart) {
        self.profile.handle_durable(part, now.wall);
    }

    /// The custom status was asked for at `taken`. Expire deadlines first: who is not present any more is not active by it.
    pub(in crate::engine) fn note_preference(&mut self, taken: Now, setter: Setter, timers: &Timers) {
        if !self.is_present() {
            return;
        }
        self.profile.handle_custom_status(taken, setter, timers);
        if let Setter::Connection(id) = setter {
            self.sessions.handle_preference(taken, id, timers);
        }
    }

    /// The report that is to be on disk before it takes effect, or none if one is to end. Too many: no more than `max`
    /// reports. A report that is refreshed in time holds until [`Self::end_report_write`], however long the disk takes.
    pub(in crate::engine) fn begin_report_write(
        &mut self,
        taken: Now,
        input: &ReportInput,
        max: usize,
    ) -> Result<Option<Report>, TooManyReports> {
        let reports = self.profile.reports();
        let is_new = !reports.iter().any(|one| one.source == input.source);
        let report = self.profile.report(taken, input);
        if report.is_some() && is_new && reports.len() >= max {
            return Err(TooManyReports);
        }
        self.is_refreshing_report = report.is_some() && !is_new;
        Ok(report)
    }

    /// The store has answered.
    pub(in crate::engine) fn end_report_write(&mut self) {
        self.is_refreshing_report = false;
    }

    /// A report that was made or ended at `taken` is on disk, or off it; `part` is what the store has now.
    pub(in crate::engine) fn set_report(&mut self, now: Now, taken: Now, input: &ReportInput, part: DurablePart) {
        self.profile.handle_durable(part, now.wall);
        self.profile.note_report(taken.wall, input);
    }

    /// A report was taken off the disk by somebody else than its source; `part` is what the store has now.
    pub(in crate::engine) fn end_report(&mut self, now: Now, part: DurablePart) {
        self.profile.handle_durable(part, now.wall);
    }

    /// Ends connections, reports and grace periods; `part` is what the store has now, if reports were taken off it. How many
    /// connections and reports there were.
    pub(in crate::engine) fn kick(&mut self, now: Now, part: Option<DurablePart>) -> usize {
        let reports = self.profile.handle_kick();
        if let Some(part) = part {
            self.profile.handle_durable(part, now.wall);
        }
        reports + self.end_sessions(CommandKind::Kick)
    }

    /// Back to a user never seen. How many connections and reports there were.
    pub(in crate::engine) fn forget(&mut self) -> usize {
        let ended = self.profile.reports().len() + self.end_sessions(CommandKind::Forget);
        self.profile = Profile::default();
        ended
    }

    /// The user was loaded from the store, perhaps again.
    pub(in crate::engine) fn load(&mut self, stored: Stored, now: Wall) {
        self.profile.handle_load(stored, now);
    }

    /// The connections that the previous run lost are in grace until then.
    pub(in crate::engine) fn restore_grace(&mut self, until: Mono, activity: Activity, places: u32) {
        self.sessions.handle_restore(until, activity, places);
    }

    /// The next recompute publishes, though nothing changed.
    pub(in crate::engine) fn force_publish(&mut self) {
        self.profile.force_publish();
    }

    /// Deadlines up to now take effect. The reports that ended.
    pub(in crate::engine) fn expire(&mut self, now: Now) -> Vec<ExpiredSource> {
        self.sessions.on_deadline(now.mono);
        self.profile.on_custom_status_deadline(now.mono);
        let expired = self.expire_reports(now);
        if !self.is_present() {
            self.profile.note_absence();
        }
        expired
    }

    fn expire_reports(&mut self, now: Now) -> Vec<ExpiredSource> {
        if self.report_deadline().is_none_or(|at| at > now.mono) {
            return Vec::new();
        }
        let before: Vec<ExpiredSource> = self
            .profile
            .reports()
            .iter()
            .map(|report| ExpiredSource {
                source: report.source.clone(),
                version: report.version,
            })
            .collect();
        self.profile.on_deadline(now.mono);
        let left = self.profile.reports();
        before
            .into_iter()
            .filter(|expired| !left.iter().any(|report| report.source == expired.source))
            .collect()
    }

    /// The next moment at which [`Self::expire`] has something to do.
    pub(in crate::engine) fn next_deadline(&self) -> Option<Mono> {
        let deadlines = [
            self.sessions.next_deadline(),
            self.profile.chosen_until(),
            self.report_deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Applies the rule. What must be published then is pending.
    pub(in crate::engine) fn apply_rule(&mut self, now: Wall) {
        let own = self.sessions.contribution();
        if self.remote.is_none() {
            return self.profile.apply_rule(now, &[own]);
        }
        let remote = self.remote().iter().map(|remote| remote.contribution);
        let all: Vec<Contribution> = std::iter::once(own).chain(remote).collect();
        self.profile.apply_rule(now, &all);
    }

    /// What is pending, with the revision that `next` gives after the one before.
    pub(in crate::engine) fn publish(&mut self, next: impl FnOnce(Revision) -> Revision) -> Option<Published> {
        self.profile.publish(next)
    }

    /// The record as `viewer` may see it.
    pub(in crate::engine) fn record(&self, user: &UserId, cluster: &Cluster, viewer: Viewer) -> Record {
        let (node, freshness) = (cluster.node(), cluster.freshness_of(user));
        let own = (node, self.sessions.contribution());
        let record = if self.remote.is_none() {
            self.profile.record(user, &[own], viewer, freshness)
        } else {
            let remote = self
                .remote()
                .iter()
                .map(|remote| (remote.node.as_str(), cluster.current(user, remote)));
            let all: Vec<(&str, Contribution)> = std::iter::once(own).chain(remote).collect();
            self.profile.record(user, &all, viewer, freshness)
        };
        Record {
            revision: cluster.told(record.revision),
            ..record
        }
    }

    /// The sessions on this node, beside what other nodes contribute.
    pub(in crate::engine) fn sessions_beside<'a>(
        &'a self,
        node: &'a str,
        others: &'a [OtherSessions],
    ) -> NodeSessions<'a> {
        NodeSessions {
            node,
            sessions: &self.sessions,
            others,
        }
    }

    pub(in crate::engine) fn explain(
        &self,
        user: &UserId,
        now: Now,
        here: NodeSessions<'_>,
        name_of: impl Fn(SessionId) -> String,
    ) -> Explain {
        presence::explain::explain(user, now, here, &self.profile, name_of)
    }

    pub(super) fn remote(&self) -> &[NodeContribution] {
        self.remote.as_ref().map_or(&[], |remote| &remote.0)
    }

    fn report_deadline(&self) -> Option<Mono> {
        self.profile.report_deadline().filter(|_| !self.is_refreshing_report)
    }
}

/// Contributions of other nodes, behind one pointer: most users have none.
#[derive(Debug)]
pub(super) struct RemoteContributions(pub(super) Vec<NodeContribution>);

/// The user has as many reports as one may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct TooManyReports;
