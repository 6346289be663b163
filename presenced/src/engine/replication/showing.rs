//! What the log says of a user takes effect on this node: the record, the index, the watchers.

use std::collections::BTreeMap;
use std::time::Duration;

use presence::explain::{OtherSessions, SessionAnswer};
use presence::replication::{CommandKind, Incarnation, MovedTimes, Share, State};
use presence::{Adopted, Now, Profile, Reason, Revision, SessionId, Status, UserId, Wall};
use tokio::task::yield_now;

use super::EFFECTS_AT_ONCE;
use crate::cluster::{NodeContribution, Shared};
use crate::connection::close_reason::{CloseReason, RetryAfter};
use crate::engine::Engine;
use crate::engine::publisher::Publication;
use crate::engine::users::{LockedEntry, UserState};
use crate::store::Row;

/// What other runs told of their connections of a user.
pub(crate) type SessionAnswers = BTreeMap<Incarnation, SessionAnswer>;

/// What is told of a user beside the state.
#[derive(Clone, Copy)]
pub(super) struct Showing {
    pub(super) revision: Revision,
    /// Whether watchers see a change by it.
    pub(super) is_seen: bool,
    /// Whether the log has it: if not, this node alone says so, or the database.
    pub(super) is_logged: bool,
}

impl Showing {
    /// A change that the log does not have: times that were heard here and that it may lack are still to be told.
    const fn unlogged(revision: Revision) -> Self {
        Self {
            revision,
            is_seen: true,
            is_logged: false,
        }
    }
}

impl Engine {
    /// The user is as the state says. Of who is not in memory it is not known what was told, so without a change that watchers
    /// see it is not told again.
    pub(super) fn show(&self, shared: &Shared, user: &UserId, shown: Showing, state: &State) {
        let Showing {
            revision,
            is_seen,
            is_logged,
        } = shown;
        let mut entry = self.unknown_entry(user);
        entry.overtake_loads();
        let now = self.now_of(&entry);
        let publishing = self.publisher.begin(&entry);
        let others = contributions_of_others(state, shared);
        let told = entry.state.profile().revision();
        let revision = state.changed.filter(|changed| *changed >= told).unwrap_or(revision);
        self.count_custom_status(&entry, state, now);
        let is_own = entry.state.has_offered();
        if !is_logged {
            // Among the times of the record are those of the sessions here: the log is to have them, also if those end before.
            entry.state.take_times();
        }
        let adopted = Adopted {
            is_logged,
            ..self.adopted(state, revision)
        };
        let published = entry.state.adopt(adopted, others, now.wall);
        let published = published.filter(|_| is_seen || told != Revision::NEVER);
        if published.is_some() && !is_own {
            self.limits.note_published_change(user, now.mono);
        }
        self.deliver(publishing, &mut entry, now, published);
        self.arm(&mut entry, now);
        // The row may have been read after this was offered: what it said is forgotten by the entry, so it is read once more.
        if state.degraded && state.share_of(shared.incarnation()).is_some() {
            self.persistence.pending_loads.push(entry.pin());
        }
    }

    /// A custom status that this node does not know yet was set over another one.
    fn count_custom_status(&self, entry: &LockedEntry<'_>, state: &State, now: Now) {
        let (known, new) = (entry.state.profile().preference(), &state.durable.part.preference);
        let is_recent = |set_at: Wall| now.wall.since(set_at) < self.limits.counts_for();
        if new.version > known.version && new.set_at.is_some_and(is_recent) {
            self.limits.note_custom_status(entry.user(), now.mono);
        }
    }

    /// The times of the user moved alone.
    pub(super) fn show_times(&self, times: &MovedTimes) {
        if let Some(mut entry) = self.users.find(&times.user) {
            entry.state.note_times(times);
        }
    }

    /// The record that the state makes, at this revision.
    pub(super) fn adopted(&self, state: &State, revision: Revision) -> Adopted {
        let now = self.clock.read().for_user(None);
        let mut durable = state.durable.part.clone();
        for (report, end) in durable.reports.iter_mut().zip(&state.durable.ends) {
            report.expires = end.map(|end| now.mono.after(end.since(now.wall)));
        }
        let chosen_until = state.chosen_until.map(|until| now.mono.after(until.since(now.wall)));
        Adopted {
            durable,
            decision: UserState::decision_of(state),
            since: state.since,
            last_seen: state.last_seen,
            last_active: state.last_active,
            degraded: state.degraded,
            chosen_until,
            revision,
            is_logged: true,
        }
    }

    /// What the log says of a user that is not in memory: the database may not have it yet. Must not be called under the lock
    /// of a user.
    pub(in crate::engine) fn shown(&self, user: &UserId) -> Option<(Revision, State)> {
        let shared = self.cluster.shared()?;
        let shown = shared.partition_of(user).machine().shown(user);
        shown.filter(|(_, state)| !state.is_removed())
    }

