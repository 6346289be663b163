//! The custom status of a single user is read in Redis while the database is away.

use std::sync::Arc;
use std::time::Duration;

use presence::replication::{Incarnation, NodeInfo, Settings};
use presence::{CustomStatus, Mono};

use super::super::lookup::KEPT_FOR;
use super::super::{Shared, SharedOptions};
use super::server::{RedisServer, next_look};
use super::subject::user;
use crate::clock::{Clock, Stopwatch};

/// A lookup fails after a short while on a busy machine, and so does what it is tried for.
const TRIED_FOR: Duration = Duration::from_secs(20);

/// A node that has one partition, with `gus` listed in it.
async fn listing(server: &RedisServer) -> Shared {
    let set = ["HSET", "presence:{0}:custom-status", "gus", "DO_NOT_DISTURB"];
    server.command(&set).await;
    let options = SharedOptions {
        node: NodeInfo::default(),
        incarnation: Incarnation(7),
        previous: Vec::new(),
        partitions: 1,
        settings: Settings {
            lease: Duration::from_secs(15),
            node_grace: Duration::from_secs(12),
            restart_grace: Duration::from_secs(30),
            command_kept: Duration::from_secs(3_600),
            sessions_max: 32,
            without: &[],
        },
        seed: 7,
    };
    let shared = Shared::new(&options, Arc::new(server.servers()), Clock::new().read());
    shared.partition(0).set_stale(false);
    shared
}

/// Looks until there is an answer: the machine may be slower than a lookup waits.
async fn look_up(shared: &Shared, now: Mono) {
    let trying = Stopwatch::start();
    while shared.listed_custom_status(&user("gus"), now).await != Some(CustomStatus::DoNotDisturb) {
        assert!(trying.elapsed() < TRIED_FOR, "no answer");
    }
}

/// The ids of the connections whose last command was a lookup.
async fn connections(server: &RedisServer) -> Vec<String> {
    let list: String = server.read(&["CLIENT", "LIST"]).await;
    let lookups = list.lines().filter(|line| line.contains("cmd=hget"));
    lookups
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn a_lookup_over_a_closed_connection_is_made_over_a_new_one() {
    let server = RedisServer::start(&[]).await;
    let shared = listing(&server).await;
    let now = Mono::from_millis(1_000);
    look_up(&shared, now).await;
    let lookup = &shared.partition(0).lookup;
    server.command(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    let listed = lookup.custom_status(&shared.servers, 0, &user("gus"), now).await;
    assert_eq!(listed.expect("an answer"), Some(CustomStatus::DoNotDisturb));
}

#[tokio::test]
async fn a_connection_for_lookups_is_closed_when_it_is_idle() {
    let server = RedisServer::start(&[]).await;
    let shared = listing(&server).await;
    let now = Mono::from_millis(1_000);
    let partition = shared.partition(0);
    let look_up = || async {
        let listed = partition
            .lookup
            .custom_status(&shared.servers, 0, &user("gus"), now)
            .await;
        assert_eq!(listed.expect("an answer"), Some(CustomStatus::DoNotDisturb));
        connections(&server).await
    };
    let first = look_up().await;
    assert_eq!(first.len(), 1);
    partition.close_idle_lookup(now.after(KEPT_FOR / 2));
    assert_eq!(look_up().await, first);
    partition.close_idle_lookup(now.after(KEPT_FOR));
    let waiting = Stopwatch::start();
    while !connections(&server).await.is_empty() {
        assert!(waiting.elapsed() < TRIED_FOR, "it stays open");
        next_look().await;
    }
}
