//! What daemons of the release have left, killed with `kill -9`: an SQLite file, a PostgreSQL database, and a cluster's share of Redis.

use std::sync::Arc;

use presence_tests::clock::wall_now;
use presence_tests::daemon::Setup;
use presence_tests::jwt::{claims, hs256};
use presence_tests::postgres_server::PostgresServer;
use presence_tests::redis_server::RedisServer;
use presence_tests::rest::{percent, send};
use presence_tests::{Daemon, wait_until};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::archive::{self, NODE};
use super::steps::RecordedSocket;

/// How long after the end of the release today's daemon starts. The data is as new as that, whenever it was recorded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Upgrade {
    /// So late that who was connected is not expected any more.
    Late,
    AtOnce,
}

impl Upgrade {
    /// When the release was alive last, in milliseconds of Unix time.
    fn last_alive(self) -> i64 {
        let now = wall_now().as_millis();
        match self {
            Self::Late => now - 3_600_000,
            Self::AtOnce => now,
        }
    }

    /// The SQL that says so in the databases of the release.
    fn sql(self) -> String {
        format!("UPDATE heartbeat SET wall = {}", self.last_alive())
    }

    /// A home with the data directory that `name` has left.
    fn home(self, name: &str) -> Arc<TempDir> {
        let home = archive::home(name);
        for file in ["presence.db-alive", "postgres-alive"] {
            let path = home.path().join("state").join(file);
            let Ok(line) = std::fs::read_to_string(&path) else {
                continue;
            };
            let (alive, rest) = line.split_once(" stored ").unwrap();
            assert!(alive.starts_with("alive "), "{line}");
            std::fs::write(path, format!("alive {:020} stored {rest}", self.last_alive())).unwrap();
        }
        home
    }
}

async fn on_sqlite(upgrade: Upgrade) -> Daemon {
    let home = upgrade.home("sqlite");
    let file = rusqlite::Connection::open(home.path().join("state/presence.db")).unwrap();
    assert_eq!(file.execute(&upgrade.sql(), []).unwrap(), 1);
    drop(file);
    Setup::new(&NODE).start_in(home).await
}

/// The URL of a new database with what `pg_dump` has printed.
fn restored(dump: &str, upgrade: Upgrade) -> String {
    let server = PostgresServer::shared();
    let database = server.create_database();
    server.sql(&database, &archive::text(dump));
    server.sql(&database, &upgrade.sql());
    server.url(&database)
}

async fn on_postgres(upgrade: Upgrade) -> Daemon {
    let url = restored("postgres_alone.sql", upgrade);
    let flags = [&NODE[..], &["--database", &url]].concat();
    Setup::new(&flags).start_in(upgrade.home("postgres")).await
}

/// The node that was recorded, with the Redis that it has left.
async fn in_cluster(upgrade: Upgrade) -> (Daemon, RedisServer) {
    let (home, url) = (upgrade.home("cluster"), restored("cluster.sql", upgrade));
    let directory = home.path().to_str().unwrap();
    let redis = RedisServer::start(&["--dir", directory, "--dbfilename", "dump.rdb"]);
    let in_redis = redis.url(0);
    let flags = [
        &NODE[..],
        &["--database", &url, "--redis", &in_redis, "--partitions", "4"],
    ]
    .concat();
    (Setup::new(&flags).start_in(home).await, redis)
}

/// What a user looks like whatever sessions there are.
const LASTING: [&str; 5] = ["userId", "customStatus", "customStatusSetBy", "lastSeen", "lastActive"];

/// The record without what need not be equal.
fn lasting(record: &Value, further: &[&str]) -> Value {
    let fields = LASTING.iter().chain(further);
    fields.map(|name| ((*name).to_owned(), record[*name].clone())).collect()
}

