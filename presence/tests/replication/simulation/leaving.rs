//! Plans of users who leave while something older of them is on its way, and of one who comes back then.

use super::world::World;

/// The offer of a report is on the way for long; meanwhile the user, who was heard since, leaves by another node and is dropped,
/// and is in the memory of no node.
pub(crate) fn a_user_leaves_before_the_offer_of_an_older_report_comes(world: &mut World) {
    world.plan(3_900, |world| world.join(0, 0));
    world.plan(4_000, |world| world.hold_publisher(1, 1_500));
    world.plan(4_100, |world| world.gateway_reports(0, 1));
    world.plan(4_200, |world| world.close(0, 0));
    world.plan(5_000, |world| (0..3).for_each(|node| world.leave_memory(0, node)));
    world.plan(8_000, |world| world.expect_agreed_times(0));
    world.until(30_000);
}

/// The same, and the node whose offer it is does not read that the user is dropped: the log is too short.
pub(crate) fn a_user_is_dropped_unread_before_the_offer_of_an_older_report_comes(world: &mut World) {
    report_comes_late(world);
}

/// The same, and it does not even read that the user leaves, so only the database can tell it when the user was seen last.
pub(crate) fn a_user_leaves_unread_before_the_offer_of_an_older_report_comes(world: &mut World) {
    world.plan(4_150, |world| world.join(7, 2));
    report_comes_late(world);
}

fn report_comes_late(world: &mut World) {
    world.partitions[0].log_max = 6;
    world.plan(3_900, |world| world.join(0, 0));
    world.plan(4_000, |world| {
        world.hold_publisher(1, 1_500);
        world.hold_follower(1, 1_500);
    });
    world.plan(4_100, |world| world.gateway_reports(0, 1));
    world.plan(4_200, |world| world.close(0, 0));
    world.plan(4_900, |world| (1..7).for_each(|user| world.join(user, 2)));
    world.plan(5_000, |world| {
        [0, 2].into_iter().for_each(|node| world.leave_memory(0, node));
    });
    world.plan(10_000, |world| world.expect_told_times(0));
    world.until(30_000);
}

/// Redis is emptied as a user leaves; a node that starts knows of the user by the database, withholds that it is OFFLINE, and
/// then the user comes back.
pub(crate) fn a_user_comes_back_to_a_node_that_starts(world: &mut World) {
    world.plan(3_000, |world| world.join(0, 1));
    world.plan(5_000, |world| world.kill(0));
    world.plan(10_000, World::flush);
    world.plan(10_010, |world| world.close(0, 1));
    world.plan(14_900, |world| world.boot(0, None));
    world.plan(15_400, |world| world.join(0, 2));
    world.until(60_000);
}

/// Redis is emptied while the node with a user is cut off; a node that starts shows the user, whom the database has as present.
pub(crate) fn a_node_starts_before_the_others_are_back(world: &mut World) {
    world.plan(3_000, |world| world.join(0, 1));
    world.plan(5_000, |world| world.kill(0));
    world.plan(9_990, |world| {
        for node in 1..3 {
            world.hold_publisher(node, 5_000);
            world.hold_follower(node, 5_000);
        }
    });
    world.plan(10_000, World::flush);
    world.plan(11_000, |world| world.boot_as(0, None, "new".to_owned()));
    world.plan(12_000, |world| {
        assert!(world.nodes[0].is_accepting());
        world.expect_online(0, 0);
    });
    world.until(60_000);
}
