//! Plans of users whom a gateway reports while Redis is away.

use super::world::World;

/// The node that took the report tells it alone, then the others find the mark in the database: the first to offer it when Redis is
/// back need not be the one that took it.
pub(crate) fn a_user_is_reported_in_an_outage(world: &mut World) {
    world.plan(5_000, World::stop_server);
    world.plan(8_000, |world| world.gateway_reports(0, 1));
    world.plan(9_000, |world| world.expect_online(0, 1));
    world.plan(26_000, |world| (0..3).for_each(|node| world.expect_online(0, node)));
    world.plan(27_000, |world| world.start_server(None));
    world.plan(40_000, |world| world.expect_since(0, 8_000));
    world.until(60_000);
}
