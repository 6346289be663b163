//! Plans of faults, each of which aims at one rule of replication: without it, something that must hold does not.

use presence::{CustomStatus, Status};

use super::world::World;

/// Redis is emptied while two nodes have sessions of a user, and one of them ends before the other node offers what both had.
pub(crate) fn a_session_ends_as_redis_is_emptied(world: &mut World) {
    world.plan(3_000, |world| {
        world.join(0, 0);
        world.join(0, 1);
    });
    world.plan(10_000, World::flush);
    world.plan(10_001, |world| world.close(0, 0));
    world.until(40_000);
}

/// The log is short, and a follower is behind by more than it holds.
pub(crate) fn a_follower_misses_entries(world: &mut World) {
    world.partitions[0].log_max = 6;
    world.plan(5_000, |world| world.hold_follower(2, 1_500));
    world.plan(5_200, |world| (0..4).for_each(|user| world.join(user, 0)));
    world.plan(5_400, |world| (4..8).for_each(|user| world.join(user, 1)));
    world.until(20_000);
}

/// Redis restarts before anybody has found out that it was away. Two users have moved meanwhile: whichever node registers
/// first knows of one that it has left, and not yet where it has come.
pub(crate) fn users_move_as_redis_restarts(world: &mut World) {
    world.plan(3_000, |world| {
        world.join(0, 1);
        world.join(1, 2);
    });
    // Right after the followers were answered.
    world.plan(10_250, World::stop_server);
    world.plan(10_350, |world| {
        world.join(0, 2);
        world.join(1, 1);
    });
    world.plan(10_850, |world| {
        world.close(0, 1);
        world.close(1, 2);
    });
    world.plan(11_500, |world| world.start_server(None));
    world.until(30_000);
}

/// Redis is emptied after a node has died: its users are in grace, and did not leave.
pub(crate) fn redis_is_emptied_after_a_node_died(world: &mut World) {
    world.plan(3_000, |world| world.join(0, 2));
    world.plan(9_900, |world| world.kill(2));
    world.plan(10_000, World::flush);
    world.until(60_000);
}

/// Redis goes back by some seconds, to before a user came.
pub(crate) fn redis_is_restored_from_an_older_copy(world: &mut World) {
    world.plan(8_000, |world| world.join(0, 0));
    world.plan(9_500, |world| world.roll_back(1_700));
    world.until(30_000);
}

/// Redis goes back twice, the second time to before the epoch that began after the first: its log has a user who has left
/// since, and of whom the copies know nothing any more.
pub(crate) fn redis_is_restored_from_older_copies_twice(world: &mut World) {
    world.plan(3_000, |world| world.join(0, 0));
    world.plan(6_000, |world| world.close(0, 0));
    world.plan(8_150, |world| world.roll_back(1_000));
    // To what it was between the first restart and the epoch that followed.
    world.plan(9_700, |world| world.roll_back_to(8_250));
    world.until(30_000);
}

/// A user leaves while a node that was cut off for a moment tells nobody as OFFLINE; a client there keeps its cursor.
pub(crate) fn a_cursor_is_taken_while_offline_is_withheld(world: &mut World) {
    world.plan(3_000, |world| world.join(0, 1));
    world.plan(5_000, |world| world.hold_follower(0, 3_000));
    world.plan(10_000, |world| world.close(0, 1));
    world.plan(11_000, |world| world.take_cursor_at(0));
    world.until(40_000);
}

/// A gateway reports a user by a node that is behind, and ends the report by another one.
pub(crate) fn a_report_ends_while_a_node_is_behind(world: &mut World) {
    world.plan(4_000, |world| world.hold_publisher(0, 4_000));
    world.plan(5_000, |world| world.hold_follower(0, 8_000));
    world.plan(6_500, |world| world.gateway_reports(0, 0));
    world.plan(7_000, |world| world.gateway_ends(0, 1));
    world.plan(12_000, |world| world.expect_offline(0, 1));
    world.until(22_000);
}

/// Redis is emptied, and users are there who are known by reports alone.
pub(crate) fn reports_are_of_no_node(world: &mut World) {
    world.plan(3_000, |world| world.gateway_reports(0, 0));
    world.plan(10_000, World::flush);
    world.until(50_000);
}

