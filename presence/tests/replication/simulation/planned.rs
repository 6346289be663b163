//! What a plan is written with: users by number, times in ms from the beginning.

use presence::replication::{CommandKind, State};
use presence::{CustomStatus, EndReason, Status, UserId, Wall};

use super::node::{Delivery, Node, ToldState};
use super::world::{BEGIN, Event, SECOND, World};

impl World {
    /// Does `what` after so many ms.
    pub(crate) fn plan(&mut self, millis: u64, what: impl FnOnce(&mut Self) + 'static) {
        self.at(millis * 1_000, Event::Planned(Box::new(what)));
    }

    /// When what must hold at the end is checked.
    pub(crate) fn until(&mut self, millis: u64) {
        self.end = BEGIN + millis * 1_000;
    }

    pub(super) fn user(&self, number: usize) -> UserId {
        self.users[number].clone()
    }

    pub(crate) fn join(&mut self, user: usize, node: usize) {
        let user = self.user(user);
        self.connect(&user, node, 0);
    }

    /// The client closes its connection.
    pub(crate) fn close(&mut self, user: usize, node: usize) {
        let user = self.user(user);
        let clients = self.connected(&user);
        let client = clients.into_iter().find(|(index, ..)| *index == node).unwrap();
        self.leave(&user, client, EndReason::Closed);
    }

    /// The connection of the client is reset.
    pub(crate) fn lose(&mut self, user: usize, node: usize) {
        let user = self.user(user);
        let clients = self.connected(&user);
        let client = clients.into_iter().find(|(index, ..)| *index == node).unwrap();
        self.leave(&user, client, EndReason::Lost);
    }

    /// The client leaves its connection to the first node open, and continues the session on this node.
    pub(crate) fn come_back(&mut self, user: usize, node: usize) {
        let id = self.user(user);
        let client = self.connected(&id).first().copied();
        self.note_lost(&id, client);
        self.join(user, node);
    }

    /// Two clients of the user come to these nodes at the same moment, and name the same lost session.
    pub(crate) fn join_both(&mut self, user: usize, nodes: [usize; 2]) {
        let id = self.user(user);
        self.connected(&id);
        self.named_again.insert(id);
        nodes.into_iter().for_each(|node| self.join(user, node));
    }

    /// The client on this node names the lost session.
    pub(crate) fn name_lost(&mut self, user: usize, node: usize) {
        let user = self.user(user);
        let clients = self.connected(&user);
        let (.., id) = clients.into_iter().find(|(index, ..)| *index == node).unwrap();
        self.resume_session(node, &user, id);
    }

    /// Each of so many nodes has read whether it continues the session, and one does.
    pub(crate) fn expect_continued_once(&mut self, nodes: usize) {
        let decided: Vec<_> = self.decided.values().flatten().copied().collect();
        let won = decided.iter().filter(|(_, is_won)| *is_won).count();
        if decided.len() != nodes || won != 1 {
            self.fail(format!("S17: a lost session is continued by {decided:?}"));
        }
    }

    /// Whether who asks for the user waits for the log.
    pub(crate) fn expect_waiting(&mut self, user: usize, node: usize, expected: bool) {
        let user = self.user(user);
        if self.nodes[node].partitions[0].is_waiting_for(&user) != expected {
            self.fail(format!(
                "S17: whether node {node} waits for the log about {user} is not {expected}"
            ));
        }
    }

    /// A client of the user that has lost no session.
    pub(crate) fn join_as_another(&mut self, user: usize, node: usize) {
        let id = self.user(user);
        if let Some(lost) = self.lost.remove(&id) {
            let since = id.clone();
            self.plan(10, move |world| {
                world.lost.insert(since, lost);
            });
        }
        self.join(user, node);
    }

    /// The client on this node claims the place of the lost session, and nothing is offered of the user yet.
    pub(crate) fn claim_lost(&mut self, user: usize, node: usize) {
        let user = self.user(user);
        let clients = self.connected(&user);
        let (.., by) = clients.into_iter().find(|(index, ..)| *index == node).unwrap();
        let of = self.lost.remove(&user).unwrap();
        self.nodes[node].partitions[0].claim_place(&user, of, by).unwrap();
    }

    /// What was held back is offered.
    pub(crate) fn offer(&mut self, user: usize, node: usize) {
        let (user, now) = (self.user(user), self.now);
        self.nodes[node].touch(now, &user);
        self.after_input(node);
    }

    pub(crate) fn set(&mut self, user: usize, node: usize, custom: CustomStatus) {
        let user = self.user(user);
        self.set_custom_status(&user, node, custom);
    }

    /// A report without an end.
    pub(crate) fn gateway_reports(&mut self, user: usize, node: usize) {
        self.gateway_reported(user, node, 0);
    }

    /// The same, which has waited for the database for so many ms.
    pub(crate) fn gateway_reported(&mut self, user: usize, node: usize, before: u64) {
        let user = self.user(user);
        let now = self.nodes[node].now_of(self.now, &user).wall;
        let heard = now.before(std::time::Duration::from_millis(before));
        self.report_at(&user, node, (CustomStatus::Online, None), heard);
    }

