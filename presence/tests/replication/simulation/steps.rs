//! What users, operators and faults do.

use std::time::Duration;

use presence::replication::{CommandKind, Incarnation, SharedPart};
use presence::{CustomStatus, EndReason, Report, SessionId, UserId, Version, Wall};

use super::node::Delivery;
use super::world::{Event, SECOND, World};

/// By how many seconds Redis's clock is off, from the least to the most.
pub(super) const SKEWS: [i64; 4] = [-50, 0, 0, 30];

impl World {
    pub(crate) fn leave(&mut self, user: &UserId, client: (usize, Incarnation, SessionId), reason: EndReason) {
        self.clients
            .entry(user.clone())
            .or_default()
            .retain(|one| *one != client);
        self.note_lost(user, (reason == EndReason::Lost).then_some(client));
        let delivery = Delivery::End(user.clone(), client.2, reason);
        self.at(0, Event::Deliver(client.0, client.1, delivery));
    }

    pub(crate) fn step_user(&mut self, index: usize) {
        if self.is_quiet {
            return;
        }
        let pause = self.rng.within(SECOND / 10, 8 * SECOND);
        self.at(pause, Event::User(index));
        let user = self.users[index].clone();
        let clients = self.connected(&user);
        let accepting: Vec<usize> = (0..self.nodes.len())
            .filter(|one| self.nodes[*one].is_accepting())
            .collect();
        if accepting.is_empty() {
            return;
        }
        let there = self.rng.pick(&accepting);
        let what = self.rng.below(100);
        if what >= 70 {
            return self.step_elsewhere(&user, there, what);
        }
        let Some(client) = clients.first().copied() else {
            return self.connect(&user, there, 0);
        };
        match what {
            0..12 => self.leave(&user, client, EndReason::Closed),
            12..24 => {
                // Lost, and back elsewhere within the grace period.
                self.leave(&user, client, EndReason::Lost);
                let back = self.rng.within(SECOND / 20, 4 * SECOND);
                self.connect(&user, there, back);
            }
            24..38 => {
                // Elsewhere first, then gone here.
                self.connect(&user, there, 0);
                let delay = self.rng.within(SECOND / 6, SECOND / 2);
                self.clients
                    .entry(user.clone())
                    .or_default()
                    .retain(|one| *one != client);
                let delivery = Delivery::End(user, client.2, EndReason::Closed);
                self.at(delay, Event::Deliver(client.0, client.1, delivery));
            }
            38..48 => self.leave(&user, client, EndReason::Lost),
            48..56 => self.connect(&user, there, 0),
            56..63 => self.at(0, Event::Deliver(client.0, client.1, Delivery::Away(user, client.2))),
            _ => self.at(0, Event::Deliver(client.0, client.1, Delivery::Active(user, client.2))),
        }
    }

    fn step_elsewhere(&mut self, user: &UserId, index: usize, what: u64) {
        let custom = self
            .rng
            .pick(&[CustomStatus::Online, CustomStatus::Idle, CustomStatus::DoNotDisturb]);
        if !self.database.is_up {
            return;
        }
        match what {
            70..84 => self.set_custom_status(user, index, custom),
            84..90 => {
                let ttl = self.rng.pick(&[None, Some(6), Some(20)]);
                self.report(user, index, custom, ttl);
            }
            90..95 => self.end_reports(user, index),
            _ => self.command(
                user,
                index,
                if what < 98 {
                    CommandKind::Kick
                } else {
                    CommandKind::Forget
                },
            ),
        }
    }

    pub(crate) fn set_custom_status(&mut self, user: &UserId, index: usize, custom: CustomStatus) {
        let part = self.database.set_custom(user, self.now, custom);
        self.note(|| {
            format!(
                "node {index}: {user} sets {custom}, version {}",
                part.part.version.get()
            )
        });
        self.committed(user, index, part, None);
    }

    /// With how many seconds it holds; none if until it is ended.
    pub(crate) fn report(&mut self, user: &UserId, index: usize, custom: CustomStatus, ttl: Option<u64>) {
        let wall = self.nodes[index].now_of(self.now, user).wall;
        self.report_at(user, index, (custom, ttl), wall);
    }

