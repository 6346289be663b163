//! What a node does of what its machines ask.

use std::time::Duration;

use presence::replication::{Call, CommandKind, Effect, MovedTimes};
use presence::{EndReason, UserId};

use super::node::{Delivery, UserShell};
use super::world::{Event, SECOND, World};

impl World {
    /// Carries out what the machines of a node ask.
    pub(crate) fn after_input(&mut self, index: usize) {
        for partition in 0..self.nodes[index].partitions.len() {
            self.watch(index, partition);
            for effect in self.nodes[index].partitions[partition].take_effects() {
                self.carry_out(index, partition, effect);
            }
        }
        let node = &mut self.nodes[index];
        let (wake, incarnation) = (node.next_wake(self.now), node.incarnation);
        if node.wakes_at == 0 || wake < node.wakes_at {
            node.wakes_at = wake;
            self.at(wake - self.now, Event::Deliver(index, incarnation, Delivery::Deadline));
        }
    }

    fn carry_out(&mut self, index: usize, partition: usize, effect: Effect) {
        let incarnation = self.nodes[index].incarnation;
        match effect {
            Effect::Call { connection, call } => {
                self.check_call(index, partition, &call);
                self.send_call(index, partition, connection, call);
            }
            Effect::Ask { generation, question } => self.send_question(index, partition, generation, question),
            Effect::Show {
                user,
                revision,
                state,
                is_seen,
                ..
            } => {
                // A node that starts has no clients yet.
                if !is_seen && self.nodes[index].ready.contains(&partition) {
                    self.check_unseen(index, &user, &state);
                }
                self.check_shown((index, partition), &user, revision, &state);
            }
            Effect::Left(user) => self.check_left(index, partition, &user),
            Effect::Write(user) => {
                if let Some((revision, state)) = self.nodes[index].partitions[partition].copied(&user) {
                    let delay = self.rng.within(10_000, 100_000);
                    let delivery = Delivery::Write(user, revision, Box::new(state));
                    self.at(delay, Event::Deliver(index, incarnation, delivery));
                }
            }
            Effect::Delete(user) => self.plan_delete(index, partition, &user),
            Effect::Published(user, version) => {
                self.database.published(&user, version);
            }
            Effect::Continued(user, sessions) => self.give_up_places(index, &user, &sessions),
            Effect::Claimed { user, of, is_won } => self.note_claimed(index, &user, of, is_won),
            other => self.carry_out_rest(index, partition, other),
        }
    }

    fn carry_out_rest(&mut self, index: usize, partition: usize, effect: Effect) {
        let now = self.now;
        let incarnation = self.nodes[index].incarnation;
        match effect {
            Effect::EndSessions { user, kind, .. } => self.end_sessions(index, partition, &user, kind),
            Effect::EndAllSessions => {
                let users: Vec<UserId> = self.nodes[index].users.keys().cloned().collect();
                for user in users {
                    self.change(index, &user, |shell, _| {
                        shell.sessions.handle_kick();
                    });
                }
            }
            Effect::Refuse(user) => self.refuse(index, &user),
            Effect::ReportEnded(user, source, version) => self.database.expire(&user, &source, version),
            Effect::Load(user) => self.at(1_000, Event::Deliver(index, incarnation, Delivery::Load(user))),
            Effect::LoadChosen { pass, after } => {
                let delay = self.rng.within(1_000, SECOND / 5);
                let delivery = Delivery::LoadChosen(partition, pass, after);
                self.at(delay, Event::Deliver(index, incarnation, delivery));
            }
            Effect::LoadTimes(users) => {
                let delivery = Delivery::LoadTimes(partition, users);
                self.at(1_000, Event::Deliver(index, incarnation, delivery));
            }
            Effect::LoadPresent => self.at(
                1_000,
                Event::Deliver(index, incarnation, Delivery::LoadPresent(partition)),
            ),
            Effect::OfferAll => {
                let users = self.nodes[index].users.keys().cloned();
                let users: Vec<UserId> = users.collect();
                for user in &users {
                    if self.nodes[index].partition_index(user) != partition {
                        continue;
                    }
                    self.nodes[index].touch(now, user);
                    self.at(1_000, Event::Deliver(index, incarnation, Delivery::Load(user.clone())));
                }
                for effect in self.nodes[index].partitions[partition].take_effects() {
                    self.carry_out(index, partition, effect);
                }
            }
            Effect::RegistrationEnded(grace) => self.unconfirm(index, partition, grace),
            Effect::NameTaken(holder) => {
                self.note(|| format!("node {index} does not start: {holder} has its name"));
                self.refused.insert(index);
                self.nodes[index].is_alive = false;
            }
            Effect::Ready => {
                self.nodes[index].ready.insert(partition);
            }
            Effect::Stale(is_stale) => {
                self.note(|| format!("node {index}: partition {partition} stale {is_stale}"));
            }
            Effect::AdditionsRefused(are_refused) => self.note_additions_refused(index, partition, are_refused),
            Effect::Times(times) => self.note_times(index, &times),
            Effect::Stopped | Effect::CommandFailed(_) => {}
            Effect::Unreadable(format) => self.fail(format!("unreadable format {format}")),
            // Carried out before.
            _ => {}
        }
    }