    /// What other runs contribute to a user. Must not be called under the lock of a user.
    pub(in crate::engine) fn sessions_elsewhere(&self, user: &UserId, mut told: SessionAnswers) -> Vec<OtherSessions> {
        let Some(shared) = self.cluster.shared() else {
            return Vec::new();
        };
        let machine = shared.partition_of(user).machine();
        let state = machine.shown(user).map(|(_, state)| state).unwrap_or_default();
        let now = self.clock.read().for_user(None);
        let others = state
            .contributions
            .iter()
            .filter(|share| share.incarnation != shared.incarnation());
        let other = |share: &Share| {
            let ends = machine.contributions_end(share.incarnation);
            let contribution = match ends {
                Some(_) => share.contribution.in_grace(),
                None => share.contribution,
            };
            OtherSessions {
                node: shared.name_of(share.incarnation).as_str().to_owned(),
                contribution,
                ends,
                grace_until: ends.map(|at| now.wall_at(at)).or(share.grace_until),
                places: match ends {
                    Some(_) => share.all_places().saturating_sub(state.continued_of(share.incarnation)),
                    None => share.places,
                },
                told: told.remove(&share.incarnation).unwrap_or_default(),
            }
        };
        others.map(other).collect()
    }

    /// The other runs that have connections of a user. Must not be called under the lock of a user.
    pub(in crate::engine) fn runs_with_connections(&self, user: &UserId) -> Vec<Incarnation> {
        let Some(shared) = self.cluster.shared() else {
            return Vec::new();
        };
        let machine = shared.partition_of(user).machine();
        let state = machine.shown(user).map(|(_, state)| state).unwrap_or_default();
        let is_open = |share: &&Share| share.contribution.connections > 0 && share.incarnation != shared.incarnation();
        let open = state
            .contributions
            .iter()
            .filter(is_open)
            .map(|share| share.incarnation);
        open.filter(|run| machine.contributions_end(*run).is_none()).collect()
    }

    /// The state of a user that comes into memory: as the row says, or as the log does. Whoever was told here as present is in
    /// memory, so one of whom the log says so is yet to be told.
    pub(in crate::engine) fn shown_state(
        &self,
        user: &UserId,
        row: Option<Row>,
        shown: Option<(Revision, State)>,
    ) -> UserState {
        let mut entry = self.state_of(user, row);
        if let (Some((revision, state)), Some(shared)) = (shown, self.cluster.shared()) {
            let revision = state.changed.unwrap_or(revision);
            let now = entry.now(self.clock.read());
            let others = contributions_of_others(&state, shared);
            entry.adopt_read(self.adopted(&state, revision), others, now.wall);
        }
        entry
    }

    /// Observers are told of a user that has come into memory by [`Self::shown_state`], in one step with that: who watches the user
    /// from now on is sent the record, and nobody is told twice.
    pub(in crate::engine) fn tell_read(&self, entry: &mut LockedEntry<'_>) {
        let publishing = self.publisher.begin(entry);
        let published = entry.state.publish_read();
        if published.is_some() {
            let now = self.now_of(entry);
            self.deliver(publishing, entry, now, published);
        }
    }

    /// The user was removed at this revision. If that was told before, it is not told again, though the user may have left
    /// memory since.
    pub(super) fn show_removal(&self, user: &UserId, revision: Revision, was_removed: bool) {
        let mut entry = self.unknown_entry(user);
        entry.overtake_loads();
        if entry.changed_at() < revision && !was_removed {
            self.show_removed(&mut entry, revision);
        }
    }

