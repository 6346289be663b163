//! A Redis Cluster: partitions are found on its masters, and found again when they move.

use std::time::Duration;

use presence::Revision;
use presence::replication::{Answer, Call};

use super::super::link::LinkError;
use super::super::servers::{RedisOptions, RedisServers};
use super::ports::free_port;
use super::server::{RedisServer, next_look};
use super::subject::{A, node_of};
use crate::clock::Stopwatch;
use crate::redis_url::RedisUrl;

const SLOTS: u32 = 16_384;
const PARTITIONS: u16 = 16;
const FORMS_WITHIN: Duration = Duration::from_secs(30);

struct Masters {
    servers: Vec<RedisServer>,
    ports: Vec<u16>,
}

impl Masters {
    /// Three masters that share the slots.
    async fn form() -> Self {
        let (mut servers, mut ports) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let (port, bus) = (free_port(), free_port());
            let settings = [
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                &bus.to_string(),
            ];
            servers.push(RedisServer::start(&settings).await);
            ports.push(port);
            let met = ["CLUSTER", "MEET", "127.0.0.1", &port.to_string(), &bus.to_string()];
            servers[0].command(&met).await;
        }
        for (index, server) in (0..).zip(&servers) {
            let first = SLOTS * index / 3;
            let last = SLOTS * (index + 1) / 3 - 1;
            server
                .command(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()])
                .await;
        }
        let masters = Self { servers, ports };
        let began = Stopwatch::start();
        for server in &masters.servers {
            loop {
                let info: String = server.read(&["CLUSTER", "INFO"]).await;
                if info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3") {
                    break;
                }
                assert!(began.elapsed() < FORMS_WITHIN, "{info}");
                next_look().await;
            }
        }
        masters
    }

    /// Reached over the first one.
    fn servers(&self) -> RedisServers {
        self.servers_over(1)
    }

    /// Reached over so many of them.
    fn servers_over(&self, count: usize) -> RedisServers {
        let url = |port: &u16| RedisUrl::parse(&format!("redis://127.0.0.1:{port}")).expect("an address");
        let urls = self.ports[..count].iter().map(url).collect();
        RedisServers::new(&RedisOptions {
            urls,
            ..RedisOptions::patient()
        })
        .expect("an address")
    }

    async fn id_of(&self, index: usize) -> String {
        self.servers[index].read(&["CLUSTER", "MYID"]).await
    }

    /// Which master has a partition.
    async fn master_of(&self, slot: u32) -> usize {
        let index = (0..3).find(|index| (SLOTS * index / 3..SLOTS * (index + 1) / 3).contains(&slot));
        usize::try_from(index.expect("a slot")).expect("small")
    }
}

fn register() -> Call {
    Call::Register {
        caller: A,
        node: node_of(A),
        new_epoch: 7,
        floor: Revision::NEVER,
    }
}

#[tokio::test]
async fn each_partition_is_found_on_its_master() {
    let masters = Masters::form().await;
    let servers = masters.servers();
    for partition in 0..PARTITIONS {
        let mut link = servers.open(partition).await.expect("a connection");
        let answer = link.call(&register()).await.expect("an answer");
        assert!(matches!(answer, Answer::Registered { is_new: true, .. }), "{partition}");
    }
    let mut keys = Vec::new();
    for server in &masters.servers {
        let count: i64 = server.read(&["DBSIZE"]).await;
        keys.push(count);
    }
    assert_eq!(keys.iter().sum::<i64>(), i64::from(PARTITIONS) * 2);
    assert!(keys.iter().all(|count| *count > 0), "{keys:?}");
}

