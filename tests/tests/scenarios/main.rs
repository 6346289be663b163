//! What a cluster must pass, with three real nodes, a real Redis and a real PostgreSQL, and the default timers: so each
//! takes a minute or more, in which it mostly waits.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "in a test program a failure is a failed test"
)]

mod both_away;
mod cut_off_node;
mod database;
mod database_failover;
mod dying_node;
mod empty_redis;
mod forgotten;
mod held_cursors;
mod leaving;
mod memory_and_keys;
mod moving;
mod redis_faults;
mod reload_storm;
mod restarted_node;
mod scene;
mod silence;
mod stopped_node;
mod stored;
mod watched;
