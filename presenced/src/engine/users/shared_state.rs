//! The state of one user on a node among others: what this node says of it, and how what the log says takes effect.

use std::time::Duration;

use presence::replication::{
    CLOCKS_DIFFER_MAX, CommandKind, FreedPlace, GRACE_LATE, Knowledge, MovedTimes, SharedPart, State,
};
use presence::wire::record::{Record, Viewer};
use presence::{
    Activity, Adopted, Contribution, Decision, EndReason, Freshness, GracePeriod, Mono, Now, Profile, Published,
    SessionId, Sessions, Timers, UserId, Wall,
};

use super::user_state::{RemoteContributions, UserState};
use crate::cluster::{Cluster, NodeContribution};

/// Connections that nothing came from since the registration of this node was ended: they count as in grace.
#[derive(Debug, Clone)]
pub(super) struct Unconfirmed {
    sessions: Vec<SessionId>,
    /// Until when; none if that is over, and they don't count at all.
    until: Option<Mono>,
}

/// What this node said of a user and the log does not have yet.
pub(in crate::engine) struct Said {
    pub(in crate::engine) adopted: Adopted,
    /// What the other nodes contribute.
    pub(in crate::engine) others: Vec<NodeContribution>,
    /// The time of the record.
    pub(in crate::engine) at: Wall,
}

impl UserState {
    /// What this node says of the user.
    pub(in crate::engine) fn knowledge(&self, now: Now) -> Knowledge {
        let sessions = self.said_sessions(now);
        let contribution = sessions.contribution();
        let profile = &self.profile;
        Knowledge {
            grace_until: sessions.grace().map(|grace| now.wall_at(grace.until)),
            places: sessions.grace().map_or(0, GracePeriod::places),
            sessions: sessions.named_places().collect(),
            durable: (!profile.is_assumed()).then(|| self.shared_part(now)),
            assumed: profile.durable_part().preference.custom,
            chosen_until: profile.chosen_until().map(|until| now.wall_at(until)),
            shown: profile.since().map(|since| (profile.decision().status, since)),
            last_seen: contribution.last_seen.max(profile.last_seen()),
            last_active: contribution.last_active.max(profile.last_active()),
            has_unlogged_times: profile.has_unlogged_times(),
            revision: profile.revision(),
            contribution,
        }
    }

    /// The sessions as the others are told of them: graces end later, so that a session begun elsewhere in time is known.
    fn said_sessions(&self, now: Now) -> Sessions {
        let mut sessions = self.sessions.clone();
        if let Some(unconfirmed) = &self.unconfirmed {
            let left = unconfirmed.until.map_or(Duration::ZERO, |until| until.since(now.mono));
            for session in &unconfirmed.sessions {
                sessions.handle_end(now, *session, EndReason::Dropped, left);
            }
        }
        sessions.on_deadline(late(now.mono));
        sessions
    }

    /// Custom status and reports with deadlines on the clock of records.
    pub(in crate::engine) fn shared_part(&self, now: Now) -> SharedPart {
        let mut part = self.profile.durable_part().clone();
        let ends = part
            .reports
            .iter()
            .map(|report| report.expires.map(|at| now.wall_at(at)));
        let ends = ends.collect();
        for report in &mut part.reports {
            report.expires = None;
        }
        SharedPart { part, ends }
    }

    /// The log, or this node alone, says so: it is what is told from here on.
    pub(in crate::engine) fn adopt(
        &mut self,
        adopted: Adopted,
        others: Vec<NodeContribution>,
        now: Wall,
    ) -> Option<Published> {
        self.offered = None;
        self.set_remote(others);
        self.profile.adopt(adopted, now.after(CLOCKS_DIFFER_MAX))
    }

    /// The user comes into memory as the log has it, which is yet to be told here.
    pub(in crate::engine) fn adopt_read(&mut self, adopted: Adopted, others: Vec<NodeContribution>, now: Wall) {
        self.set_remote(others);
        self.profile.adopt_read(adopted, now.after(CLOCKS_DIFFER_MAX));
    }

    /// What observers must be told of a user that came into memory as the log has it.
    pub(in crate::engine) fn publish_read(&mut self) -> Option<Published> {
        self.profile.publish_read()
    }

    fn set_remote(&mut self, others: Vec<NodeContribution>) {
        self.remote = (!others.is_empty()).then(|| Box::new(RemoteContributions(others)));
    }

    /// The record if the log said so, which it does not yet.
    pub(in crate::engine) fn said_record(
        &self,
        said: Said,
        user: &UserId,
        cluster: &Cluster,
        viewer: Viewer,
    ) -> Record {
        let mut profile: Profile = self.profile.clone();
        profile.adopt(said.adopted, said.at.after(CLOCKS_DIFFER_MAX));
        let others = said
            .others
            .iter()
            .map(|one| (one.node.as_str(), cluster.current(user, one)));
        let own = (cluster.node(), self.sessions.contribution());
        let all: Vec<(&str, Contribution)> = std::iter::once(own).chain(others).collect();
        let record = profile.record(user, &all, viewer, Freshness::Stale);
        Record {
            revision: cluster.told(record.revision),
            ..record
        }
    }

    /// How many connections of the user the other nodes have; those of nodes that are gone are in grace.
    pub(in crate::engine) fn connections_elsewhere(&self, user: &UserId, cluster: &Cluster) -> usize {
        let current = self.remote().iter().map(|remote| cluster.current(user, remote));
        let connections = current.map(|contribution| contribution.connections);
        connections.fold(0_u32, u32::saturating_add) as usize
    }

    /// The times of the user moved alone.
    pub(in crate::engine) fn note_times(&mut self, times: &MovedTimes) {
        self.profile.adopt_times(Some(times.last_seen), times.last_active);
    }