#[tokio::test]
async fn a_partition_that_moved_is_found_again() {
    let masters = Masters::form().await;
    let servers = masters.servers();
    let mut link = servers.open(5).await.expect("a connection");
    let slot: u32 = masters.servers[0]
        .read(&["CLUSTER", "KEYSLOT", "presence:{5}:state"])
        .await;
    let from = masters.master_of(slot).await;
    let to = (from + 1) % 3;
    let id = masters.id_of(to).await;
    // Else the old one may have the later epoch, and be believed again when it says that the slot is its own.
    masters.servers[to].command(&["CLUSTER", "BUMPEPOCH"]).await;
    for index in [to, from] {
        masters.servers[index]
            .command(&["CLUSTER", "SETSLOT", &slot.to_string(), "NODE", &id])
            .await;
    }
    let moved = link.call(&register()).await;
    assert!(matches!(moved, Err(LinkError::Moved(_))), "{moved:?}");
    servers.lose(5);
    // The server that is asked may not have heard of it yet.
    let began = Stopwatch::start();
    loop {
        if let Ok(mut link) = servers.open(5).await
            && let Ok(Answer::Registered { .. }) = link.call(&register()).await
        {
            break;
        }
        servers.lose(5);
        assert!(began.elapsed() < FORMS_WITHIN);
        next_look().await;
    }
    let count: i64 = masters.servers[to].read(&["DBSIZE"]).await;
    assert_eq!(count, 2);
}

#[tokio::test]
async fn a_partition_is_found_though_its_old_master_has_lost_the_others() {
    let masters = Masters::form().await;
    let servers = masters.servers_over(2);
    let is_on_first = |slot: &u32| *slot < SLOTS / 3;
    let mut found = None;
    for partition in 0..PARTITIONS {
        let key = format!("presence:{{{partition}}}:state");
        let slot: u32 = masters.servers[0].read(&["CLUSTER", "KEYSLOT", &key]).await;
        found = found.or(Some((partition, slot)).filter(|(_, slot)| is_on_first(slot)));
    }
    let (partition, slot) = found.expect("a partition of the first master");
    let mut link = servers.open(partition).await.expect("a connection");
    let new = masters.id_of(2).await;
    masters.servers[2].command(&["CLUSTER", "BUMPEPOCH"]).await;
    for index in [1, 2] {
        let other = masters.id_of(index).await;
        masters.servers[0].command(&["CLUSTER", "FORGET", &other]).await;
        let moves = ["CLUSTER", "SETSLOT", &slot.to_string(), "NODE", &new];
        masters.servers[index].command(&moves).await;
    }
    // It takes a moment until the one that is left alone sees that it is; then it still says that the partition is its own.
    let began = Stopwatch::start();
    while link.call(&register()).await.is_ok() {
        assert!(began.elapsed() < FORMS_WITHIN);
        next_look().await;
    }
    loop {
        servers.lose(partition);
        if let Ok(mut link) = servers.open(partition).await
            && let Ok(Answer::Registered { .. }) = link.call(&register()).await
        {
            break;
        }
        assert!(began.elapsed() < FORMS_WITHIN, "not found");
        next_look().await;
    }
    let count: i64 = masters.servers[2].read(&["DBSIZE"]).await;
    assert_eq!(count, 2);
}

#[tokio::test]
async fn a_master_that_is_gone_takes_only_its_partitions_along() {
    let mut masters = Masters::form().await;
    let servers = masters.servers();
    let mut slots = Vec::new();
    for partition in 0..PARTITIONS {
        drop(servers.open(partition).await.expect("a connection"));
        let key = format!("presence:{{{partition}}}:state");
        let slot: u32 = masters.servers[0].read(&["CLUSTER", "KEYSLOT", &key]).await;
        slots.push(masters.master_of(slot).await);
    }
    masters.servers[2].kill();
    for (partition, master) in (0..PARTITIONS).zip(slots) {
        assert_eq!(servers.open(partition).await.is_ok(), master != 2, "{partition}");
    }
}

#[tokio::test]
async fn all_masters_are_looked_at_and_one_that_is_gone_is_named() {
    let mut masters = Masters::form().await;
    let servers = masters.servers();
    masters.servers[2].kill();
    servers.look().await;
    let mut seen: Vec<(String, bool)> = servers
        .seen()
        .into_iter()
        .map(|one| (one.address, one.reachable))
        .collect();
    seen.sort();
    let mut expected: Vec<(String, bool)> = (0..3)
        .map(|index| (format!("127.0.0.1:{}", masters.ports[index]), index != 2))
        .collect();
    expected.sort();
    assert_eq!(seen, expected);
}