    fn note_additions_refused(&mut self, index: usize, partition: usize, are_refused: bool) {
        self.note(|| format!("node {index}: partition {partition} additions are refused {are_refused}"));
        let lacking = &mut self.nodes[index].lacking;
        let is_new = match are_refused {
            true => lacking.insert(partition),
            false => lacking.remove(&partition),
        };
        if !is_new {
            self.fail(format!(
                "node {index} says twice that additions are refused: {are_refused}"
            ));
        }
    }

    fn note_times(&mut self, index: usize, times: &MovedTimes) {
        // Times cause no event, also where they are all that is known again of a user who was removed.
        if let Some(told) = self.nodes[index].told.get_mut(&times.user) {
            told.seen.is_removed = false;
        }
        if let Some(shell) = self.nodes[index].users.get_mut(&times.user) {
            shell.note_logged(Some(times.last_seen), times.last_active);
        }
    }

    fn end_sessions(&mut self, index: usize, partition: usize, user: &UserId, kind: CommandKind) {
        self.note(|| format!("node {index}: the sessions of {user} end: {kind:?}"));
        self.touch_before_the_end(index, partition, user);
        if self.nodes[index].users.contains_key(user) {
            self.change(index, user, |shell, _| {
                shell.sessions.handle_kick();
                shell.unconfirmed.clear();
                shell.chosen_until = None;
                if kind == CommandKind::Forget {
                    *shell = UserShell {
                        revision: shell.revision,
                        ..UserShell::default()
                    };
                }
            });
        }
        let now = self.now;
        self.nodes[index].input(now, partition, |machine, input| {
            machine.handle_sessions_ended(input, user);
        });
        if kind == CommandKind::Forget && self.nodes[index].asked.contains(user) {
            self.plan_delete(index, partition, user);
        }
    }

    /// Something else happens to the user after the command was read, and before the node has ended the sessions: they must not be
    /// offered anew.
    fn touch_before_the_end(&mut self, index: usize, partition: usize, user: &UserId) {
        let has_sessions = self.nodes[index].users.contains_key(user);
        self.nodes[index].touch(self.now, user);
        for effect in self.nodes[index].partitions[partition].take_effects() {
            if let Effect::Call {
                call: Call::Offer { users, .. },
                ..
            } = &effect
                && users.iter().any(|offer| offer.user == *user)
                && has_sessions
            {
                self.fail(format!("node {index} offers {user} before it has ended the sessions"));
            }
            // After those of the input that is handled.
            let incarnation = self.nodes[index].incarnation;
            let carry_out = move |world: &mut Self| {
                if world.nodes[index].incarnation == incarnation && world.nodes[index].is_alive {
                    world.carry_out(index, partition, effect);
                }
            };
            self.at(0, Event::Planned(Box::new(carry_out)));
        }
    }

    fn plan_delete(&mut self, index: usize, partition: usize, user: &UserId) {
        if let Some((revision, state)) = self.nodes[index].partitions[partition].copied(user) {
            let delivery = Delivery::Delete(user.clone(), revision, state.durable.part.version);
            let incarnation = self.nodes[index].incarnation;
            self.at(1_000, Event::Deliver(index, incarnation, delivery));
        }
    }

    fn refuse(&mut self, index: usize, user: &UserId) {
        let newest = self.nodes[index]
            .users
            .get(user)
            .and_then(|shell| shell.sessions.connections().last().map(|one| one.id));
        self.note(|| format!("node {index}: {user} has too many sessions"));
        if let Some(id) = newest {
            let partition = self.nodes[index].partition_index(user);
            let freed = self.nodes[index].partitions[partition].withdraw_claim(user, id);
            if let Some(place) = freed {
                self.give_back(index, user, id, place);
            }
            let incarnation = self.nodes[index].incarnation;
            let delivery = Delivery::End(user.clone(), id, EndReason::Kicked);
            self.at(0, Event::Deliver(index, incarnation, delivery));
        }
    }

    fn unconfirm(&mut self, index: usize, partition: usize, grace: Duration) {
        let now = self.now;
        self.note(|| format!("node {index}: its registration was ended"));
        let until = self.nodes[index].mono(now).after(grace);
        let users: Vec<UserId> = self.nodes[index].users.keys().cloned().collect();
        for user in &users {
            if self.nodes[index].partition_index(user) != partition {
                continue;
            }
            self.change(index, user, |shell, _| {
                shell.unconfirmed = shell.sessions.connections().iter().map(|one| one.id).collect();
                shell.unconfirmed_until = Some(until);
            });
        }
    }
}
