//! Connections on which nothing comes any more, and hosts that never answer: they cost their time and hold nothing up for good.

use std::net::TcpListener;

use presence::CustomStatus::{DoNotDisturb, Idle};

use super::lost_answers::through_proxy;
use super::proxy::Network;
use super::{SOON, TestDatabase, is_unavailable, set_until_done, until};
use crate::store::tests::fixture::user;
use crate::store::tests::postgres_server::{Disk, PostgresServer};
use crate::store::{Store, StoreError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_whose_new_connection_stalls_makes_another_one() {
    let database = TestDatabase::shared();
    let (store, proxy) = through_proxy(&database).await;
    store.set_custom("alice", Idle, 1).await.unwrap();
    let lists = async || store.load_many(&[user("alice")]).await;
    lists().await.unwrap()[0].as_ref().unwrap();
    proxy.set(Network::SwallowsReader);
    database.end_connections();
    until(async || !matches!(lists().await.as_deref(), Ok([Ok(_)]))).await;
    proxy.set(Network::Works);
    until(async || matches!(lists().await.as_deref(), Ok([Ok(Some(_))]))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_stalls_with_the_lock_takes_it_from_itself() {
    let database = TestDatabase::shared();
    let (store, proxy) = through_proxy(&database).await;
    store.set_custom("alice", Idle, 1).await.unwrap();
    // While the connection is being set up.
    store.answer_within(SOON);
    proxy.set(Network::SwallowsWriter);
    database.end_connections();
    until(async || {
        let holders = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
             WHERE locktype = 'advisory' AND granted AND datname = current_database()";
        store.set_custom("alice", DoNotDisturb, 2).await.is_err() && database.sql(holders) == "1"
    })
    .await;
    proxy.set(Network::Works);
    let errors = set_until_done(&store, "alice", DoNotDisturb).await;
    assert!(
        !errors.iter().any(|error| matches!(error, StoreError::Sealed { .. })),
        "its own connection is no other daemon: {errors:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_are_answered_while_a_network_swallows_everything() {
    let database = TestDatabase::shared();
    let (store, proxy) = through_proxy(&database).await;
    store.set_custom("alice", Idle, 1).await.unwrap();
    let alice = [user("alice")];
    let answers = async |store: &Store| {
        let write = store.set_custom("alice", DoNotDisturb, 2);
        tokio::join!(
            write,
            store.load(&alice[0]),
            store.load_many(&alice),
            store.removed_at(&alice)
        )
    };
    proxy.set(Network::SwallowsAll);
    store.answer_within(SOON);
    // At most two seconds each, whatever the connections wait for; and as long again for a machine that has no time.
    let waiting = async {
        for _ in 0..3 {
            let (write, row, rows, removals) = answers(&store).await;
            assert!(
                write.is_err() && row.is_err() && removals.is_err(),
                "{write:?} {row:?} {removals:?}"
            );
            assert!(!matches!(rows.as_deref(), Ok([Ok(_)])), "{rows:?}");
        }
    };
    tokio::time::timeout(SOON * 6, waiting).await.unwrap();
    proxy.set(Network::Works);
    set_until_done(&store, "alice", DoNotDisturb).await;
    until(async || {
        let (_, row, rows, removals) = answers(&store).await;
        row.is_ok() && matches!(rows.as_deref(), Ok([Ok(_)])) && removals.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_never_answers_leaves_time_for_the_next() {
    let database = TestDatabase::shared();
    // The kernel accepts for it.
    let hung = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = format!("127.0.0.1:{}", database.server.port());
    let both = format!("127.0.0.1:{},{own}", hung.local_addr().unwrap().port());
    let store = database
        .open_at(&database.url().replace(&own, &both), None)
        .await
        .unwrap();
    store.set_custom("alice", Idle, 1).await.unwrap();
    database.end_connections();
    set_until_done(&store, "alice", DoNotDisturb).await;
    until(async || matches!(store.load(&user("alice")).await, Ok(Some(_)))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_are_prepared_anew_when_tables_were_changed() {
    let database = TestDatabase::shared();
    let store = database.open().await;
    store.set_custom("alice", Idle, 1).await.unwrap();
    assert_eq!(store.custom("alice").await, Some(Idle));
    database.sql("ALTER TABLE profile ALTER COLUMN custom_set_by TYPE varchar(20)");
    set_until_done(&store, "alice", DoNotDisturb).await;
    until(async || matches!(store.load(&user("alice")).await, Ok(Some(_)))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_no_synchronous_standby_has_is_not_acknowledged() {
    let server = PostgresServer::start(Disk::Unsynced);
    let database = TestDatabase::on(&server);
    let store = database.open().await;
    store.set_custom("alice", Idle, 1).await.unwrap();
    server.configure("synchronous_standby_names = 'away'");
    server.reload();
    until(async || database.sql("SHOW synchronous_standby_names") == "away").await;
    store.answer_within(SOON);
    let answer = store.set_custom("alice", DoNotDisturb, 2).await;
    assert_eq!(answer, Err(StoreError::UnknownOutcome));
    // The server has ended the wait of its commit with the connection, and shows the row since.
    until(async || store.custom("alice").await == Some(DoNotDisturb)).await;
    let settled = store.settle_unknown_outcomes().await;
    assert!(settled.is_err() && !store.health().writable, "{:?}", store.health());
    server.configure("synchronous_standby_names = ''");
    server.reload();
    until(async || store.settle_unknown_outcomes().await.is_ok()).await;
    set_until_done(&store, "alice", Idle).await;
    assert!(store.health().writable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn remote_apply_is_left_and_anything_less_than_on_is_raised() {
    let database = TestDatabase::shared();
    database.open().await.close();
    database.sql(
        "CREATE TABLE seen (setting TEXT);
         CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NEW; END $$;
         CREATE TRIGGER see BEFORE INSERT OR UPDATE ON profile FOR EACH ROW EXECUTE FUNCTION see()",
    );
    for (setting, expected) in [
        ("off", "on"),
        ("local", "on"),
        ("on", "on"),
        ("remote_apply", "remote_apply"),
    ] {
        database.sql(&format!(
            "DELETE FROM seen; ALTER DATABASE {} SET synchronous_commit = '{setting}'",
            database.name
        ));
        let store = database.open().await;
        store.set_custom("alice", Idle, 1).await.unwrap();
        store.close();
        assert_eq!(database.sql("SELECT DISTINCT setting FROM seen"), expected, "{setting}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_does_not_read_another_database_in_the_place() {
    let database = TestDatabase::shared();
    let store = database.open().await;
    store.set_custom("alice", Idle, 1).await.unwrap();
    database.sql("UPDATE presence_database SET identity = 'of another one'");
    database.end_connections();
    until(async || is_unavailable(&store.load(&user("alice")).await)).await;
    assert!(is_unavailable(&store.load(&user("alice")).await));
}