/// A node dies right after it answered that a custom status is set.
pub(crate) fn a_node_dies_with_a_custom_status(world: &mut World) {
    world.plan(3_000, |world| world.join(0, 1));
    world.plan(5_500, |world| world.hold_publisher(0, 5_000));
    world.plan(6_900, |world| world.set(0, 0, CustomStatus::DoNotDisturb));
    world.plan(7_000, |world| world.kill(0));
    world.until(40_000);
}

/// An offer is on the way for long; the node has connected anew since, and the session has ended.
pub(crate) fn an_offer_comes_late(world: &mut World) {
    world.plan(4_000, |world| world.hold_connection(0, 6_000));
    world.plan(4_100, |world| world.join(0, 0));
    world.plan(5_000, |world| world.close(0, 0));
    world.until(40_000);
}

/// What a node told by the clock of before is far ahead of the clock that Redis comes back with.
pub(crate) fn the_clock_of_redis_goes_back(world: &mut World) {
    world.plan(5_000, World::stop_server);
    world.plan(8_000, |world| world.join(0, 0));
    world.plan(9_000, |world| {
        world.skew = -50_000_000;
        world.start_server(None);
    });
    world.until(22_000);
}

/// A follower is answered in time, by a replica that gets nothing any more.
pub(crate) fn a_follower_reads_what_stands_still(world: &mut World) {
    world.plan(5_000, |world| world.freeze_follower(2));
    world.plan(6_000, |world| world.join(0, 0));
    world.plan(10_500, |world| world.expect_stale(2));
    world.plan(12_000, |world| world.thaw_follower(2));
    world.until(22_000);
}

/// Redis is gone, and every attempt to reach it fails at once.
pub(crate) fn every_attempt_to_reach_redis_fails(world: &mut World) {
    world.plan(5_000, World::stop_server);
    world.plan(7_010, |world| (0..3).for_each(|node| world.expect_stale(node)));
    world.plan(12_000, |world| world.start_server(None));
    world.until(30_000);
}

/// Redis is silent, and what nodes have asked it fails just before they wait no longer.
pub(crate) fn redis_fails_late(world: &mut World) {
    world.plan(9_050, |world| {
        for node in 0..3 {
            world.hold_follower(node, 1_900);
            world.hold_publisher(node, 1_900);
        }
        world.stop_server();
    });
    world.plan(11_500, |world| (0..3).for_each(|node| world.expect_stale(node)));
    world.plan(16_000, |world| world.start_server(None));
    world.until(40_000);
}

/// A user leaves while Redis is away, and so does the node that knows when.
pub(crate) fn a_user_and_the_node_leave_in_an_outage(world: &mut World) {
    world.plan(3_000, |world| world.join(0, 0));
    world.plan(5_000, World::stop_server);
    world.plan(10_000, |world| world.close(0, 0));
    world.plan(12_000, |world| world.kill(0));
    world.plan(20_000, |world| world.start_server(None));
    world.plan(60_000, |world| {
        (1..3).for_each(|node| world.expect_last_seen(0, node, 10_000));
    });
    world.until(60_000);
}

/// Redis is emptied with its clock set back, and begins anew below what two of the followers have read.
pub(crate) fn a_new_epoch_begins_below_what_was_read(world: &mut World) {
    world.plan(7_000, |world| world.hold_follower(1, 1_500));
    world.plan(7_200, |world| world.join(0, 0));
    world.plan(7_500, |world| {
        world.skew = -50_000_000;
        world.flush();
    });
    world.plan(7_600, |world| world.join(1, 1));
    world.until(30_000);
}

/// The offer of a report is on the way for long; meanwhile the report is ended by another node, and the user dropped.
pub(crate) fn a_report_ends_before_its_offer_comes(world: &mut World) {
    world.plan(4_000, |world| world.hold_publisher(0, 1_500));
    world.plan(4_100, |world| world.gateway_reports(0, 0));
    world.plan(4_500, |world| world.gateway_ends(0, 1));
    world.until(30_000);
}

