//! What must hold at every step. The names are those of the invariants in the notes on the cluster: S for safety.

use presence::replication::{Answer, Call, Content, Incarnation, Outcome, State};
use presence::{Contribution, Revision, Status, UserId, decide};

use super::node::ToldState;
use super::world::{ClientCursor, SECOND, World};
use crate::model::Partition;

/// Which machine of which node acts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Actor {
    pub(crate) node: usize,
    pub(crate) incarnation: Incarnation,
    pub(crate) partition: usize,
}

impl World {
    /// Whether the user has had a session for over a second at a node that is neither stopped nor cut off by itself.
    fn is_surely_present(&self, user: &UserId) -> bool {
        self.nodes.iter().any(|node| {
            let since = node.users.get(user).and_then(|shell| {
                let is_present = shell.is_present(node.mono(self.now)) && shell.unconfirmed.is_empty();
                shell.present_since.filter(|_| is_present)
            });
            let is_well = node.is_alive && !node.is_stalled && !node.is_stopping && node.faulty_until < self.now;
            is_well && since.is_some_and(|since| since + SECOND < self.now)
        })
    }

    /// Notes when epochs change, for S3.
    pub(crate) fn watch(&mut self, index: usize, partition: usize) {
        let now = self.now;
        let node = &mut self.nodes[index];
        if !node.partitions[partition].is_reachable() {
            node.reachable_since.remove(&partition);
        } else {
            node.reachable_since.entry(partition).or_insert(now);
        }
        if let Some((epoch, _)) = node.partitions[partition].position() {
            let since = node.epoch_since.entry(partition).or_insert((epoch, now));
            if since.0 != epoch {
                *since = (epoch, now);
            }
        }
        if node.partitions[partition].waiting() > node.users.len().max(8) {
            self.fail(format!("S14: node {index} has more users waiting than there are"));
        }
    }

    fn is_holding(&self, index: usize, partition: usize) -> bool {
        let node = &self.nodes[index];
        let hold = 5 * SECOND - 2_000;
        let since = node.reachable_since.get(&partition);
        since.is_none_or(|since| since + hold > self.now) || !node.partitions[partition].is_reachable()
    }

    pub(crate) fn check_shown(&mut self, at: (usize, usize), user: &UserId, revision: Revision, state: &State) {
        let (index, partition) = at;
        let status = state.status;
        let is_stale = !self.nodes[index].partitions[partition].is_reachable();
        self.note(|| {
            let stale = if is_stale { " stale" } else { "" };
            format!("node {index}: tells {user} {status:?} at {}{stale}", revision.get())
        });
        let told = self.nodes[index].told.get(user).cloned();
        if told.as_ref().is_some_and(|told| told.revision >= revision) {
            self.fail(format!(
                "S1: node {index} tells {user} at {} after {told:?}",
                revision.get()
            ));
        }
        let was_present = told.is_some_and(|told| told.status != Status::Offline);
        if was_present && status == Status::Offline {
            self.check_offline_told(index, partition, user);
        }
        if state.last_active > state.last_seen || state.last_seen > Some(self.latest()) {
            self.fail(format!("S8: {user}: {:?}, {:?}", state.last_active, state.last_seen));
        }
        let version = state.durable.part.version;
        let told = ToldState {
            revision,
            status,
            version,
        };
        self.nodes[index].told.insert(user.clone(), told);
        let node = &mut self.nodes[index];
        if let Some(shell) = node.users.get_mut(user) {
            if shell.durable.as_ref().is_some_and(|known| known.part.version < version) {
                shell.durable = Some(state.durable.clone());
            }
            if status == Status::Offline && !shell.sessions.is_present() {
                node.users.remove(user);
            }
        }
    }

