//! What a look at the servers tells of each, with servers that are set up so.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use presence::wire::rest::{Persistence, RedisInfo, RedisStats};

use super::super::servers::{RedisOptions, RedisServers, connect};
use super::ports::free_port;
use super::server::{PATIENT, RedisServer, next_look};
use crate::clock::Stopwatch;
use crate::redis_url::RedisUrl;

/// The only server at a look.
async fn look_at(servers: &RedisServers) -> RedisStats {
    servers.look().await;
    let seen = servers.seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    seen.into_iter().next().expect("one")
}

async fn look(server: &RedisServer) -> RedisStats {
    look_at(&server.servers()).await
}

/// How many connections the server has taken.
async fn connections(client: &redis::Client) -> u64 {
    let mut connection = connect(client, PATIENT).await.expect("a connection");
    let asked = redis::cmd("INFO").arg("stats").query_async(&mut connection).await;
    let stats: String = asked.expect("an answer");
    let count = |line: &str| line.strip_prefix("total_connections_received:")?.trim().parse().ok();
    stats.lines().find_map(count).expect("a figure")
}

fn info(seen: &RedisStats) -> &RedisInfo {
    seen.info.as_ref().unwrap_or_else(|| panic!("{seen:?}"))
}

#[tokio::test]
async fn a_server_is_seen_with_its_version_memory_and_persistence() {
    let seen = look(&RedisServer::start(&[]).await).await;
    assert!(
        seen.reachable && seen.error.is_none() && seen.denied.is_empty(),
        "{seen:?}"
    );
    assert_eq!(
        (seen.needs_password, seen.public, seen.tls),
        (Some(false), false, false)
    );
    assert!(seen.address.ends_with("/socket"), "{seen:?}");
    let info = info(&seen);
    assert!(!info.is_too_old() && info.version.contains('.'), "{info:?}");
    assert_eq!((info.role.as_str(), info.max_memory), ("master", 0));
    assert!(
        info.used_memory > 100_000 && info.memory_percent().is_none(),
        "{info:?}"
    );
    assert_eq!((info.eviction_policy.as_str(), info.evicts()), ("noeviction", false));
    assert_eq!(info.persistence, Some(Persistence::None));

    let settings = [
        "--maxmemory",
        "100mb",
        "--maxmemory-policy",
        "allkeys-lru",
        "--appendonly",
        "yes",
    ];
    let seen = look(&RedisServer::start(&settings).await).await;
    let info = self::info(&seen);
    assert_eq!((info.max_memory, info.evicts()), (100 << 20, true));
    assert_eq!(info.persistence, Some(Persistence::Aof));
}

#[tokio::test]
async fn commands_that_the_user_may_not_call_are_named_and_no_error() {
    let server = RedisServer::start(&[]).await;
    server.command(&["ACL", "SETUSER", "default", "-config"]).await;
    let seen = look(&server).await;
    assert!(seen.reachable, "{seen:?}");
    assert_eq!(
        (seen.denied.as_slice(), info(&seen).persistence),
        (["CONFIG".to_owned()].as_slice(), None)
    );
    server.command(&["ACL", "SETUSER", "default", "-info"]).await;
    let seen = look(&server).await;
    assert!(seen.reachable && seen.info.is_none(), "{seen:?}");
    assert_eq!(seen.denied, ["INFO", "CONFIG"]);
}

#[tokio::test]
async fn a_server_that_lets_strangers_in_is_told_from_one_that_does_not() {
    let server = RedisServer::start(&[]).await;
    server
        .command(&["ACL", "SETUSER", "app", "on", ">hunter2", "+@all", "~*"])
        .await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("password");
    fs::write(&file, "hunter2\n").expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("a mode");
    let url = format!("{}?user=app", server.urls()[0].as_str());
    let servers = || {
        RedisServers::new(&RedisOptions {
            urls: vec![RedisUrl::parse(&url).expect("an address")],
            password_file: Some(file.clone()),
            ..RedisOptions::patient()
        })
        .expect("an address")
    };
    assert_eq!(
        look_at(&servers()).await.needs_password,
        Some(false),
        "the default user has none"
    );
    server
        .command(&["ACL", "SETUSER", "default", "resetpass", ">other"])
        .await;
    let servers = servers();
    assert_eq!(look_at(&servers).await.needs_password, Some(true));
    let app = server.client_as("app", "hunter2");
    let before = connections(&app).await;
    assert_eq!(look_at(&servers).await.needs_password, Some(true));
    assert_eq!(
        connections(&app).await - before,
        3,
        "where the masters are, the look, and this"
    );

    fs::write(&file, "hunter1\n").expect("a file");
    let seen = look_at(&servers).await;
    assert!(!seen.reachable && seen.info.is_some(), "{seen:?}");
    let error = seen.error.expect("an error");
    assert!(!error.contains("hunter"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_gone_is_unreachable_with_what_it_last_told() {
    let mut server = RedisServer::start(&[]).await;
    let servers = server.servers();
    let before = look_at(&servers).await;
    server.kill();
    let gone = look_at(&servers).await;
    assert!(!gone.reachable && gone.error.is_some(), "{gone:?}");
    assert_eq!((gone.info, gone.address), (before.info, before.address));
    let never_seen = look(&server).await;
    assert!(!never_seen.reachable && never_seen.info.is_none(), "{never_seen:?}");
    server.start_again().await;
    assert!(look_at(&servers).await.reachable);
}

#[tokio::test]
async fn the_replicas_of_a_server_are_seen_with_their_lag() {
    let port = free_port().to_string();
    let server = [
        "--port",
        &port,
        "--bind",
        "127.0.0.1",
        "--repl-diskless-sync-delay",
        "0",
    ];
    let server = RedisServer::start(&server).await;
    let replica = RedisServer::start(&["--replicaof", "127.0.0.1", &port]).await;
    let servers = server.servers();
    let waiting = Stopwatch::start();
    let seen = loop {
        let seen = look_at(&servers).await;
        if info(&seen)
            .replicas
            .iter()
            .any(|one| one.state == "online" && one.behind_bytes == 0)
        {
            break seen;
        }
        assert!(waiting.elapsed().as_secs() < 30, "{seen:?}");
        next_look().await;
    };
    let lag = info(&seen).replicas[0].lag_seconds;
    assert!(lag < 10, "{seen:?}");
    assert_eq!(info(&look(&replica).await).role, "slave");
}