/// Fails the test unless the daemon shows the users as they were recorded.
async fn assert_shows(daemon: &Daemon, recorded: &Value, upgrade: Upgrade) {
    let records = recorded["records"].as_array().unwrap();
    assert!(records.len() > 10);
    for record in records {
        let user = record["userId"].as_str().unwrap();
        let path = format!("/api/presence/{}", percent(user));
        let today = send(daemon.rest().internal(Method::GET, &path)).await.ok::<Value>();
        let (had_connection, is_late) = (user.starts_with("still-"), upgrade == Upgrade::Late);
        if is_late && had_connection {
            assert_eq!(lasting(&today, &[]), lasting(record, &[]));
            assert_eq!(today["status"], "OFFLINE", "{user}");
        } else {
            let further = ["status", "since", "reason"];
            assert_eq!(lasting(&today, &further), lasting(record, &further));
        }
        assert!(today["revision"].as_u64() >= record["revision"].as_u64() || today["revision"] == 0);
    }
}

/// Fails the test unless who was connected to the release continues that session, and is no longer in its grace period.
async fn assert_sessions_are_continued(daemon: &Daemon, recorded: &Value) {
    for (name, session) in [("still-active", "active"), ("still-dnd", "dnd")] {
        let token = hs256(&daemon.jwt_key(), &claims(name, 300));
        let headers = [("authorization".to_owned(), format!("Bearer {token}"))];
        let mut socket = RecordedSocket::connect(daemon, &headers).await;
        let session = &recorded["sessions"][session];
        socket
            .send(&json!({"type": "resume", "sessionId": session, "id": 1}).to_string())
            .await;
        let answer = socket.next("an answer", |message| message["id"] == 1).await;
        assert_eq!(answer["resumed"], true, "{name}: {answer}");
        drop(socket);
    }
}

/// A custom status that is set now is kept by the next start.
async fn assert_goes_on(mut daemon: Daemon) {
    daemon.rest().set_custom_status("dnd", "IDLE").await.ok::<Value>();
    daemon.crash_and_start_again().await;
    assert_eq!(daemon.rest().custom_status("dnd").await, "IDLE");
    assert_eq!(daemon.rest().custom_status("still-dnd").await, "DO_NOT_DISTURB");
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sqlite_file_of_the_release_is_taken_over_months_later() {
    let daemon = on_sqlite(Upgrade::Late).await;
    assert_shows(&daemon, &archive::json("users.json")["sqlite"], Upgrade::Late).await;
    assert_goes_on(daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_on_sqlite_shows_everybody_as_before() {
    let (daemon, recorded) = (on_sqlite(Upgrade::AtOnce).await, archive::json("users.json"));
    assert_shows(&daemon, &recorded["sqlite"], Upgrade::AtOnce).await;
    assert_sessions_are_continued(&daemon, &recorded["sqlite"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_database_of_the_release_is_taken_over_months_later() {
    let daemon = on_postgres(Upgrade::Late).await;
    assert_shows(&daemon, &archive::json("users.json")["postgres"], Upgrade::Late).await;
    assert_goes_on(daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_on_postgres_shows_everybody_as_before() {
    let (daemon, recorded) = (on_postgres(Upgrade::AtOnce).await, archive::json("users.json"));
    assert_shows(&daemon, &recorded["postgres"], Upgrade::AtOnce).await;
    assert_sessions_are_continued(&daemon, &recorded["postgres"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_of_a_node_of_a_cluster_shows_everybody_as_before() {
    let (daemon, _redis) = in_cluster(Upgrade::AtOnce).await;
    let recorded = &archive::json("users.json")["cluster"];
    wait_until("nothing is stale", async || {
        let stats = send(daemon.rest().internal(Method::GET, "/api/stats"))
            .await
            .ok::<Value>();
        (stats["cluster"]["stalePartitions"] == 0).then_some(())
    })
    .await;
    assert_shows(&daemon, recorded, Upgrade::AtOnce).await;
    assert_sessions_are_continued(&daemon, recorded).await;
}
