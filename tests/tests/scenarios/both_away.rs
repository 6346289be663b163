//! Redis and PostgreSQL go away together, and come back one after the other.

use std::time::Duration;

use presence::Status;
use presence_tests::postgres_server::{Disk, PostgresServer};
use presence_tests::redis_server::RedisServer;
use presence_tests::wait::{DEADLINE, let_time_pass};

use crate::watched::Watched;

/// How long both are away, and then one of them.
const AWAY: Duration = Duration::from_secs(15);

async fn both_go_away(postgres: &PostgresServer) -> Watched<'_> {
    let mut watched = Watched::start(postgres, RedisServer::start(&[])).await;
    watched.sets_do_not_disturb("b-1").await;
    let shown = Status::DoNotDisturb;
    watched.recorders.all_show(&["b-1"], shown, DEADLINE).await;
    watched.begin();
    postgres.stop();
    watched.writes_are_refused().await;
    watched.fault_of_redis_begins();
    watched.cluster.redis().kill();
    watched.is_stale().await;
    watched.writes_are_refused().await;
    watched.is_undisturbed_at_c("b-1").await;
    watched.some_change().await;
    let_time_pass(AWAY).await;
    watched
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_that_is_back_before_postgres_makes_no_event() {
    let postgres = PostgresServer::start(Disk::Unsynced);
    let mut watched = both_go_away(&postgres).await;
    watched.fault_of_redis_ends();
    watched.cluster.redis().start_again();
    let_time_pass(AWAY).await;
    watched.writes_are_refused().await;
    postgres.start_again();
    watched.is_right_again().await;
    watched.writes_are_taken().await;
    watched.epoch_gets_old().await;
    watched.made_no_event().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_that_is_back_before_redis_makes_no_event() {
    let postgres = PostgresServer::start(Disk::Unsynced);
    let mut watched = both_go_away(&postgres).await;
    postgres.start_again();
    let_time_pass(AWAY).await;
    watched.fault_of_redis_ends();
    watched.cluster.redis().start_again();
    watched.is_right_again().await;
    watched.writes_are_taken().await;
    watched.epoch_gets_old().await;
    watched.made_no_event().await;
}