    /// The gateway was heard at `wall`.
    pub(crate) fn report_at(
        &mut self,
        user: &UserId,
        index: usize,
        (custom, ttl): (CustomStatus, Option<u64>),
        wall: Wall,
    ) {
        let report = Report {
            source: "gateway".parse().unwrap(),
            status: custom,
            since: wall,
            heard: wall,
            version: Version::NONE,
            said: Version::NONE,
            last_active: None,
            expires: None,
        };
        let end: Option<Wall> = ttl.map(|seconds| wall.after(Duration::from_secs(seconds)));
        let part = self.database.set_report(user, self.now, report, end);
        self.note(|| format!("node {index}: {user} is reported {custom} until {end:?}"));
        self.database.write_times(user, Some(wall), None);
        self.committed(user, index, part, Some(wall));
    }

    pub(crate) fn end_reports(&mut self, user: &UserId, index: usize) {
        let wall = self.nodes[index].now_of(self.now, user).wall;
        let part = self.database.end_reports(user, self.now);
        self.note(|| format!("node {index}: the reports of {user} end"));
        self.database.write_times(user, Some(wall), None);
        self.committed(user, index, part, Some(wall));
    }

    fn committed(&mut self, user: &UserId, index: usize, part: SharedPart, heard: Option<Wall>) {
        let incarnation = self.nodes[index].incarnation;
        let delivery = Delivery::Committed(user.clone(), part, heard);
        self.at(2_000, Event::Deliver(index, incarnation, delivery));
    }

    pub(crate) fn command(&mut self, user: &UserId, index: usize, kind: CommandKind) {
        let now = self.now;
        let partition = self.nodes[index].partition_index(user);
        if !self.nodes[index].partitions[partition].is_reachable() {
            return;
        }
        self.note(|| format!("node {index}: {kind:?} {user}"));
        if kind == CommandKind::Kick {
            let part = self.database.end_reports(user, now);
            self.nodes[index].input(now, partition, |machine, input| {
                machine.handle_loaded(input, user, part);
            });
        } else {
            self.nodes[index].asked.insert(user.clone());
        }
        self.nodes[index].input(now, partition, |machine, input| {
            machine.handle_command(input, user, kind);
        });
        self.after_input(index);
    }

    pub(crate) fn connect(&mut self, user: &UserId, index: usize, after: u64) {
        let node = &mut self.nodes[index];
        node.next_session += 1;
        let id = SessionId(node.next_session);
        let incarnation = node.incarnation;
        self.at(
            after,
            Event::Deliver(index, incarnation, Delivery::Connect(user.clone(), id)),
        );
    }

    pub(crate) fn step_hand(&mut self) {
        let pause = self.rng.within(10 * SECOND, 40 * SECOND);
        if !self.is_quiet {
            self.at(pause, Event::Hand);
        }
        let user = self.rng.pick(&[0, 1, 2, 3, 4, 5, 6, 7]);
        let user = self.users[user].clone();
        let partition = self.nodes[0].partition_index(&user);
        let partition = &mut self.partitions[partition];
        let what = self.rng.below(6);
        match what {
            0 | 1 => partition.online.clear(),
            2 | 3 => partition.custom.clear(),
            // A second change that makes up for the first one in number is not found.
            4 if partition.is_counted() => drop(partition.online.insert(user)),
            5 if partition.is_counted() => drop(partition.custom.entry(user).or_insert(CustomStatus::Idle)),
            _ => {}
        }
        let now = self.now;
        self.note_calm(now);
        self.note(|| format!("somebody changes what other services read, {what}"));
    }

    pub(crate) fn step_fault(&mut self) {
        if self.is_quiet {
            return;
        }
        let pause = self.rng.within(2 * SECOND, 20 * SECOND);
        self.at(pause, Event::Fault);
        let kind = self.rng.below(22);
        match kind {
            0..6 => self.fail_server(kind),
            6 if self.is_up => {
                self.note(|| "FLUSHALL".to_owned());
                for partition in &mut self.partitions {
                    partition.clear();
                }
            }
            7 if self.is_up => {
                self.note(|| "the state is lost".to_owned());
                self.partitions[0].lose_state();
            }
            8 => self.partitions.iter_mut().for_each(|partition| partition.trim(3)),
            9 => {
                let before = self.skew;
                self.skew = self.rng.pick(&SKEWS) * i64::try_from(SECOND).unwrap();
                if self.skew > before {
                    self.jumped_at = self.now;
                }
                let skew = self.skew;
                self.note(|| format!("redis's clock is off by {skew} us"));
            }
            10 => {
                self.database.is_up = false;
                self.note(|| "the database is down".to_owned());
                let back = self.rng.pick(&[1, 5, 20]) * SECOND;
                self.at(back, Event::DatabaseBack);
            }
            11 => {
                self.is_full = true;
                self.note(|| "redis's memory is full".to_owned());
                let back = self.rng.pick(&[1, 5, 15]) * SECOND;
                self.at(back, Event::MemoryBack);
            }
            _ => {
                let index = usize::try_from(self.rng.below(self.nodes.len() as u64)).unwrap();
                self.fail_node(index, kind);
            }
        }
    }