/// A gateway reports a user by two nodes; the first of the two was heard last, and its offer comes last.
pub(crate) fn a_report_overtakes_one_that_was_heard_later(world: &mut World) {
    world.plan(4_000, |world| world.hold_publisher(0, 1_500));
    world.plan(4_100, |world| world.gateway_reports(0, 0));
    world.plan(4_101, |world| world.gateway_reported(0, 1, 50));
    world.plan(8_000, |world| world.expect_agreed_times(0));
    world.until(30_000);
}

/// A session begins and ends before its node has offered anything of it. The database is away.
pub(crate) fn a_session_ends_before_it_is_offered(world: &mut World) {
    world.plan(4_000, |world| {
        world.database.is_up = false;
        world.hold_publisher(0, 1_500);
        world.join(1, 0);
    });
    world.plan(4_100, |world| world.join(0, 0));
    world.plan(4_200, |world| world.close(0, 0));
    world.plan(7_000, |world| world.database.is_up = true);
    world.plan(9_000, |world| world.expect_agreed_times(0));
    world.until(30_000);
}

/// A node starts under the name of one that is alive.
pub(crate) fn a_node_starts_under_the_name_of_another(world: &mut World) {
    world.plan(5_000, |world| world.boot_namesake(1));
    world.until(30_000);
}

/// A node starts under the name of one that has died, with another data directory.
pub(crate) fn a_node_starts_under_the_name_of_a_dead_one(world: &mut World) {
    world.plan(4_900, |world| world.kill(1));
    world.plan(5_000, |world| world.boot_namesake(1));
    world.plan(14_000, |world| world.expect_not_ready(3));
    world.until(30_000);
}

/// Somebody deletes what other services read, while one user is present and another one, who is absent, has a custom status.
pub(crate) fn somebody_deletes_what_other_services_read(world: &mut World) {
    world.plan(3_000, |world| {
        world.join(0, 0);
        world.set(1, 1, CustomStatus::DoNotDisturb);
    });
    world.plan(10_000, World::delete_lists);
    world.until(20_000);
}

/// A new epoch begins, and an absent user sets another custom status right after the database was read.
pub(crate) fn a_custom_status_changes_while_all_are_listed(world: &mut World) {
    world.plan(3_000, |world| {
        (0..8).for_each(|user| world.set(user, 0, CustomStatus::Idle));
    });
    world.plan(10_000, World::delete_lists);
    world.plan(10_001, |world| {
        world.when_read(0, |world, _| world.set(0, 2, CustomStatus::Online));
    });
    world.until(30_000);
}

/// The same, and the node that lists them learns too late that the user changed, and was dropped since.
pub(crate) fn a_user_is_dropped_while_all_are_listed(world: &mut World) {
    world.plan(3_000, |world| {
        (0..8).for_each(|user| world.set(user, 0, CustomStatus::Idle));
    });
    world.plan(10_000, World::delete_lists);
    world.plan(10_001, |world| {
        world.when_read(0, |world, reader| {
            world.hold_follower(reader, 1_500);
            world.delay_what_was_read(600);
            world.set(0, (reader + 1) % 3, CustomStatus::Online);
        });
    });
    world.until(30_000);
}

/// Redis is emptied with its clock set back, and begins anew by a node that has read nothing: a user comes there, below what the
/// others have read.
pub(crate) fn a_node_that_starts_begins_an_epoch_below_the_others(world: &mut World) {
    world.plan(5_000, |world| {
        for node in 0..3 {
            world.hold_follower(node, 2_500);
            world.hold_publisher(node, 2_500);
        }
        world.skew = -50_000_000;
        world.flush();
        world.boot_as(3, None, "node-3".to_owned());
    });
    world.plan(6_000, |world| world.join(0, 3));
    world.until(30_000);
}