    /// Nothing on this node needs the user in memory.
    pub(crate) fn leave_memory(&mut self, user: usize, node: usize) {
        let left = self.nodes[node].users.remove(&self.users[user]);
        if left.is_some_and(|shell| shell.sessions.is_present() || shell.has_unlogged_times) {
            self.fail(format!("S8: node {node} needs u{user}"));
        }
    }

    pub(crate) fn gateway_ends(&mut self, user: usize, node: usize) {
        let user = self.user(user);
        self.end_reports(&user, node);
    }

    /// Redis is empty from now on, and runs.
    pub(crate) fn flush(&mut self) {
        self.note(|| "FLUSHALL".to_owned());
        for partition in &mut self.partitions {
            partition.clear();
        }
    }

    /// What other services read is gone.
    pub(crate) fn delete_lists(&mut self) {
        for partition in &mut self.partitions {
            partition.online.clear();
            partition.custom.clear();
        }
    }

    /// Does `what`, given the node that asked, as soon as the database was read to list custom statuses, with that of the user
    /// among them. Never, if that does not happen.
    pub(crate) fn when_read(&mut self, user: usize, what: impl FnOnce(&mut Self, usize) + 'static) {
        let named = self.user(user);
        let reader = self.queue.values().find_map(|event| match event {
            Event::Deliver(node, _, Delivery::Chosen(_, page)) => {
                page.users.iter().any(|(user, _)| *user == named).then_some(*node)
            }
            _ => None,
        });
        match reader {
            Some(node) => what(self, node),
            None => self.at(
                1_000,
                Event::Planned(Box::new(move |world| world.when_read(user, what))),
            ),
        }
    }

    /// What the database was read to have comes so much later.
    pub(crate) fn delay_what_was_read(&mut self, millis: u64) {
        let is_page = |event: &Event| matches!(event, Event::Deliver(_, _, Delivery::Chosen(..)));
        let at = self.queue.iter().find(|(_, event)| is_page(event)).map(|(at, _)| *at);
        if let Some((at, number)) = at
            && let Some(event) = self.queue.remove(&(at, number))
        {
            self.queue.insert((at + millis * 1_000, number), event);
        }
    }

    /// Redis is restarted with what it had so many ms ago.
    pub(crate) fn roll_back(&mut self, millis: u64) {
        self.roll_back_to((self.now - BEGIN) / 1_000 - millis);
    }

    /// The same, so many ms after the beginning.
    pub(crate) fn roll_back_to(&mut self, millis: u64) {
        let until = BEGIN + millis * 1_000;
        let older = self.history.iter().rev().find(|(at, _)| *at <= until);
        let copy = older.map(|(_, copy)| copy.clone()).unwrap();
        self.stop_server();
        self.start_server(Some(copy));
    }

    /// What the node sends and is answered is on the way for so long.
    pub(crate) fn hold_publisher(&mut self, node: usize, millis: u64) {
        let until = self.now + millis * 1_000;
        let node = &mut self.nodes[node];
        node.hold_publisher = until;
        node.faulty_until = node.faulty_until.max(until + 10 * SECOND);
    }

    /// What the node reads is on the way for so long.
    pub(crate) fn hold_follower(&mut self, node: usize, millis: u64) {
        let until = self.now + millis * 1_000;
        let node = &mut self.nodes[node];
        node.hold_follower = until;
        node.faulty_until = node.faulty_until.max(until + 10 * SECOND);
    }

    /// Calls over the publisher's connection of now are on the way for so long; those over later ones are not.
    pub(crate) fn hold_connection(&mut self, node: usize, millis: u64) {
        let until = self.now + millis * 1_000;
        let node = &mut self.nodes[node];
        let (connection, _) = node.publisher_links[&0];
        node.hold_calls = (connection, until);
        node.faulty_until = node.faulty_until.max(until + 10 * SECOND);
    }

    /// The node's follower reads what is there now and never changes, as of a replica that gets nothing any more.
    pub(crate) fn freeze_follower(&mut self, node: usize) {
        self.nodes[node].frozen = Some(self.partitions.clone());
        self.nodes[node].faulty_until = u64::MAX;
    }

    pub(crate) fn thaw_follower(&mut self, node: usize) {
        self.nodes[node].frozen = None;
        self.nodes[node].faulty_until = self.now + 10 * SECOND;
    }

    pub(crate) fn expect_not_ready(&mut self, node: usize) {
        if !self.nodes[node].ready.is_empty() {
            self.fail(format!("L7: node {node} has begun too early"));
        }
    }

    pub(crate) fn expect_stale(&mut self, node: usize) {
        if !self.nodes[node].is_stale(0) {
            self.fail(format!("S16: node {node} does not say that its copy is behind"));
        }
    }

    pub(crate) fn expect_current(&mut self, node: usize) {
        if self.nodes[node].is_stale(0) {
            self.fail(format!("L7: node {node} still says that its copy is behind"));
        }
    }

