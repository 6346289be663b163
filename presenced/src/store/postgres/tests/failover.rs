//! A standby in the place of the primary: it is not used before it has taken over, and what it never received is told.

use presence::CustomStatus::{DoNotDisturb, Idle};
use prometheus_client::registry::Registry;

use super::{TestDatabase, set_until_done, until};
use crate::postgres_url::PostgresUrl;
use crate::store::tests::fixture::user;
use crate::store::tests::postgres_server::{Disk, PostgresServer};
use crate::store::{OpenOptions, PostgresPlace, Store, StoreMetrics};

/// The URL of a database that one of two servers has.
fn url_of_both(database: &TestDatabase<'_>, first: &PostgresServer, second: &PostgresServer) -> String {
    let own = format!("127.0.0.1:{}", database.server.port());
    let both = format!("127.0.0.1:{},127.0.0.1:{}", first.port(), second.port());
    database.url().replace(&own, &both)
}

/// Waits until a standby has all that its primary has.
async fn caught_up(primary: &PostgresServer, standby: &PostgresServer) {
    let reached = primary.sql("postgres", "SELECT pg_current_wal_lsn()");
    let sql = format!("SELECT pg_last_wal_replay_lsn() >= '{reached}'");
    until(async || standby.sql("postgres", &sql) == "t").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_is_not_read_though_it_is_named_first() {
    let primary = PostgresServer::start(Disk::Unsynced);
    let database = TestDatabase::on(&primary);
    database.open().await.close();
    let standby = PostgresServer::standby_of(&primary);
    caught_up(&primary, &standby).await;
    let alone = standby.url(&database.name);
    let error = database.open_error(&alone, None).await;
    assert!(error.contains("is a standby"), "{error}");
    standby.sql("postgres", "SELECT pg_wal_replay_pause()");
    let any = format!(
        "{}&target_session_attrs=any",
        url_of_both(&database, &standby, &primary)
    );
    for url in [url_of_both(&database, &standby, &primary), any] {
        let store = database.open_at(&url, None).await.unwrap();
        let written = store.set_custom("alice", DoNotDisturb, 1).await.unwrap();
        assert_eq!(store.durable("alice").await, written);
        store.close();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_a_failover_lost_are_told() {
    let primary = PostgresServer::start(Disk::Unsynced);
    let database = TestDatabase::on(&primary);
    let mut registry = Registry::default();
    let metrics = StoreMetrics::register(&mut registry);
    let lost = || {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text.contains("kind=\"Lost\"} 1\n")
    };
    database.open().await.close();
    let standby = PostgresServer::standby_of(&primary);
    let url = PostgresUrl::parse(&url_of_both(&database, &primary, &standby)).unwrap();
    let alive = database.dir.path().join("alive");
    let place = PostgresPlace {
        url: &url,
        password_file: None,
        alive: &alive,
    };
    let (store, _) = Store::open_postgres(place, &OpenOptions::patient(), metrics)
        .await
        .unwrap();
    store.set_custom("alice", Idle, 1).await.unwrap();

    // One that has all: nothing is told.
    database.end_connections();
    set_until_done(&store, "bob", Idle).await;
    assert!(!lost());
    caught_up(&primary, &standby).await;
    standby.stop();
    let acknowledged = store.set_custom("alice", DoNotDisturb, 2).await.unwrap();
    primary.crash();
    standby.start_again();
    standby.promote();
    // Others have used up the numbers of the transactions that were lost.
    for number in 0..20 {
        standby.sql("postgres", &format!("CREATE ROLE other_{number}"));
    }
    set_until_done(&store, "bob", Idle).await;
    assert!(lost());
    let stored = store.load(&user("alice")).await.unwrap().unwrap();
    assert!(stored.durable.version < acknowledged.version, "{stored:?}");
}
