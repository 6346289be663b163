//! Plans of users who are forgotten.

use presence::replication::{MovedTimes, State};

use super::world::World;

/// The user's node is cut off from 5 s to 25 s and hears of the user for longer than the others know of. It reads of the command
/// after its first call.
fn is_forgotten_elsewhere(world: &mut World) {
    world.plan(3_000, |world| world.join(0, 0));
    world.plan(5_000, |world| {
        world.hold_publisher(0, 20_000);
        world.hold_follower(0, 21_500);
    });
    world.plan(10_000, |world| world.forget(0, 1));
}

pub(crate) fn a_user_is_forgotten_whose_node_is_cut_off(world: &mut World) {
    is_forgotten_elsewhere(world);
    world.plan(30_000, |world| world.expect_forgotten(0));
    world.until(60_000);
}

/// The user comes to another node after it, and leaves: that is what counts.
pub(crate) fn a_forgotten_user_comes_back_elsewhere(world: &mut World) {
    is_forgotten_elsewhere(world);
    world.plan(12_000, |world| world.join(0, 1));
    world.plan(14_000, |world| world.close(0, 1));
    world.plan(40_000, |world| {
        (0..3).for_each(|node| world.expect_last_seen(0, node, 14_000));
        world.expect_agreed_times(0);
    });
    world.until(60_000);
}

/// The user's node tells when it heard of the user after the command, and before it reads it.
pub(crate) fn a_user_is_forgotten_and_heard_of_at_once(world: &mut World) {
    world.plan(3_000, |world| world.join(0, 0));
    world.plan(9_990, |world| world.hold_follower(0, 500));
    world.plan(10_000, |world| world.forget(0, 1));
    world.plan(10_100, |world| world.tell_now(0, 0));
    world.plan(20_000, |world| world.expect_forgotten(0));
    world.until(60_000);
}

impl World {
    /// The node hears of the user, and tells with a tick.
    fn tell_now(&mut self, user: usize, node: usize) {
        let (user, now) = (self.user(user), self.now);
        self.nodes[node].input(now, 0, |machine, input| {
            machine.handle_times(MovedTimes {
                user,
                last_seen: machine.time(input.reading),
                last_active: None,
            });
            machine.tick_now(input);
        });
        self.after_input(node);
    }

    /// Neither Redis, nor the database, nor a node has anything of the user, but that there was a command.
    fn expect_forgotten(&mut self, user: usize) {
        let user = self.user(user);
        let stored = self.partitions[0].state.get(&user);
        let stored = stored.map(|(_, bytes)| State::decode(bytes).unwrap());
        let copied = self.nodes.iter().filter_map(|node| node.partitions[0].copied(&user));
        let left: Vec<State> = copied.map(|(_, state)| state).chain(stored).collect();
        let has_row = self.database.rows.get(&user).is_some_and(|row| !row.is_deleted);
        if left.is_empty() || !left.iter().all(State::is_removed) || has_row {
            self.fail(format!("S11: of {user}, who was forgotten, there is {left:?}"));
        }
    }
}
