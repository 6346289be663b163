//! Clients that come back name the session that they lost, wherever it was, and plans of two that name the same one.

use presence::replication::{FreedPlace, Incarnation};
use presence::{Predecessor, SessionId, SessionName, Status, UserId};

use super::deliver::TIMERS;
use super::world::World;

impl World {
    /// This client of a user lost its session, or its node is gone.
    pub(crate) fn note_lost(&mut self, user: &UserId, client: Option<(usize, Incarnation, SessionId)>) {
        if let Some((_, incarnation, session)) = client {
            let run = incarnation.run();
            self.lost.insert(user.clone(), SessionName { run, session });
        }
    }

    /// The client of the user is back with session `id`, and continues the one that it lost.
    pub(crate) fn resume_session(&mut self, index: usize, user: &UserId, id: SessionId) {
        let named = match self.named_again.remove(user) {
            true => self.lost.get(user).copied(),
            false => self.lost.remove(user),
        };
        let Some(of) = named else { return };
        let partition = self.nodes[index].partition_index(user);
        if of.run == self.nodes[index].incarnation.run() {
            return self.resume_here(index, user, id, of);
        }
        let activity = self.nodes[index].partitions[partition].claim_place(user, of, id);
        if let Some(activity) = activity {
            self.note(|| format!("node {index}: {user} continues {of}"));
            self.continued.entry(user.clone()).or_default().insert(of);
            self.change(index, user, |shell, now| {
                shell.sessions.handle_grace_elsewhere(now, id, activity, TIMERS.grace);
            });
        }
    }

    fn resume_here(&mut self, index: usize, user: &UserId, id: SessionId, of: SessionName) {
        let partition = self.nodes[index].partition_index(user);
        let shell = self.nodes[index].users.get(user);
        let until = shell.and_then(|shell| shell.sessions.place_until(of.session));
        let mut has_place = self.nodes[index].partitions[partition].claim_own_place(user, of, id, until);
        if has_place {
            self.change(index, user, |shell, now| {
                let predecessor = Predecessor::Here(of.session);
                has_place = shell.sessions.handle_resume(now, id, predecessor, TIMERS.grace);
            });
        }
        if !has_place {
            self.nodes[index].partitions[partition].withdraw_claim(user, id);
        }
    }

    /// Session `id` is refused, which had claimed this place.
    pub(crate) fn give_back(&mut self, index: usize, user: &UserId, id: SessionId, place: FreedPlace) {
        self.change(index, user, |shell, now| {
            let until = place.until.unwrap_or(now.mono.after(TIMERS.grace));
            shell.sessions.handle_place_back(now, id, place.of, until);
        });
    }

    /// The log says which of the sessions that named this one continues it.
    pub(crate) fn note_claimed(&mut self, index: usize, user: &UserId, of: SessionName, is_won: bool) {
        self.note(|| format!("node {index}: whether {of} of {user} is continued here: {is_won}"));
        self.decided.entry(of).or_default().push((index, is_won));
    }

    /// Sessions on other nodes continue these of this node.
    pub(crate) fn give_up_places(&mut self, index: usize, user: &UserId, sessions: &[SessionId]) {
        if self.nodes[index].users.contains_key(user) {
            self.change(index, user, |shell, now| {
                for session in sessions {
                    shell.sessions.handle_continued(now, *session);
                }
            });
        }
    }
}

/// Two clients have lost the same session, and name it on two nodes at the same moment: neither has read of the other.
pub(crate) fn a_lost_session_is_named_on_two_nodes(world: &mut World) {
    is_named_at_once(world, [1, 2], 0);
}

/// The same, one of them where the session was.
pub(crate) fn a_lost_session_is_named_here_and_on_another_node(world: &mut World) {
    is_named_at_once(world, [1, 0], 2);
}

fn is_named_at_once(world: &mut World, nodes: [usize; 2], watching: usize) {
    world.plan(3_000, |world| world.join(0, 0));
    world.plan(4_000, |world| world.lose(0, 0));
    world.plan(5_000, move |world| world.join_both(0, nodes));
    world.plan(6_000, |world| world.expect_continued_once(2));
    world.plan(7_000, move |world| {
        for node in nodes {
            world.close(0, node);
        }
    });
    world.plan(7_500, move |world| world.expect_told(0, watching, Status::Offline));
    world.until(30_000);
}

/// The same, and the other node is answered what the first one said before it reads that: it has nothing more to say.
pub(crate) fn a_lost_session_is_named_here_first(world: &mut World) {
    world.plan(3_000, |world| {
        world.join(0, 0);
        world.join(0, 1);
    });
    world.plan(4_000, |world| world.lose(0, 0));
    world.plan(4_950, |world| world.hold_follower(1, 300));
    world.plan(5_000, |world| {
        world.named_again.insert(world.users[0].clone());
        world.join(0, 0);
        world.name_lost(0, 1);
    });
    world.plan(5_200, |world| world.expect_waiting(0, 1, true));
    world.plan(6_000, |world| world.expect_continued_once(2));
    world.plan(7_000, |world| {
        (0..2).for_each(|node| world.close(0, node));
    });
    world.plan(7_500, |world| world.expect_told(0, 2, Status::Offline));
    world.until(30_000);
}

