//! Plans of users who come to a node while Redis's memory is full: the others can't know of them, and say so.

use super::world::World;

/// When the user comes.
const CAME: u64 = 6_000;

/// A user comes to node 0, and Redis has room again only at `until`.
fn comes_without_room(world: &mut World, until: u64) {
    world.plan(5_000, |world| world.is_full = true);
    world.plan(CAME, |world| {
        (0..3).for_each(|node| world.expect_current(node));
        world.join(0, 0);
    });
    world.plan(CAME + 100, |world| world.expect_online(0, 0));
    world.plan(CAME + 3_000, |world| (0..3).for_each(|node| world.expect_stale(node)));
    world.plan(until, |world| world.is_full = false);
}

/// Nobody says any more that additions are refused.
fn is_over(world: &mut World, at: u64) {
    world.plan(at, |world| (0..3).for_each(|node| world.expect_current(node)));
}

pub(crate) fn a_user_comes_while_redis_has_no_room(world: &mut World) {
    comes_without_room(world, 26_000);
    world.plan(25_999, |world| (0..3).for_each(|node| world.expect_stale(node)));
    is_over(world, 36_000);
    world.until(60_000);
}

/// The node with the user dies: there is nobody of whom the others don't know once its registration has ended.
pub(crate) fn a_node_dies_whose_user_redis_had_no_room_for(world: &mut World) {
    comes_without_room(world, 60_000);
    world.plan(12_000, |world| world.kill(0));
    world.plan(22_000, |world| {
        (1..3).for_each(|node| world.expect_stale(node));
    });
    world.plan(40_000, |world| {
        (1..3).for_each(|node| world.expect_current(node));
    });
    world.until(100_000);
}

/// One of two users is offered, and taken, soon after there is room, and the other later: until that one is known, the others
/// say that they may lack somebody.
pub(crate) fn there_is_room_for_one_user_first(world: &mut World) {
    comes_without_room(world, 24_500);
    world.plan(CAME, |world| world.join(1, 0));
    world.plan(24_501, |world| {
        // The answer comes before the log's entry.
        world.hold_follower(0, 100);
        world.offer(1, 0);
    });
    for at in (24_502..28_500).step_by(2) {
        world.plan(at, |world| {
            (1..3).for_each(|node| world.expect_online_or_stale(0, node));
        });
    }
    is_over(world, 36_000);
    world.until(60_000);
}

/// A node starts meanwhile: from its first moment on it says that it may lack somebody.
pub(crate) fn a_node_starts_while_redis_has_no_room(world: &mut World) {
    comes_without_room(world, 26_000);
    world.plan(9_500, |world| world.kill(2));
    world.plan(15_000, |world| world.boot_as(2, None, "new".to_owned()));
    world.plan(20_000, |world| assert!(world.nodes[2].is_accepting()));
    for at in 15_000..26_000 {
        world.plan(at, |world| {
            if world.nodes[2].is_accepting() {
                world.expect_stale(2);
            }
        });
    }
    is_over(world, 36_000);
    world.until(60_000);
}
