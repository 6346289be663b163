//! Schemas of every older version become equal to new ones, and keep what they have.

use std::io::Write as _;

use presence::CustomStatus::{DoNotDisturb, Idle};
use presence::SystemWall;

use super::super::migration::VERSION;
use super::{LOCK, TestDatabase, until};
use crate::store::OpenError;
use crate::store::tests::fixture::wall;

const SCHEMA_1: &str = include_str!("schema_1.sql");
const SCHEMA_2: &str = include_str!("schema_2.sql");
const ROWS_1: &str = "
    INSERT INTO presence_database (version, identity) VALUES (1, '0123456789abcdef0123456789abcdef');
    INSERT INTO profile VALUES
      ('alice', 'IDLE', 11, '[\"here\"]', 'DO_NOT_DISTURB', 12, 'user', 13, 14, 15, 16, 17),
      ('bob', 'OFFLINE', NULL, '[]', 'ONLINE', NULL, NULL, 0, 21, NULL, NULL, 22);
    INSERT INTO report VALUES ('alice', 'app', 'ONLINE', 31, 32, 10, 33, 34, 9);
    INSERT INTO tombstone VALUES ('\\x00ff', 41, 40, 42);
    INSERT INTO heartbeat VALUES ('here', 51, 52, true);
    INSERT INTO history VALUES ('here', 61, 62);";

/// A database as version 1 left it.
fn version_1() -> TestDatabase<'static> {
    let database = TestDatabase::shared();
    database.sql(SCHEMA_1);
    database.sql(ROWS_1);
    database
}

/// A database as version 2 left it.
fn version_2() -> TestDatabase<'static> {
    let database = TestDatabase::shared();
    database.sql(SCHEMA_2);
    database.sql(
        "INSERT INTO presence_database (version, identity) VALUES (2, '0123456789abcdef0123456789abcdef');
         INSERT INTO profile (user_id, custom_status, version, unpublished) VALUES ('alice', 'IDLE', 3, 77);
         INSERT INTO heartbeat VALUES ('here', 51, 52, true);",
    );
    database
}

/// Columns, indexes and constraints, as the server describes them.
fn schema(database: &TestDatabase<'_>) -> [String; 3] {
    [
        "SELECT string_agg(concat_ws(' ', attrelid::regclass, attnum, attname, format_type(atttypid, atttypmod), attnotnull,
           attcollation, pg_get_expr(adbin, adrelid)), E'\n' ORDER BY attrelid::regclass::text, attnum)
         FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
         WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r') AND attnum > 0",
        "SELECT string_agg(indexdef, E'\n' ORDER BY indexname) FROM pg_indexes WHERE schemaname = 'public'",
        "SELECT string_agg(concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)), E'\n' ORDER BY 1)
         FROM (SELECT * FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY conrelid::regclass::text, conname) AS ordered",
    ]
    .map(|sql| database.sql(sql))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemas_of_older_versions_become_equal_to_a_new_one() {
    let new = TestDatabase::shared();
    new.open().await.close();
    for old in [version_1(), version_2()] {
        old.open().await.close();
        assert_eq!(schema(&old), schema(&new));
        assert_eq!(old.sql("SELECT version FROM presence_database"), VERSION.to_string());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_of_version_1_keeps_everything_and_nobody_is_marked() {
    let database = version_1();
    let tables = ["profile", "report", "tombstone", "heartbeat", "history"];
    let dump = || {
        tables.map(|table| {
            database.sql(&format!(
                "SELECT to_jsonb(t) - 'unpublished' FROM {table} AS t ORDER BY 1"
            ))
        })
    };
    let before = dump();
    let (node, startup) = database.start_node().await.unwrap();
    assert_eq!(dump(), before);
    assert_eq!(startup.identity, "0123456789abcdef0123456789abcdef");
    let alice = node.row("alice").await.unwrap();
    assert_eq!(
        (alice.durable.preference.custom, alice.last_seen),
        (DoNotDisturb, Some(wall(15)))
    );
    assert_eq!(
        database.sql("SELECT count(*) FROM profile WHERE unpublished IS NOT NULL"),
        "0"
    );
    node.set_custom("bob", Idle, 30).await.unwrap();
    assert_eq!(
        database.sql("SELECT user_id FROM profile WHERE unpublished IS NOT NULL"),
        "bob"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_of_version_2_keeps_everything_and_nobody_is_revoked() {
    let database = version_2();
    let dump = || {
        ["profile", "heartbeat"].map(|table| database.sql(&format!("SELECT to_jsonb(t) FROM {table} AS t ORDER BY 1")))
    };
    let before = dump();
    let (node, startup) = database.start_node().await.unwrap();
    assert_eq!((dump(), startup.revocations), (before, vec![]));
    let revoked = node.revoke_tokens([7; 32], SystemWall::from_millis(9)).await.unwrap();
    assert_eq!(node.revocations_after(0).await, Ok(vec![revoked]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_nodes_that_start_at_once_bring_one_schema_up_to_date() {
    let database = version_1();
    let opening = (0..10).map(|_| database.open_node());
    let stores = futures_util::future::join_all(opening).await;
    assert_eq!(stores.len(), 10);
    assert_eq!(
        database.sql("SELECT version FROM presence_database"),
        VERSION.to_string()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_an_older_daemon_uses_is_left_as_it_is() {
    let database = version_1();
    // As the older daemon holds it.
    let mut session = database.server.session(&database.name);
    writeln!(session.stdin.as_mut().unwrap(), "{LOCK}").unwrap();
    until(async || {
        database.sql(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        ) == "1"
    })
    .await;
    for opened in [
        database.try_open_node().await,
        database.open_at(&database.url(), None).await,
    ] {
        let error = opened.err().unwrap();
        assert!(matches!(error, OpenError::TakenBy { .. }), "{error}");
    }
    assert_eq!(database.sql("SELECT version FROM presence_database"), "1");
    drop(session.stdin.take());
    session.wait().unwrap();
    database.open_node().await.close();
    assert_eq!(
        database.sql("SELECT version FROM presence_database"),
        VERSION.to_string()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_schema_is_refused() {
    let database = TestDatabase::shared();
    database.open().await.close();
    database.sql("UPDATE presence_database SET version = 99");
    let error = database.open_error(&database.url(), None).await;
    assert!(error.contains("schema version 99"), "{error}");
}
