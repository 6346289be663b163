//! What a node writes to the database and loads from it.

use presence::replication::{ChosenPage, Incarnation, MovedTimes, Share, State};
use presence::{Activity, Contribution, CustomStatus, Revision, UserId, Version};

use super::node::Delivery;
use super::world::{Event, SECOND, World};

impl World {
    pub(super) fn write(&mut self, index: usize, user: UserId, revision: Revision, state: Box<State>) {
        let (now, incarnation) = (self.now, self.nodes[index].incarnation);
        if !self.database.is_up {
            return self.at(
                SECOND / 2,
                Event::Deliver(index, incarnation, Delivery::Write(user, revision, state)),
            );
        }
        self.database.write(&user, now, revision, &state);
        let node = &mut self.nodes[index];
        let partition = node.partition_index(&user);
        node.input(now, partition, |machine, input| {
            machine.handle_written(input, &user, revision);
        });
    }

    pub(super) fn delete(&mut self, index: usize, user: UserId, revision: Revision, version: Version) {
        let (now, incarnation) = (self.now, self.nodes[index].incarnation);
        if !self.database.is_up {
            return self.at(
                SECOND / 2,
                Event::Deliver(index, incarnation, Delivery::Delete(user, revision, version)),
            );
        }
        let part = self.database.delete(&user, revision, version);
        let node = &mut self.nodes[index];
        let partition = node.partition_index(&user);
        let is_first = node.asked.remove(&user);
        node.input(now, partition, |machine, input| match is_first {
            true => machine.handle_loaded(input, &user, part),
            false => machine.handle_written(input, &user, revision),
        });
    }

    pub(super) fn load(&mut self, index: usize, user: UserId) {
        let (now, incarnation) = (self.now, self.nodes[index].incarnation);
        if !self.database.is_up {
            return self.at(SECOND / 2, Event::Deliver(index, incarnation, Delivery::Load(user)));
        }
        let part = self.database.rows.get(&user).cloned().unwrap_or_default().durable;
        let node = &mut self.nodes[index];
        let partition = node.partition_index(&user);
        node.input(now, partition, |machine, input| {
            machine.handle_loaded(input, &user, part);
        });
    }

    pub(super) fn load_chosen(&mut self, index: usize, partition: usize, pass: u64, after: Option<UserId>) {
        let incarnation = self.nodes[index].incarnation;
        if !self.database.is_up {
            let delivery = Delivery::LoadChosen(partition, pass, after);
            return self.at(SECOND / 2, Event::Deliver(index, incarnation, delivery));
        }
        let is_here =
            |user: &UserId| self.nodes[index].partition_index(user) == partition && Some(user) > after.as_ref();
        let chosen = self.database.rows.iter().filter(|(user, _)| is_here(user));
        let chosen = chosen.map(|(user, row)| (user.clone(), row.durable.part.preference.custom));
        let chosen = chosen.filter(|(_, custom)| *custom != CustomStatus::Online);
        let users: Vec<_> = chosen.take(2).collect();
        let next = (users.len() == 2).then(|| users[1].0.clone());
        let page = ChosenPage { pass, users, next };
        // What it was when it was read.
        let delay = self.rng.within(1_000, SECOND / 5);
        self.at(
            delay,
            Event::Deliver(index, incarnation, Delivery::Chosen(partition, page)),
        );
    }

    /// What is known of the user's times here goes to the database, also while Redis can't be reached.
    pub(super) fn write_times(&mut self, index: usize, user: &UserId) {
        let shell = self.nodes[index].users.get(user);
        if let Some(seen) = shell
            .map(|shell| shell.sessions.contribution())
            .filter(|_| self.database.is_up)
        {
            self.database.write_times(user, seen.last_seen, seen.last_active);
        }
    }

    /// Of no use if the database does not answer.
    pub(super) fn load_times(&mut self, index: usize, partition: usize, users: Vec<UserId>) {
        let rows = users
            .iter()
            .filter_map(|user| Some((user, self.database.rows.get(user)?)));
        let times = rows.filter_map(|(user, row)| {
            Some(MovedTimes {
                user: user.clone(),
                last_seen: row.last_seen?,
                last_active: row.last_active,
            })
        });
        let times: Vec<MovedTimes> = if self.database.is_up {
            times.collect()
        } else {
            Vec::new()
        };
        self.nodes[index].input(self.now, partition, |machine, input| {
            machine.handle_stored_times(input, users, &times);
        });
    }

    pub(super) fn load_present(&mut self, index: usize, partition: usize) {
        let (now, incarnation) = (self.now, self.nodes[index].incarnation);
        if !self.database.is_up {
            return self.at(
                SECOND / 2,
                Event::Deliver(index, incarnation, Delivery::LoadPresent(partition)),
            );
        }
        let present = self.database.rows.iter().filter(|(user, row)| {
            let is_reported = !row.durable.part.reports.is_empty();
            let is_present = row.status != presence::Status::Offline || is_reported;
            self.nodes[index].partition_index(user) == partition && is_present
        });
        let present = present.map(|(user, row)| {
            let is_reported = !row.durable.part.reports.is_empty();
            let share = Share {
                incarnation: Incarnation(7),
                contribution: Contribution {
                    connections: 0,
                    grace: Some(Activity::Unknown),
                    ..Contribution::default()
                },
                grace_until: None,
                places: 1,
                sessions: Vec::new(),
                unknown: Vec::new(),
            };
            let state = State {
                contributions: if is_reported { Vec::new() } else { vec![share] },
                durable: row.durable.clone(),
                status: match row.status {
                    presence::Status::Offline => presence::Status::Online,
                    status => status,
                },
                since: row.since,
                last_seen: row.last_seen,
                last_active: row.last_active,
                ..State::default()
            };
            (user.clone(), row.revision, state)
        });
        let present = present.collect();
        self.nodes[index].input(now, partition, |machine, input| machine.handle_present(input, present));
    }
}