    pub(crate) fn expect_online(&mut self, user: usize, node: usize) {
        let told = self.nodes[node].told.get(&self.users[user]).map(|told| told.status);
        if told != Some(Status::Online) {
            self.fail(format!("S16: node {node} tells {told:?} of who has come to it"));
        }
    }

    pub(crate) fn expect_online_or_stale(&mut self, user: usize, node: usize) {
        if !self.nodes[node].is_stale(0) {
            self.expect_online(user, node);
        }
    }

    pub(crate) fn expect_offline(&mut self, user: usize, node: usize) {
        let told = self.nodes[node].told.get(&self.users[user]).cloned();
        if told.as_ref().is_some_and(|told| told.status != Status::Offline) {
            self.fail(format!("L1: node {node} tells {told:?} of who has left"));
        }
    }

    /// The node tells that the user is OFFLINE, last seen at about that time.
    pub(crate) fn expect_last_seen(&mut self, user: usize, node: usize, millis: u64) {
        let told = self.nodes[node].told.get(&self.users[user]).cloned();
        let at = Wall::from_millis(i64::try_from(BEGIN / 1_000 + millis).unwrap());
        let is_near = |seen: Wall| seen.as_millis().abs_diff(at.as_millis()) <= 10;
        let is_right = |told: &ToldState| told.status == Status::Offline && told.last_seen.is_some_and(is_near);
        if !told.as_ref().is_some_and(is_right) {
            self.fail(format!("S8: node {node} tells {told:?} of who was last seen at {at:?}"));
        }
    }

    /// The state and all nodes have the user's status since about that time.
    pub(crate) fn expect_since(&mut self, user: usize, millis: u64) {
        let user = self.user(user);
        let copied = |node: &Node| node.partitions[0].copied(&user).and_then(|(_, state)| state.since);
        let stored = self.partitions[0].state.get(&user);
        let stored = stored.and_then(|(_, bytes)| State::decode(bytes).unwrap().since);
        let all: Vec<_> = self.nodes.iter().map(copied).chain([stored]).collect();
        let at = Wall::from_millis(i64::try_from(BEGIN / 1_000 + millis).unwrap());
        let is_right = |since: &Option<Wall>| since.is_some_and(|one| one.as_millis().abs_diff(at.as_millis()) <= 10);
        if !all.iter().all(is_right) {
            self.fail(format!("S6: the status of {user} is since {all:?}, not {at:?}"));
        }
    }

    /// The database has when the user was seen last, and neither the state nor a node that has the user says otherwise.
    pub(crate) fn expect_agreed_times(&mut self, user: usize) {
        let user = self.user(user);
        let row = self.database.rows.get(&user).and_then(|row| row.last_seen);
        let copied = |node: &Node| node.partitions[0].copied(&user).map(|(_, state)| state.last_seen);
        let stored = self.partitions[0].state.get(&user);
        let stored = stored.map(|(_, bytes)| State::decode(bytes).unwrap().last_seen);
        let copies: Vec<_> = self.nodes.iter().filter_map(copied).chain(stored).collect();
        if row.is_none() || copies.iter().any(|copy| *copy != row) {
            self.fail(format!("S8: {user} was last seen at {row:?}, nodes have {copies:?}"));
        }
    }

    /// All nodes have the user, last seen as the database has it. Redis need not: ticks tell of times alone.
    pub(crate) fn expect_told_times(&mut self, user: usize) {
        let user = self.user(user);
        let row = self.database.rows.get(&user).and_then(|row| row.last_seen);
        let copied = |node: &Node| node.partitions[0].copied(&user).and_then(|(_, state)| state.last_seen);
        let copies: Vec<_> = self.nodes.iter().map(copied).collect();
        if row.is_none() || copies.iter().any(|copy| *copy != row) {
            self.fail(format!("S8: {user} was last seen at {row:?}, nodes have {copies:?}"));
        }
    }

    pub(crate) fn kick(&mut self, user: usize, node: usize) {
        let user = self.user(user);
        self.command(&user, node, CommandKind::Kick);
    }

    pub(crate) fn forget(&mut self, user: usize, node: usize) {
        let user = self.user(user);
        self.command(&user, node, CommandKind::Forget);
    }

    pub(crate) fn expect_told(&mut self, user: usize, node: usize, status: Status) {
        let told = self.nodes[node].told.get(&self.users[user]).map(|told| told.status);
        if told != Some(status) {
            self.fail(format!("S11: node {node} tells {told:?} of u{user}, who is {status:?}"));
        }
    }

    /// A fourth node starts, under the name of another.
    pub(crate) fn boot_namesake(&mut self, of: usize) {
        self.boot_as(3, None, format!("node-{of}"));
    }

    /// The node is gone for good.
    pub(crate) fn kill(&mut self, node: usize) {
        self.note(|| format!("node {node}: killed"));
        self.nodes[node].is_alive = false;
    }
}