    fn fail_server(&mut self, kind: u64) {
        if !self.is_up {
            return;
        }
        let back = self
            .rng
            .pick(&[SECOND / 5, SECOND, 3 * SECOND, 8 * SECOND, 25 * SECOND]);
        let copy = match kind {
            0 | 1 | 5 => None,
            2 => {
                let mut empty = self.partitions.clone();
                empty.iter_mut().for_each(crate::model::Partition::clear);
                Some(empty)
            }
            _ => {
                let ago = self.rng.within(0, SECOND + SECOND / 2);
                let older = self.history.iter().rev().find(|(at, _)| at + ago <= self.now);
                older.map(|(_, copy)| copy.clone())
            }
        };
        self.note(|| format!("redis stops for {back} us, {kind}"));
        self.stop_server();
        self.at(back, Event::ServerBack(copy));
        if kind == 5 {
            let index = usize::try_from(self.rng.below(self.nodes.len() as u64)).unwrap();
            self.crash(index);
        }
    }

    fn fail_node(&mut self, index: usize, kind: u64) {
        let now = self.now;
        let node = &mut self.nodes[index];
        if !node.is_alive || node.is_stalled {
            return;
        }
        let slack = 10 * SECOND;
        match kind {
            12 | 13 => {
                let length = self.rng.pick(&[SECOND / 2, 3 * SECOND, 7 * SECOND]);
                node.hold_publisher = node.hold_publisher.max(now + length);
                node.faulty_until = node.faulty_until.max(now + length + slack);
                self.note(|| format!("node {index}: publisher held for {length} us"));
            }
            14 | 15 => {
                let length = self.rng.pick(&[SECOND / 2, 3 * SECOND, 7 * SECOND]);
                node.hold_follower = node.hold_follower.max(now + length);
                node.faulty_until = node.faulty_until.max(now + length + slack);
                self.note(|| format!("node {index}: follower held for {length} us"));
            }
            16 => {
                let length = self.rng.pick(&[4 * SECOND, 35 * SECOND]);
                node.hold_follower = node.hold_follower.max(now + length);
                node.hold_publisher = node.hold_publisher.max(now + length);
                node.faulty_until = node.faulty_until.max(now + length + slack);
                self.note(|| format!("node {index}: cut off for {length} us"));
            }
            17 | 18 => {
                let length = self.rng.pick(&[SECOND / 2, 4 * SECOND, 7 * SECOND, 40 * SECOND]);
                node.is_stalled = true;
                node.faulty_until = node.faulty_until.max(now + length + slack);
                let incarnation = node.incarnation;
                self.note(|| format!("node {index}: stopped for {length} us"));
                self.at(length, Event::Deliver(index, incarnation, Delivery::Resume(length)));
            }
            19 => self.terminate(index),
            _ => self.crash(index),
        }
    }

    /// The node stops, and is back after 3 s.
    pub(crate) fn terminate(&mut self, index: usize) {
        let now = self.now;
        self.note(|| format!("node {index}: SIGTERM"));
        self.nodes[index].is_stopping = true;
        for partition in 0..self.partitions.len() {
            self.nodes[index].input(now, partition, |machine, input| machine.handle_stop(input));
        }
        self.after_input(index);
        let incarnation = self.nodes[index].incarnation;
        // Exit within 10 s, whatever Redis does.
        self.at(3 * SECOND, Event::Boot(index, Some(incarnation)));
    }

    fn crash(&mut self, index: usize) {
        if !self.nodes[index].is_alive || self.nodes[index].is_stopping {
            return;
        }
        self.note(|| format!("node {index}: crash"));
        self.nodes[index].is_alive = false;
        let incarnation = self.nodes[index].incarnation;
        let back = self.rng.pick(&[SECOND, 30 * SECOND]);
        self.at(back, Event::Boot(index, Some(incarnation)));
    }
}
