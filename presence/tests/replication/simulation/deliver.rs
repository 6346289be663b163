//! What comes to a node, and what it does of what its machines ask.

use std::time::Duration;

use presence::replication::{Incarnation, MovedTimes};
use presence::{Timers, UserId};

use super::node::{Delivery, Node, UserShell};
use super::world::{Event, SECOND, World};

pub(crate) const TIMERS: Timers = Timers {
    grace: Duration::from_secs(5),
    restart_grace: Duration::from_secs(20),
    idle_after: Duration::from_secs(12),
};

impl World {
    pub(crate) fn deliver(&mut self, index: usize, incarnation: Incarnation, delivery: Delivery) {
        let now = self.now;
        let node = &mut self.nodes[index];
        if node.incarnation != incarnation || !node.is_alive {
            return;
        }
        if let Delivery::Resume(length) = delivery {
            return self.resume(index, length);
        }
        if node.is_stalled {
            return node.deferred.push(delivery);
        }
        let held = match &delivery {
            Delivery::Answer(..) => node.hold_publisher,
            Delivery::Reply(..) => node.hold_follower,
            _ => 0,
        };
        if held > now {
            return self.at(held - now + 1, Event::Deliver(index, incarnation, delivery));
        }
        self.receive(index, delivery);
        self.after_input(index);
    }

    fn receive(&mut self, index: usize, delivery: Delivery) {
        let now = self.now;
        let node = &mut self.nodes[index];
        match delivery {
            Delivery::Answer(partition, connection, answer) => {
                node.under_way.remove(&(partition, connection));
                node.input(now, partition, |machine, input| {
                    machine.handle_answer(input, connection, answer);
                });
            }
            Delivery::Reply(partition, generation, reply) => self.hand_reply(index, partition, generation, reply),
            Delivery::Deadline => self.on_deadline(index),
            Delivery::Sweep => self.sweep(index),
            Delivery::Committed(user, part, heard) => self.commit(index, &user, part, heard),
            Delivery::Write(user, revision, state) => self.write(index, user, revision, state),
            Delivery::Delete(user, revision, version) => self.delete(index, user, revision, version),
            Delivery::Load(user) => self.load(index, user),
            Delivery::LoadTimes(partition, users) => self.load_times(index, partition, users),
            Delivery::LoadPresent(partition) => self.load_present(index, partition),
            Delivery::LoadChosen(partition, pass, after) => self.load_chosen(index, partition, pass, after),
            Delivery::Chosen(partition, page) => node.input(now, partition, |machine, input| {
                machine.handle_chosen(input, page);
            }),
            Delivery::Resume(_) => {}
            Delivery::Connect(user, id) => self.handle_connect(index, user, id),
            Delivery::End(user, id, _)
            | Delivery::Heard(user, id)
            | Delivery::Away(user, id)
            | Delivery::Active(user, id)
                if !has_session(&self.nodes[index], &user, id) => {}
            Delivery::End(user, id, reason) => {
                self.note(|| format!("node {index}: {user} {reason:?} {}", id.0));
                self.change(index, &user, |shell, now| {
                    shell.unconfirmed.remove(&id);
                    shell.sessions.handle_end(now, id, reason, TIMERS.grace);
                    shell.take_times(None);
                });
                self.write_times(index, &user);
            }
            Delivery::Heard(user, id) => self.change(index, &user, |shell, now| {
                shell.unconfirmed.remove(&id);
                shell.sessions.handle_heard(now, id);
            }),
            Delivery::Away(user, id) => {
                self.change(index, &user, |shell, now| shell.sessions.handle_away(now, id, None));
            }
            Delivery::Active(user, id) => self.change(index, &user, |shell, now| {
                shell.unconfirmed.remove(&id);
                shell.sessions.handle_activity(now, id, Duration::ZERO, &TIMERS);
            }),
        }
    }

    fn resume(&mut self, index: usize, length: u64) {
        let now = self.now;
        self.note(|| format!("node {index}: goes on"));
        self.note_calm(now);
        let node = &mut self.nodes[index];
        node.is_stalled = false;
        // The monotonic clock of the timer loop runs ahead by 0.3 s at most.
        node.stalled += length.saturating_sub(300_000);
        if length > SECOND {
            for partition in 0..node.partitions.len() {
                node.input(now, partition, |machine, input| {
                    machine.handle_stall(input, Duration::from_micros(length));
                });
            }
        }
        let incarnation = node.incarnation;
        for delivery in std::mem::take(&mut node.deferred) {
            self.at(0, Event::Deliver(index, incarnation, delivery));
        }
        self.after_input(index);
        self.at(0, Event::Deliver(index, incarnation, Delivery::Deadline));
    }

    pub(crate) fn change(&mut self, index: usize, user: &UserId, change: impl FnOnce(&mut UserShell, presence::Now)) {
        let now = self.now;
        let node = &mut self.nodes[index];
        let at = node.now_of(now, user);
        change(node.users.entry(user.clone()).or_default(), at);
        node.touch(now, user);
    }

