//! Redis without memory, and its keys, scripts and connections taken away by hand.

use std::time::Duration;

use presence::Status;
use presence_tests::postgres_server::PostgresServer;
use presence_tests::presencectl::run;
use presence_tests::redis_server::RedisServer;
use presence_tests::wait::{let_time_pass, wait_until};

use crate::watched::Watched;

/// How long Redis is full.
const FULL: Duration = Duration::from_secs(20);
/// Between two faults by hand.
const APART: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn redis_without_memory_takes_departures_alone() {
    let mut watched = Watched::start(PostgresServer::shared(), RedisServer::start(&[])).await;
    watched.begin();
    let used = watched.cluster.command(&["INFO", "memory"]);
    let used = used.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
    // What it uses goes up and down by more than a little: the buffers of its connections count.
    let below = (used.trim().parse::<u64>().unwrap() / 2).to_string();
    watched.cluster.command(&["CONFIG", "SET", "maxmemory", &below]);
    watched.leaves("c-1").await;
    let left = ["c-1"];
    watched.recorders.all_show(&left, Status::Offline, FULL / 2).await;
    let refused = watched.recorders.now();
    for user in ["new-0", "new-1", "new-2", "new-3"] {
        let own = watched.comes(user).await;
        assert_eq!((own.status, own.stale), (Status::Online, true), "{own:?}");
    }
    watched.some_change().await;
    let_time_pass(FULL).await;
    doctor_says(&watched, "redis-memory", "of its maxmemory", "raise maxmemory").await;
    // New users are on one node alone, and the others say that somebody may be missing.
    watched.records_are_stale(&["new-0", "new-1", "new-2", "new-3"]).await;
    let room = watched.recorders.now();
    watched.cluster.command(&["CONFIG", "SET", "maxmemory", "0"]);
    watched.is_right_again().await;
    watched.recorders.were_stale_once(refused, room).await;
    watched.made_no_event().await;
    // With room enough that nothing is removed.
    for [setting, value] in [["maxmemory", "1gb"], ["maxmemory-policy", "allkeys-lfu"]] {
        watched.cluster.command(&["CONFIG", "SET", setting, value]);
    }
    doctor_says(&watched, "eviction", "allkeys-lfu", "maxmemory-policy noeviction").await;
}

/// `presencectl doctor` finds this on any node, and says how it is mended.
async fn doctor_says(watched: &Watched<'_>, name: &str, found: &str, fix: &str) {
    for node in watched.cluster.nodes() {
        wait_until("doctor has found it", async || {
            let document = run(node, &["doctor", "-o", "json"]).await.json();
            let checks = document["checks"].as_array().unwrap();
            let check = checks.iter().find(|check| check["name"] == name)?;
            let says = |field: &str, text: &str| check[field].as_str().is_some_and(|said| said.contains(text));
            (says("found", found) && says("fix", fix)).then_some(())
        })
        .await;
    }
}

/// Something is taken from Redis by hand, this often: all is right within 10 s, and nothing follows until the next such fault.
async fn is_taken_by_hand(watched: &Watched<'_>, command: &[&str], times: usize) {
    let next = watched.recorders.now() + APART;
    for _ in 0..times {
        watched.cluster.command(command);
    }
    watched.is_right_again().await;
    let_time_pass(next.saturating_sub(watched.recorders.now())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_taken_by_hand_make_no_event() {
    let mut watched = Watched::start(PostgresServer::shared(), RedisServer::start(&[])).await;
    watched.begin();
    // Of the partition of somebody who is present.
    let partition = watched.partition_of("a-1");
    for name in ["state", "log", "online"] {
        let key = format!("presence:{{{partition}}}:{name}");
        assert_eq!(watched.cluster.command(&["EXISTS", &key]), "1");
        is_taken_by_hand(&watched, &["DEL", &key], 1).await;
    }
    watched.made_no_event().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_connections_and_time_taken_by_hand_make_no_event() {
    let mut watched = Watched::start(PostgresServer::shared(), RedisServer::start(&[])).await;
    watched.begin();
    is_taken_by_hand(&watched, &["SCRIPT", "FLUSH"], 1).await;
    is_taken_by_hand(&watched, &["CLIENT", "KILL", "TYPE", "normal"], 10).await;
    is_taken_by_hand(&watched, &["DEBUG", "SLEEP", "3"], 1).await;
    watched.made_no_event().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_keys_taken_by_hand_make_no_event() {
    let mut watched = Watched::start(PostgresServer::shared(), RedisServer::start(&[])).await;
    watched.begin();
    is_taken_by_hand(&watched, &["FLUSHALL"], 1).await;
    watched.made_no_event().await;
}