    fn check_offline_told(&mut self, index: usize, partition: usize, user: &UserId) {
        if self.is_holding(index, partition) {
            self.fail(format!("S3: node {index} tells OFFLINE of {user} while it must not"));
        }
        let is_cut_off = self.nodes[index].faulty_until > self.now;
        if self.is_surely_present(user) && self.is_up && !is_cut_off && !self.was_commanded(user) {
            self.fail(format!("S2: node {index} tells OFFLINE of {user}, who is present"));
        }
    }

    fn was_commanded(&self, user: &UserId) -> bool {
        self.commanded.get(user).is_some_and(|at| at + 10 * SECOND > self.now)
    }

    /// The latest time that anything may carry.
    fn latest(&self) -> presence::Wall {
        presence::Wall::from_millis(i64::try_from(self.max_time.max(self.now + 30 * SECOND) / 1_000 + 1_000).unwrap())
    }

    pub(crate) fn check_left(&mut self, index: usize, partition: usize, user: &UserId) {
        self.note(|| format!("node {index}: {user} has left"));
        let row = self.database.rows.get(user).cloned().unwrap_or_default();
        let told = self.nodes[index].told.get(user).cloned();
        let was_present = told.as_ref().is_some_and(|told| told.status != Status::Offline);
        if was_present {
            self.check_offline_told(index, partition, user);
        }
        if row.status != Status::Offline {
            self.fail(format!(
                "S9: node {index}: {user} has left, and the database has {:?}",
                row.status
            ));
        }
        let known = told.map_or(Revision::NEVER, |told| told.revision);
        let told = ToldState {
            revision: row.revision.max(known),
            status: row.status,
            version: row.durable.part.version,
        };
        self.nodes[index].told.insert(user.clone(), told);
    }

    pub(crate) fn check_call(&mut self, index: usize, partition: usize, call: &Call) {
        if let Call::End { ended, .. } = call {
            self.check_silence(index, partition, *ended);
        }
        let Call::Offer { users, .. } = call else { return };
        for offer in users {
            let state = State::decode(&offer.state).unwrap();
            let copied = self.nodes[index].partitions[partition].copied(&offer.user);
            let was_present =
                copied.is_some_and(|(revision, state)| offer.base == Some(revision) && state.is_present());
            let is_becoming = was_present && !state.is_present() && state.command.is_none();
            if is_becoming && self.is_holding(index, partition) {
                self.fail(format!(
                    "S3: node {index} offers OFFLINE of {} while it must not",
                    offer.user
                ));
            }
        }
    }

    /// Looks at what a script did.
    pub(crate) fn check_script(&mut self, actor: Actor, before: &Partition, call: &Call, answer: &Answer) {
        let after = self.partitions[actor.partition].clone();
        self.check_log(before, &after);
        match (call, answer) {
            (Call::Offer { users, .. }, Answer::Offered { outcomes, .. }) => {
                for (offer, outcome) in users.iter().zip(outcomes) {
                    if let Outcome::Taken(revision) = outcome {
                        let stored = before
                            .state
                            .get(&offer.user)
                            .map(|(_, bytes)| State::decode(bytes).unwrap());
                        let state = State::decode(&offer.state).unwrap();
                        self.note(|| {
                            let shares: Vec<_> = state
                                .contributions
                                .iter()
                                .map(|share| share.incarnation.0 % 1000)
                                .collect();
                            format!(
                                "  node {} sets {} {:?} {shares:?} v{} at {}",
                                actor.node,
                                offer.user,
                                state.status,
                                state.durable.part.version.get(),
                                revision.get()
                            )
                        });
                        self.check_state(actor, &offer.user, stored.as_ref(), &state);
                    }
                }
            }
            (Call::End { ended, grace, .. }, Answer::Noted { revision: Some(_), .. }) => {
                self.check_end_of(actor, *ended, *grace);
            }
            (Call::Drop { users, .. }, Answer::Noted { revision: Some(_), .. }) => {
                for (user, revision) in users.iter().filter(|(user, _)| !after.state.contains_key(user)) {
                    let row = self.database.rows.get(user).cloned().unwrap_or_default();
                    let was_there = before.state.contains_key(user);
                    if was_there && (row.revision < *revision && !row.is_deleted || row.status != Status::Offline) {
                        self.fail(format!(
                            "S9: {user} was dropped at {revision:?}, the database has {row:?}"
                        ));
                    }
                }
            }
            _ => {}
        }
    }