    fn handle_connect(&mut self, index: usize, user: UserId, id: presence::SessionId) {
        if !self.nodes[index].is_accepting() {
            return;
        }
        self.note(|| format!("node {index}: {user} connects {}", id.0));
        let (row, now) = (self.database.rows.get(&user).cloned(), self.now);
        let is_up = self.database.is_up;
        let listed = &self.partitions[self.nodes[index].partition_index(&user)].custom;
        let assumed = listed.get(&user).filter(|_| self.is_up).copied().unwrap_or_default();
        self.change(index, &user, |shell, at| {
            if is_up {
                let row = row.unwrap_or_default();
                if shell
                    .durable
                    .as_ref()
                    .is_none_or(|known| known.part.version < row.durable.part.version)
                {
                    shell.durable = Some(row.durable);
                }
                shell.revision = shell.revision.max(row.revision);
                shell.last_seen = shell.last_seen.max(row.last_seen);
                shell.last_active = shell.last_active.max(row.last_active);
            }
            if !is_up && shell.durable.is_none() {
                shell.assumed = assumed;
            }
            shell.sessions.handle_connect(at, id, TIMERS.grace);
            shell.began.insert(id, now);
        });
        let incarnation = self.nodes[index].incarnation;
        self.clients
            .entry(user.clone())
            .or_default()
            .push((index, incarnation, id));
        self.resume_session(index, &user, id);
    }

    fn commit(
        &mut self,
        index: usize,
        user: &UserId,
        part: presence::replication::SharedPart,
        heard: Option<presence::Wall>,
    ) {
        let version = part.part.version;
        let acknowledged = self.acknowledged.entry(user.clone()).or_default();
        *acknowledged = version.max(*acknowledged);
        let now = self.now;
        let node = &mut self.nodes[index];
        if heard.is_some() {
            // Whoever is reported is in memory.
            node.users.entry(user.clone()).or_default().take_times(heard);
        }
        if let Some(shell) = node.users.get_mut(user)
            && shell.durable.as_ref().is_none_or(|known| known.part.version < version)
        {
            shell.durable = Some(part.clone());
        }
        let at = node.now_of(now, user);
        if let Some(shell) = node.users.get_mut(user)
            && part.part.preference.version == version
        {
            // Set by a request: it counts like an active session for a while.
            shell.chosen_until = Some(at.wall.after(TIMERS.idle_after));
            shell.last_active = shell.last_active.max(Some(at.wall));
            shell.take_times(Some(at.wall));
        }
        let partition = node.partition_index(user);
        node.input(now, partition, |machine, input| {
            machine.handle_loaded(input, user, part);
        });
    }

    fn on_deadline(&mut self, index: usize) {
        let now = self.now;
        let node = &mut self.nodes[index];
        node.wakes_at = 0;
        let mono = node.mono(now);
        let mut due = Vec::new();
        for (user, shell) in &mut node.users {
            let late = shell
                .sessions
                .next_deadline()
                .map(|at| at.after(presence::replication::GRACE_LATE));
            if late.is_some_and(|at| at <= mono) {
                shell.sessions.on_deadline(mono);
                due.push(user.clone());
            }
            if shell.unconfirmed_until.is_some_and(|at| at <= mono) {
                shell.unconfirmed_until = None;
                due.push(user.clone());
            }
        }
        for user in due {
            node.touch(now, &user);
        }
        self.after_input(index);
        let node = &mut self.nodes[index];
        for partition in 0..node.partitions.len() {
            node.input(now, partition, |machine, input| machine.on_deadline(input));
        }
    }

    /// Every 5 s: what is marked for 10 s, what could not be loaded, and times that moved.
    fn sweep(&mut self, index: usize) {
        let now = self.now;
        let incarnation = self.nodes[index].incarnation;
        self.at(5 * SECOND, Event::Deliver(index, incarnation, Delivery::Sweep));
        if self.database.is_up
            && !self
                .settings
                .without
                .contains(&presence::replication::Rule::OfferUnpublished)
        {
            let rows = self.database.rows.iter();
            let marked = rows.filter(|(_, row)| row.unpublished.is_some_and(|since| since + 10 * SECOND <= now));
            let marked: Vec<_> = marked.map(|(user, row)| (user.clone(), row.durable.clone())).collect();
            for (user, part) in marked {
                let node = &mut self.nodes[index];
                let partition = node.partition_index(&user);
                node.input(now, partition, |machine, input| {
                    machine.handle_loaded(input, &user, part);
                });
            }
        }
        if self.database.is_up {
            let unloaded = self.nodes[index]
                .users
                .iter()
                .filter(|(_, shell)| shell.durable.is_none());
            let unloaded: Vec<UserId> = unloaded.map(|(user, _)| user.clone()).collect();
            for user in unloaded {
                let row = self.database.rows.get(&user).cloned().unwrap_or_default();
                self.change(index, &user, |shell, _| shell.durable = Some(row.durable));
            }
        }
        let node = &mut self.nodes[index];
        for (user, shell) in &node.users {
            let seen = shell.sessions.contribution();
            if let (true, Some(last_seen)) = (shell.sessions.is_present(), seen.last_seen) {
                let partition = node.partition_index(user);
                let last_active = seen.last_active;
                let user = user.clone();
                node.partitions[partition].handle_times(MovedTimes {
                    user,
                    last_seen,
                    last_active,
                });
            }
        }
        // Pings and their answers.
        let clients: Vec<_> = self
            .clients
            .iter()
            .flat_map(|(user, all)| all.iter().map(|one| (user.clone(), *one)))
            .collect();
        for (user, (there, run, id)) in clients {
            if there == index && run == incarnation {
                let delay = self.rng.within(1_000, SECOND);
                self.at(delay, Event::Deliver(index, incarnation, Delivery::Heard(user, id)));
            }
        }
    }
}

fn has_session(node: &Node, user: &UserId, id: presence::SessionId) -> bool {
    let shell = node.users.get(user);
    shell.is_some_and(|shell| shell.sessions.connections().iter().any(|one| one.id == id))
}