/// A user is kicked while a node is cut off. What the node reads then holds at that entry: nobody waits for who may have moved.
pub(crate) fn a_user_is_kicked_while_a_node_is_cut_off(world: &mut World) {
    world.plan(3_000, |world| world.join(0, 1));
    world.plan(5_000, |world| {
        world.hold_follower(2, 4_000);
        world.hold_publisher(2, 4_000);
    });
    world.plan(7_500, |world| {
        world.expect_stale(2);
        world.kick(0, 0);
    });
    world.plan(10_000, |world| {
        (0..3).for_each(|node| world.expect_told(0, node, Status::Offline));
    });
    world.until(60_000);
}

/// The same, with a session on the node that is cut off.
pub(crate) fn a_user_of_a_node_that_is_cut_off_is_kicked(world: &mut World) {
    world.plan(3_000, |world| world.join(0, 2));
    world.plan(5_000, |world| {
        world.hold_follower(2, 4_000);
        world.hold_publisher(2, 4_000);
    });
    world.plan(7_500, |world| {
        world.set(0, 2, CustomStatus::Idle);
        world.kick(0, 0);
    });
    world.plan(10_000, |world| {
        (0..3).for_each(|node| world.expect_told(0, node, Status::Offline));
    });
    world.until(60_000);
}

/// A user comes and leaves while Redis is away: only this node told so, and the state has nothing of it.
pub(crate) fn a_user_comes_and_leaves_in_an_outage(world: &mut World) {
    world.plan(5_000, World::stop_server);
    world.plan(8_000, |world| world.join(0, 0));
    world.plan(8_500, |world| {
        world.expect_told(0, 0, Status::Online);
        world.close(0, 0);
    });
    world.plan(9_000, |world| world.start_server(None));
    world.plan(20_000, |world| world.expect_told(0, 0, Status::Offline));
    world.until(60_000);
}

/// A node starts while the users of one that was ended are in grace, and is alone then: nobody else knows when they are over.
pub(crate) fn a_node_starts_after_another_was_ended(world: &mut World) {
    world.plan(3_000, |world| world.join(0, 0));
    world.plan(30_000, |world| world.kill(0));
    world.plan(50_000, |world| {
        world.expect_told(0, 1, Status::Online);
        world.boot_as(3, None, "node-3".to_owned());
    });
    world.plan(51_000, |world| {
        (1..3).for_each(|node| world.kill(node));
        world.expect_told(0, 3, Status::Online);
    });
    // It was ended up to 15 s after its last tick, and 12 s of grace and up to 1.2 s more follow.
    world.plan(54_000, |world| world.expect_told(0, 3, Status::Online));
    world.plan(58_500, |world| world.expect_told(0, 3, Status::Offline));
    world.until(120_000);
}

/// Redis's clock is set forward while the users of a node that was ended are in grace, and something else of one of them changes:
/// who has read the end counts by its own clock.
pub(crate) fn the_clock_of_redis_jumps_in_a_grace_period(world: &mut World) {
    world.plan(3_000, |world| world.join(0, 0));
    world.plan(30_000, |world| world.kill(0));
    world.plan(46_000, |world| {
        world.skew = 30_000_000;
        world.jumped_at = world.now;
    });
    world.plan(50_000, |world| world.set(0, 1, CustomStatus::DoNotDisturb));
    world.plan(50_500, |world| {
        (1..3).for_each(|node| world.expect_told(0, node, Status::DoNotDisturb));
    });
    world.plan(59_500, |world| {
        (1..3).for_each(|node| world.expect_told(0, node, Status::Offline));
    });
    world.until(120_000);
}

/// Redis goes back to before a user left, and the node that knows so is cut off for a moment: nobody else tells what was.
pub(crate) fn redis_is_restored_to_before_a_user_left(world: &mut World) {
    world.plan(3_000, |world| world.join(0, 1));
    world.plan(7_000, |world| world.close(0, 1));
    world.plan(8_000, |world| {
        world.hold_follower(1, 3_000);
        world.hold_publisher(1, 3_000);
    });
    world.plan(8_100, |world| world.roll_back_to(6_900));
    for millis in [9_000, 9_500, 10_000, 10_500, 11_000, 12_000] {
        world.plan(millis, |world| {
            world.expect_told(0, 0, Status::Offline);
            world.expect_told(0, 2, Status::Offline);
        });
    }
    world.until(60_000);
}
