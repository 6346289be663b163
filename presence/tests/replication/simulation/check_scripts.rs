//! What calls may do to a partition. The names are those of the invariants of clusters: S for safety, at every step.

use std::collections::BTreeSet;

use presence::replication::{Answer, Call, Content, Incarnation, Outcome, State};
use presence::{Contribution, Revision, Status, UserId, decide};

use super::world::{SECOND, World};
use crate::model::Partition;

/// Which machine of which node acts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Actor {
    pub(crate) node: usize,
    pub(crate) incarnation: Incarnation,
    pub(crate) partition: usize,
}

impl World {
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
        self.check_log(before, call, &after);
        self.check_caller(actor, before, call, &after);
        match (call, answer) {
            (Call::Offer { users, .. }, Answer::Offered { outcomes, .. }) => {
                for (offer, outcome) in users.iter().zip(outcomes) {
                    if let Outcome::Taken(revision) = outcome {
                        if *revision <= offer.floor {
                            let told = offer.floor.get();
                            self.fail(format!("S1: {} is at {} after {told}", offer.user, revision.get()));
                        }
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
            (Call::End { ended, grace, .. }, Answer::Noted { revision: Some(id), .. }) => {
                self.note_end(actor, *ended, *id, *grace);
            }
            (Call::Drop { users, .. }, Answer::Noted { revision: Some(_), .. }) => {
                for (user, revision) in users.iter().filter(|(user, _)| !after.state.contains_key(user)) {
                    let row = self.database.rows.get(user).cloned().unwrap_or_default();
                    let Some((_, bytes)) = before.state.get(user) else {
                        continue;
                    };
                    // Who was forgotten has no record, or one of a later life.
                    let is_removed = row.is_deleted || State::decode(bytes).unwrap().is_removed();
                    if row.revision < *revision && !is_removed || row.status != Status::Offline {
                        self.fail(format!(
                            "S9: {user} was dropped at {revision:?}, the database has {row:?}"
                        ));
                    }
                }
            }
            _ => {}
        }
    }

    fn check_caller(&mut self, actor: Actor, before: &Partition, call: &Call, after: &Partition) {
        let caller = match call {
            Call::Register { .. } => return,
            Call::Offer { caller, .. }
            | Call::Tick { caller, .. }
            | Call::End { caller, .. }
            | Call::Drop { caller, .. }
            | Call::List { caller, .. } => caller,
        };
        let registered = before.registrations.get(&caller.incarnation).map(|(number, _)| *number);
        let has_changed = before.head != after.head || before.online != after.online || before.custom != after.custom;
        if registered != Some(caller.connection) && has_changed {
            self.fail(format!(
                "S5: node {} changes something over {:?}, registered is {registered:?}",
                actor.node, caller.connection
            ));
        }
    }

    fn check_log(&mut self, before: &Partition, call: &Call, after: &Partition) {
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
        // A node that has read more, of a history that is lost, raises the head: what follows is above that.
        let is_raised = matches!(call, Call::Register { floor, .. } if *floor == after.head);
        if top.is_some_and(|top| top != after.head) && after.head != before.head && !is_raised {
            self.failures.push("S4: the head is not the last id".to_owned());
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
        self.changed_at.insert(user.clone(), self.now);
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
        // A new epoch may begin without it, until somebody who has read it tells of it.
        let is_lost = state.command.is_none();
        let commanded = self.commanded.get(user).copied().filter(|_| !is_lost).unwrap_or(0);
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
        // Sessions of nodes that are gone, as far as the node has read, are in grace.
        let registered = self.nodes[actor.node].partitions[actor.partition].nodes();
        let registered: BTreeSet<Incarnation> = registered.map(|(one, _)| one).chain([actor.incarnation]).collect();
        let connections = |state: &State| {
            let shares = state.contributions.iter();
            let counted = shares.filter(|share| registered.contains(&share.incarnation));
            counted
                .map(|share| share.contribution.connections as usize)
                .sum::<usize>()
        };
        let sessions = connections(state);
        let before = stored.map_or(0, connections);
        if sessions > self.settings.sessions_max && sessions > before {
            self.fail(format!("S10: {user} has {sessions} sessions"));
        }
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
}