    /// What this node heard of the user is what its record says from here on; the others are told.
    pub(in crate::engine) fn take_times(&mut self) {
        self.profile.note_times(&self.sessions.contribution());
    }

    /// The reason of a status that the log has.
    pub(in crate::engine) fn decision_of(state: &State) -> Decision {
        let shares = state.contributions.iter().map(|share| share.contribution);
        let all: Vec<Contribution> = shares.collect();
        let chosen = state.chosen_until.map_or(Activity::Unknown, |_| Activity::Active);
        let part = &state.durable.part;
        Decision {
            status: state.status,
            ..presence::decide(&all, &part.reports, &part.preference, chosen)
        }
    }

    /// The user is as one never seen, but for sessions that began since.
    pub(in crate::engine) fn forget_record(&mut self) {
        self.profile = Profile::default();
        self.remote = None;
    }

    /// An operator ends the sessions of this node. Of a forgotten user nothing that was heard counts any more. How many
    /// connections there were.
    pub(in crate::engine) fn end_sessions(&mut self, kind: CommandKind) -> usize {
        let ended = self.sessions.handle_kick();
        if kind == CommandKind::Forget {
            self.sessions = Sessions::default();
            self.profile.forget_times();
        }
        self.unconfirmed = None;
        ended
    }

    /// Until when the lost session of this run has its place, if it has one.
    pub(in crate::engine) fn place_until(&self, of: SessionId) -> Option<Mono> {
        self.sessions.place_until(of)
    }

    /// The connection is refused, which had taken this place.
    pub(in crate::engine) fn give_place_back(&mut self, now: Now, id: SessionId, place: FreedPlace, timers: &Timers) {
        let until = place.until.unwrap_or(now.mono.after(timers.grace));
        self.sessions.handle_place_back(now, id, place.of, until);
    }

    /// A session on another node continues this one. Whether it had a place, or would have got one.
    pub(in crate::engine) fn give_up_place(&mut self, now: Now, session: SessionId) -> bool {
        self.sessions.handle_continued(now, session)
    }

    /// The connection counts as what it continues on another node, until it reports activity.
    pub(in crate::engine) fn inherit(&mut self, now: Now, id: SessionId, activity: Activity, timers: &Timers) {
        self.sessions.handle_grace_elsewhere(now, id, activity, timers.grace);
    }

    /// The connection does not continue what is in grace after all.
    pub(in crate::engine) fn disinherit(&mut self, id: SessionId) {
        self.sessions.handle_not_continued(id);
    }

    /// The activity of what is in grace on other nodes.
    pub(in crate::engine) fn grace_elsewhere(&self, user: &UserId, cluster: &Cluster) -> Activity {
        let current = self.remote().iter().map(|remote| cluster.current(user, remote));
        let graces = current.filter_map(|contribution| contribution.grace);
        graces.fold(Activity::Unknown, Activity::and)
    }

    /// Deadlines of the sessions of this node take effect, graces later than agreed.
    pub(in crate::engine) fn expire_sessions(&mut self, now: Now) {
        self.sessions.on_deadline(late(now.mono));
        if let Some(unconfirmed) = &mut self.unconfirmed {
            unconfirmed.until = unconfirmed.until.filter(|until| *until > late(now.mono));
        }
    }

    /// Until something comes from them the connections of this node count as in grace.
    pub(in crate::engine) fn doubt(&mut self, until: Mono) {
        let sessions: Vec<SessionId> = self.sessions.connections().iter().map(|one| one.id).collect();
        self.unconfirmed = (!sessions.is_empty()).then(|| {
            let until = Some(until);
            Box::new(Unconfirmed { sessions, until })
        });
    }

    /// Something came from the connection. Whether that was in doubt.
    pub(super) fn confirm(&mut self, session: SessionId) -> bool {
        let Some(unconfirmed) = &mut self.unconfirmed else {
            return false;
        };
        let before = unconfirmed.sessions.len();
        unconfirmed.sessions.retain(|one| *one != session);
        let is_confirmed = unconfirmed.sessions.len() < before;
        if unconfirmed.sessions.is_empty() {
            self.unconfirmed = None;
        }
        is_confirmed
    }

    /// The next moment at which what this node says of the user changes by itself: the log's deadlines are the partition's.
    pub(in crate::engine) fn next_shared_deadline(&self) -> Option<Mono> {
        let doubt = self.unconfirmed.as_ref().and_then(|one| one.until);
        let first = [self.sessions.next_deadline(), doubt].into_iter().flatten().min();
        first.map(|at| at.after(GRACE_LATE))
    }

    /// Whether what this node knows changes the status, and was not offered yet: what is on its way to the log is no further
    /// change.
    pub(in crate::engine) fn offer_changes(&mut self, now: Wall) -> bool {
        let own = self.sessions.contribution();
        let remote = self.remote().iter().map(|remote| remote.contribution);
        let all: Vec<Contribution> = std::iter::once(own).chain(remote).collect();
        let mut profile = self.profile.clone();
        profile.apply_rule(now, &all);
        let offered = profile.is_publication_pending().then(|| profile.decision().status);
        let before = std::mem::replace(&mut self.offered, offered);
        offered.is_some() && offered != before
    }

    /// Whether a change of this node is on its way to the log.
    pub(in crate::engine) fn has_offered(&self) -> bool {
        self.offered.is_some()
    }

    /// The last offer was not made.
    pub(in crate::engine) fn withdraw_offer(&mut self) {
        self.offered = None;
    }
}

/// What has passed by now among others: everything ends later there.
fn late(now: Mono) -> Mono {
    Mono::from_millis(
        now.as_millis()
            .saturating_sub(u64::try_from(GRACE_LATE.as_millis()).unwrap_or(0)),
    )
}