/// The node where the session was is dead, and was ended.
pub(crate) fn a_session_of_a_dead_node_is_named_on_two_nodes(world: &mut World) {
    world.plan(3_000, |world| world.join(0, 0));
    world.plan(4_000, |world| world.kill(0));
    world.plan(22_000, |world| world.join_both(0, [1, 2]));
    world.plan(23_000, |world| world.expect_continued_once(2));
    world.plan(24_000, |world| (1..3).for_each(|node| world.close(0, node)));
    world.plan(24_500, |world| world.expect_told(0, 2, Status::Offline));
    world.until(60_000);
}

/// Redis is emptied, and a client continues its session elsewhere before the node that still has it has registered anew.
pub(crate) fn a_session_is_continued_before_its_node_registers(world: &mut World) {
    world.plan(3_000, |world| world.join(0, 0));
    world.plan(9_900, |world| {
        world.hold_follower(0, 2_000);
        world.hold_publisher(0, 2_000);
    });
    world.plan(10_000, World::flush);
    // The node finds the connection dead only later.
    world.plan(11_000, |world| world.come_back(0, 1));
    world.plan(13_000, |world| world.close(0, 1));
    world.plan(20_000, |world| {
        (0..3).for_each(|node| world.expect_told(0, node, Status::Online));
        world.lose(0, 0);
    });
    // No grace period follows, and nobody is held back any more.
    world.plan(20_500, |world| {
        (0..3).for_each(|node| world.expect_told(0, node, Status::Offline));
    });
    world.until(60_000);
}

/// The same, and that node is dead and never registers: its place goes as soon as nobody is waited for.
pub(crate) fn a_session_is_continued_whose_node_never_registers(world: &mut World) {
    world.plan(3_000, |world| world.join(0, 0));
    world.plan(9_900, |world| world.kill(0));
    world.plan(10_000, World::flush);
    world.plan(11_000, |world| world.come_back(0, 1));
    world.plan(13_000, |world| world.close(0, 1));
    world.plan(25_000, |world| {
        (1..3).for_each(|node| world.expect_told(0, node, Status::Online));
    });
    world.plan(33_000, |world| {
        (1..3).for_each(|node| world.expect_told(0, node, Status::Offline));
    });
    world.until(60_000);
}

/// The same, and that node has registered and stopped: nobody waits for it.
pub(crate) fn a_session_is_continued_whose_node_has_stopped(world: &mut World) {
    world.plan(3_000, |world| world.join(0, 0));
    world.plan(10_000, World::flush);
    world.plan(12_000, |world| world.terminate(0));
    world.plan(12_200, |world| world.come_back(0, 1));
    world.plan(12_500, |world| world.close(0, 1));
    // Nobody is held back any more.
    world.plan(16_500, |world| {
        (1..3).for_each(|node| world.expect_told(0, node, Status::Offline));
    });
    world.until(60_000);
}

/// A session is claimed by a user who publishes too much: what the claim changes is offered later.
pub(crate) fn a_claim_is_held_back(world: &mut World) {
    world.plan(3_000, |world| world.join(0, 0));
    world.plan(4_000, |world| world.lose(0, 0));
    world.plan(4_500, |world| world.join_as_another(0, 1));
    world.plan(5_000, |world| {
        world.claim_lost(0, 1);
        world.expect_waiting(0, 1, false);
    });
    world.plan(5_500, |world| {
        world.expect_waiting(0, 1, false);
        world.offer(0, 1);
        world.expect_waiting(0, 1, true);
    });
    world.plan(6_000, |world| world.expect_continued_once(1));
    world.plan(7_000, |world| world.close(0, 1));
    world.plan(7_500, |world| world.expect_told(0, 2, Status::Offline));
    world.until(30_000);
}

/// A client continues its session on another node, and is refused: the user has too many. It may come back, so the place stays.
pub(crate) fn a_session_that_continues_another_is_refused(world: &mut World) {
    is_refused(world, 2);
}

/// The same on the node where the session was.
pub(crate) fn a_session_that_continues_another_here_is_refused(world: &mut World) {
    is_refused(world, 0);
}

fn is_refused(world: &mut World, node: usize) {
    world.plan(3_000, |world| world.join(0, 0));
    world.plan(4_000, |world| world.lose(0, 0));
    world.plan(4_500, |world| (0..3).for_each(|_| world.join_as_another(0, 1)));
    world.plan(5_000, move |world| world.join(0, node));
    world.plan(5_500, move |world| {
        world.expect_waiting(0, node, false);
        (0..3).for_each(|_| world.close(0, 1));
    });
    world.plan(7_000, |world| world.expect_told(0, 1, Status::Online));
    world.plan(10_000, |world| world.expect_told(0, 1, Status::Offline));
    world.until(30_000);
}
