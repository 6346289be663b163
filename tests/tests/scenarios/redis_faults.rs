//! Redis goes away in many ways, and comes back: nobody becomes OFFLINE for it, nodes say so within 3 s, and all is right within
//! 10 s after it.

use std::time::Duration;

use presence_tests::postgres_server::PostgresServer;
use presence_tests::proxy::Flow;
use presence_tests::redis_server::RedisServer;
use presence_tests::wait::let_time_pass;

use crate::watched::Watched;

/// How long a fault lasts that lasts: longer than a lease.
const AWAY: Duration = Duration::from_secs(30);

async fn start() -> Watched<'static> {
    Watched::start(PostgresServer::shared(), RedisServer::start(&[])).await
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_killed_for_a_minute_and_empty_then_makes_no_event() {
    let mut watched = start().await;
    watched.begin();
    watched.cluster.redis().kill();
    watched.is_stale().await;
    watched.commands_are_refused().await;
    watched.some_change().await;
    watched.some_is_taken().await;
    let_time_pass(2 * AWAY).await;
    watched.fault_of_redis_ends();
    watched.cluster.redis().start_again();
    watched.is_right_again().await;
    watched.epoch_gets_old().await;
    watched.made_no_event().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_with_a_copy_that_is_a_minute_old_makes_no_event() {
    let mut watched = start().await;
    // Whom the copy has, and who left since; and the other way round.
    watched.cluster.command(&["SAVE"]);
    watched.some_change().await;
    let_time_pass(2 * AWAY).await;
    watched.is_right_again().await;
    watched.begin();
    watched.cluster.redis().kill();
    watched.cluster.redis().start_again();
    watched.is_right_again().await;
    watched.epoch_gets_old().await;
    watched.made_no_event().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_that_stands_still_for_three_seconds_makes_no_event() {
    let mut watched = start().await;
    watched.begin();
    let mut sleeping = watched.cluster.redis().begin_command(&["DEBUG", "SLEEP", "3"]);
    watched.is_stale().await;
    assert!(sleeping.wait().unwrap().success(), "Redis slept");
    watched.is_right_again().await;
    watched.made_no_event().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_swallow_everything_make_no_event() {
    let mut watched = start().await;
    watched.begin();
    for node in 0..3 {
        watched.cluster.link(node).set(Flow::Hold);
    }
    watched.is_stale().await;
    watched.some_change().await;
    watched.some_is_taken().await;
    let_time_pass(AWAY).await;
    watched.fault_of_redis_ends();
    for node in 0..3 {
        watched.cluster.link(node).set(Flow::Pass);
    }
    watched.is_right_again().await;
    watched.made_no_event().await;
}

/// Somebody runs this command every second, so many times.
async fn makes_no_event_every_second(command: &[&str], times: u64) {
    let mut watched = start().await;
    watched.begin();
    for second in 0..times {
        watched.cluster.command(command);
        if second == 5 {
            watched.some_change().await;
        }
        let_time_pass(Duration::from_secs(1)).await;
    }
    watched.is_right_again().await;
    watched.made_no_event().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_killed_every_second_make_no_event() {
    makes_no_event_every_second(&["CLIENT", "KILL", "TYPE", "normal"], AWAY.as_secs()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_flushed_every_second_make_no_event() {
    makes_no_event_every_second(&["SCRIPT", "FLUSH"], 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_wrong_for_a_while_makes_no_event() {
    let mut watched = start().await;
    watched.begin();
    watched.cluster.command(&["CONFIG", "SET", "requirepass", "other"]);
    watched
        .cluster
        .command(&["-a", "other", "CLIENT", "KILL", "TYPE", "normal"]);
    watched.is_stale().await;
    watched.some_change().await;
    watched.some_is_taken().await;
    let_time_pass(AWAY).await;
    watched.fault_of_redis_ends();
    watched
        .cluster
        .command(&["-a", "other", "CONFIG", "SET", "requirepass", ""]);
    watched.is_right_again().await;
    watched.made_no_event().await;
}