    fn check_log(&mut self, before: &Partition, after: &Partition) {
        let mut last = before.log.back().map_or(Revision::NEVER, |entry| entry.id);
        let mut named = None;
        let newest = last;
        for entry in after.log.iter().filter(|entry| entry.id > newest) {
            if entry.id <= last || named.is_some_and(|named| named != entry.before) {
                self.failures.push(format!("S4: the log is out of order at {entry:?}"));
            }
            last = entry.id;
            named = Some(entry.id);
            if let Content::State { user, state, .. } = &entry.content
                && after
                    .state
                    .get(user)
                    .is_none_or(|(revision, bytes)| *revision == entry.id && bytes != state)
            {
                self.failures
                    .push(format!("S4: {user} is not in the state as in the log"));
            }
        }
        let top = after.log.back().map(|entry| entry.id);
        if top.is_some_and(|top| top != after.head) && after.head != before.head {
            self.failures.push("S4: the head is not the last id".to_owned());
        }
    }

    /// What an ended node contributed counts until its grace is over, unless it says otherwise itself.
    fn check_graces(&mut self, actor: Actor, user: &UserId, stored: Option<&State>, state: &State) {
        let shares = stored.map(|stored| stored.contributions.clone()).unwrap_or_default();
        let gone = shares
            .iter()
            .map(|share| share.incarnation)
            .filter(|one| state.share_of(*one).is_none());
        for incarnation in gone {
            let until = self.graces.get(&(actor.partition, incarnation)).copied().unwrap_or(0);
            if incarnation != actor.incarnation && self.now + 1_000 < until && state.command.is_none() {
                self.fail(format!(
                    "S15: node {} removes what {incarnation} contributes to {user} before its grace is over",
                    actor.node
                ));
            }
        }
    }

    fn check_state(&mut self, actor: Actor, user: &UserId, stored: Option<&State>, state: &State) {
        let shares: Vec<Contribution> = state.contributions.iter().map(|share| share.contribution).collect();
        let part = &state.durable.part;
        let chosen = match state.chosen_until {
            Some(_) => presence::Activity::Active,
            None => presence::Activity::Unknown,
        };
        let decision = decide(&shares, &part.reports, &part.preference, chosen);
        if decision.status != state.status {
            self.fail(format!(
                "S6: {user} is {:?}, the rule says {:?}",
                state.status, decision.status
            ));
        }
        if let Some(stored) = stored {
            let has_changed = stored.status != state.status;
            if has_changed != (stored.since != state.since) && !state.is_removed() && stored.since.is_some() {
                // Two changes within a millisecond have the same time.
                if !has_changed {
                    self.fail(format!(
                        "S6: since of {user} moved from {:?} to {:?}",
                        stored.since, state.since
                    ));
                }
            }
            if part.version < stored.durable.part.version {
                self.fail(format!("S7: the version of {user} fell to {}", part.version.get()));
            }
            if (state.last_seen < stored.last_seen || state.last_active < stored.last_active)
                && state.command == stored.command
            {
                self.fail(format!("S8: the times of {user} fell"));
            }
        }
        if let Some(command) = state.command {
            // A new epoch may have lost it, and be told of it anew.
            let first = self.first_commanded.entry((user.clone(), command.by, command.at));
            let first = *first.or_insert(self.now);
            self.commanded.insert(user.clone(), first);
        }
        let committed = self
            .database
            .rows
            .get(user)
            .map(|row| row.durable.part.version)
            .unwrap_or_default();
        if part.version > committed {
            self.fail(format!(
                "S7: {user} has version {}, {} was committed",
                part.version.get(),
                committed.get()
            ));
        }
        self.check_command(actor, user, stored, state);
        self.check_graces(actor, user, stored, state);
        self.check_presence(actor, user, stored, state);
    }