    /// The user in memory; as one of whom nothing is known if it was not there.
    fn unknown_entry(&self, user: &UserId) -> LockedEntry<'_> {
        self.users.insert(user, || {
            (UserState::new(Profile::default(), Vec::new()), Publication::default())
        })
    }

    fn show_removed(&self, entry: &mut LockedEntry<'_>, revision: Revision) {
        let now = self.now_of(entry);
        let publishing = self.publisher.begin(entry);
        if let Some(status) = entry.listing.status() {
            self.metrics.transition(status, Status::Offline, Reason::NoSession);
        }
        entry.state.forget_record();
        self.cluster.note_removal(revision);
        self.index.update(entry);
        self.publisher.publish_removal(&publishing, entry, now, revision);
    }

    /// The user has left the state, and the database has this record. Not told while nobody may become OFFLINE: whether it may be
    /// told.
    pub(super) fn show_stored(&self, shared: &Shared, user: &UserId, row: Option<Row>) -> bool {
        if row.as_ref().is_some_and(|row| row.status != Status::Offline) {
            // The user has come back since: the log tells it.
            return true;
        }
        let machine = shared.partition_of(user).machine();
        if machine.is_holding(self.clock.mono()) {
            return false;
        }
        let state = State {
            since: row.as_ref().and_then(|row| row.since),
            last_seen: row.as_ref().and_then(|row| row.last_seen),
            last_active: row.as_ref().and_then(|row| row.last_active),
            ..State::default()
        };
        let now = self.clock.record_time(None);
        let revision = row.map_or(Revision::NEVER, |row| self.told_of_row(user, row.revision, now));
        // Who is in the state again is told after this.
        if machine.shown(user).is_none_or(|(shown, _)| shown < revision) {
            self.show(shared, user, Showing::unlogged(revision), &state);
        }
        true
    }

    /// The user has left the state, and the database does not say when: it is OFFLINE, as far as is known here, until it does. Not
    /// told while nobody may become OFFLINE: whether it may be told.
    pub(super) fn show_without_record(&self, shared: &Shared, user: &UserId) -> bool {
        let machine = shared.partition_of(user).machine();
        if machine.is_holding(self.clock.mono()) {
            return false;
        }
        let told = self.users.find(user).map(|entry| {
            let profile = entry.state.profile();
            (profile.decision().status, profile.revision())
        });
        if let Some((status, told)) = told
            && status != Status::Offline
            && machine.shown(user).is_none()
        {
            let state = State {
                degraded: true,
                ..State::default()
            };
            // Below the one that the database has: that came after what was told.
            let revision = Revision::new(told.get() + 1);
            self.show(shared, user, Showing::unlogged(revision), &state);
        }
        true
    }
}

impl Engine {
    /// An operator ended the sessions of the user that are open now.
    pub(super) fn end_sessions(&self, shared: &Shared, user: &UserId, kind: CommandKind, count: usize) {
        if let Some(mut entry) = self.users.find(user) {
            entry.state.end_sessions(kind);
            entry.close_connections(kind);
        }
        let (partition, of) = (shared.partition_of(user), user.clone());
        partition.tell(move |machine, input| machine.handle_sessions_ended(input, &of));
        // Whoever reads the user waits for that, as for any change.
        partition.touch(user);
        self.waiting.command_is_done(user, count);
    }

    /// Sessions on other nodes continue these.
    pub(super) fn give_up_places(&self, user: &UserId, sessions: &[SessionId]) {
        let Some(mut entry) = self.users.find(user) else { return };
        let now = self.now_of(&entry);
        let given_up = sessions
            .iter()
            .filter(|session| entry.state.give_up_place(now, **session))
            .count();
        if given_up > 0 {
            self.recompute(&mut entry, now);
        }
    }

    /// The registration of this node was ended: what it tells of its connections is to be shown to be true.
    pub(super) async fn doubt_all(&self, number: u16, grace: Duration) {
        for some in self.users.connected_in(number).chunks(EFFECTS_AT_ONCE) {
            some.iter().for_each(|user| self.doubt(user, grace));
            yield_now().await;
        }
    }

    fn doubt(&self, user: &UserId, grace: Duration) {
        let Some(mut entry) = self.users.find(user) else { return };
        let now = self.now_of(&entry);
        entry.state.doubt(now.mono.after(grace));
        let connections = entry.connections().to_vec();
        self.recompute(&mut entry, now);
        drop(entry);
        for conn in connections {
            conn.probe(now.mono);
        }
    }

    /// The node was away for so long that it can't know who was kicked or forgotten meanwhile.
    pub(super) async fn end_all_sessions(&self, number: u16) {
        for some in self.users.connected_in(number).chunks(EFFECTS_AT_ONCE) {
            for user in some {
                let connections = self.users.find(user).map(|entry| entry.connections().to_vec());
                for conn in connections.into_iter().flatten() {
                    conn.close_with(CloseReason::Draining {
                        retry_after: RetryAfter::default(),
                    });
                }
            }
            yield_now().await;
        }
    }

    /// All users of a partition with sessions here are told to it anew, with what the database has of them.
    pub(super) fn offer_all(&self, shared: &Shared, number: u16) {
        let users = self.users.connected_in(number);
        for user in &users {
            shared.partition_of(user).touch(user);
        }
        self.stored_reads.ask_for_parts(users);
    }
}

/// What the other nodes contribute.
pub(super) fn contributions_of_others(state: &State, shared: &Shared) -> Vec<NodeContribution> {
    let others = state
        .contributions
        .iter()
        .filter(|share| share.incarnation != shared.incarnation());
    let contribution = |share: &Share| NodeContribution {
        node: shared.name_of(share.incarnation),
        incarnation: share.incarnation,
        contribution: share.contribution,
    };
    others.map(contribution).collect()
}