    /// Connections of before a command don't count after it.
    fn check_command(&mut self, actor: Actor, user: &UserId, stored: Option<&State>, state: &State) {
        let is_here = |state: &State| {
            let share = state.share_of(actor.incarnation);
            share.is_some_and(|share| share.contribution.connections > 0)
        };
        let is_added = is_here(state) && !stored.is_some_and(is_here);
        let commanded = self.commanded.get(user).copied().unwrap_or(0);
        let node = &self.nodes[actor.node];
        let began = node.users.get(user).and_then(|shell| shell.began.values().max());
        if is_added && node.incarnation == actor.incarnation && began.is_some_and(|began| *began < commanded) {
            self.fail(format!(
                "S11: node {} counts a session of {user} of before a command",
                actor.node
            ));
        }
    }

    fn check_presence(&mut self, actor: Actor, user: &UserId, stored: Option<&State>, state: &State) {
        let was_present = stored.is_some_and(State::is_present);
        let is_cut_off = self.nodes[actor.node].faulty_until > self.now;
        if was_present && !state.is_present() && self.is_surely_present(user) && !is_cut_off && state.command.is_none()
        {
            self.fail(format!(
                "S2: node {} offers OFFLINE of {user}, who is present",
                actor.node
            ));
        }
        let sessions = state.sessions();
        let before = stored.map_or(0, State::sessions);
        if sessions > self.settings.sessions_max + state.durable.part.reports.len() && sessions > before {
            self.fail(format!("S10: {user} has {sessions} sessions"));
        }
    }

    fn check_end_of(&mut self, actor: Actor, ended: Incarnation, grace: std::time::Duration) {
        let until = self.now + u64::try_from(grace.as_micros()).unwrap();
        self.graces.insert((actor.partition, ended), until);
        self.note(|| format!("  node {} ends {ended}", actor.node));
    }

    /// Whoever ends another has not heard of it for four fifths of a lease, when it decides so.
    fn check_silence(&mut self, index: usize, partition: usize, ended: Incarnation) {
        let (before, last) = self.heard.get(&(partition, ended)).copied().unwrap_or((0, 0));
        // What came a moment ago can't have been read.
        let heard = if last + 20_000 > self.now { before } else { last };
        let mut nodes = self.nodes.iter();
        let is_alive = nodes.any(|node| node.incarnation == ended && node.is_alive && !node.is_stopping);
        if is_alive && heard + 11 * SECOND > self.now && self.nodes[index].incarnation != ended {
            self.fail(format!("S13: node {index} ends {ended}, which ticks"));
        }
    }

    /// Now and then a client keeps a cursor.
    pub(crate) fn take_cursor(&mut self) {
        if self.is_quiet || !self.rng.one_in(25) {
            return;
        }
        let index = usize::try_from(self.rng.below(self.nodes.len() as u64)).unwrap();
        let node = &self.nodes[index];
        if !node.is_accepting() {
            return;
        }
        let positions: Option<Vec<_>> = node
            .partitions
            .iter()
            .map(presence::replication::Partition::position)
            .collect();
        let Some(positions) = positions else { return };
        self.cursors.push(ClientCursor {
            epochs: positions.iter().map(|(epoch, _)| *epoch).collect(),
            watermark: positions.iter().map(|(_, last)| *last).min().unwrap_or_default(),
            records: self
                .users
                .iter()
                .map(|user| (user.clone(), self.told_of(node, user)))
                .collect(),
        });
    }

    /// What a client that watches the user has: what was told, else what the database has.
    fn told_of(&self, node: &super::node::Node, user: &UserId) -> Revision {
        let told = node.told.get(user).map(|told| told.revision);
        let row = self.database.rows.get(user).map(|row| row.revision);
        told.or(row).unwrap_or_default()
    }
}
