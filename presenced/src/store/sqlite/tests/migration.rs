//! Files of every older version become equal to new ones, and keep what they have.

use presence::CustomStatus::{DoNotDisturb, Idle};
use presence::{NodeName, Preference, Wall};

use super::super::migration;
use super::*;
use crate::store::tests::fixture::{heartbeat, nodes};

pub(super) fn schema(connection: &Connection) -> Vec<[String; 4]> {
    let mut statement = connection
        .prepare("SELECT type, name, tbl_name, ifnull(sql, '') FROM sqlite_schema ORDER BY type, name")
        .unwrap();
    let normal = |sql: String| sql.split_whitespace().collect::<Vec<_>>().join(" ");
    let rows = statement.query_map([], |row| {
        Ok([row.get(0)?, row.get(1)?, row.get(2)?, normal(row.get(3)?)])
    });
    rows.unwrap().map(Result::unwrap).collect()
}

fn pragma(connection: &Connection, name: &str) -> String {
    connection
        .pragma_query_value(None, name, |row| row.get_ref(0).map(|value| format!("{value:?}")))
        .unwrap()
}

pub(super) const BARE: &str = "CREATE TABLE profile(user_id TEXT PRIMARY KEY, status TEXT NOT NULL DEFAULT 'OFFLINE', \
                    last_seen INTEGER NOT NULL)";

#[tokio::test]
async fn the_oldest_table_becomes_equal_to_a_new_file() {
    let old = DatabaseDir::new();
    let before = old.connect();
    before.execute_batch(BARE).unwrap();
    before
        .execute_batch(
            "CREATE INDEX by_status ON profile (status);
             INSERT INTO profile VALUES ('alice', 'ONLINE', 1700000000123), ('bob', 'OFFLINE', 0),
               ('carol', 'AWAY?', 1700000000456), (' not an id ', 'ONLINE', 5), (NULL, 'ONLINE', 6),
               (x'00ff', 'ONLINE', 7), ('dave', 'ONLINE', 'yesterday'), ('erin', 'IDLE', -5);",
        )
        .unwrap();
    drop(before);
    let (store, startup) = old.start();
    let nothing = Startup {
        identity: startup.identity.clone(),
        ..Startup::default()
    };
    assert_eq!(
        startup, nothing,
        "no user is connected to a daemon that is just starting"
    );
    let seen = async |name: &str| {
        let row = store.load(&user(name)).await.unwrap().unwrap();
        assert_eq!(
            (row.status, row.durable.preference),
            (Status::Offline, Preference::default())
        );
        row.last_seen.map(Wall::as_millis)
    };
    assert_eq!(seen("alice").await, Some(1_700_000_000_123));
    assert_eq!(seen("bob").await, None, "0 was never");
    assert_eq!(seen("carol").await, Some(1_700_000_000_456));
    assert_eq!(seen("dave").await, None);
    assert_eq!(seen("erin").await, None);
    store.set_custom_at("alice", Idle, 10).await.unwrap();
    store.close();

    let new = DatabaseDir::new();
    new.open().close();
    let (old, new) = (old.connect(), new.connect());
    assert_eq!(schema(&old), schema(&new));
    for name in ["user_version", "application_id", "journal_mode"] {
        assert_eq!(pragma(&old, name), pragma(&new, name), "{name}");
    }
    assert_eq!(
        old.query_row("PRAGMA integrity_check", [], |row| row.get(0)),
        Ok("ok".to_owned())
    );
    let rows = old.query_row("SELECT count(*) FROM profile", [], |row| row.get(0));
    assert_eq!(rows, Ok(6), "what is no text was dropped");
}

#[tokio::test]
async fn the_oldest_table_is_recovered_after_a_crash_of_its_writer() {
    let running = DatabaseDir::new();
    let before = running.connect();
    before.execute_batch(BARE).unwrap();
    let rows = "WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted LIMIT 5000)
                INSERT INTO profile SELECT 'user-' || n, 'ONLINE', 7 FROM counted";
    before.execute_batch(rows).unwrap();
    before
        .execute_batch("PRAGMA cache_size = 1; BEGIN; UPDATE profile SET last_seen = 8")
        .unwrap();
    let dir = DatabaseDir::new();
    for (name, bytes) in running.bytes() {
        std::fs::write(dir.directory.path().join(name), bytes).unwrap();
    }
    assert_eq!(dir.bytes().len(), 2, "the table and what it was before");
    let row = dir.open().load(&user("user-1")).await.unwrap().unwrap();
    assert_eq!(row.last_seen, Some(wall(7)));
}

#[test]
fn the_schema_sets_its_version_and_application_id() {
    let dir = DatabaseDir::new();
    dir.open().close();
    let connection = dir.connect();
    assert_eq!(
        pragma(&connection, "user_version"),
        format!("Integer({})", migration::VERSION)
    );
    assert_eq!(
        pragma(&connection, "application_id"),
        format!("Integer({})", migration::APPLICATION_ID)
    );
    let columns: String = connection
        .query_row(
            "SELECT group_concat(name, ' ') FROM pragma_table_info('profile')",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(
        columns,
        "user_id status since connected_on custom_status custom_set_at custom_set_by custom_version version last_seen \
         last_active revision unpublished"
    );
}

/// As the daemon wrote it when milliseconds ordered custom statuses and reports, and one row was the heartbeat.
fn version_1(dir: &DatabaseDir, rows: &str) {
    let connection = dir.connect();
    connection.pragma_update(None, "journal_mode", "wal").unwrap();
    connection.execute_batch(migration::SCHEMA_1).unwrap();
    connection.pragma_update(None, "foreign_keys", true).unwrap();
    connection.execute_batch(rows).unwrap();
}

const ROWS_1: &str = "
    INSERT INTO profile VALUES
      ('alice', 'DO_NOT_DISTURB', 900, 1, 'DO_NOT_DISTURB', 1700000000500, 'user', 1000, 800, 77),
      ('bob', 'IDLE', 901, 0, 'ONLINE', 1700000000500, 'operator', 1001, NULL, 78),
      ('carol', 'ONLINE', 902, 1, 'ONLINE', NULL, NULL, NULL, NULL, 79),
      ('dave', 'OFFLINE', NULL, 0, 'IDLE', -5, 'user', NULL, NULL, 0);
    INSERT INTO report VALUES
      ('alice', 'older', 'IDLE', 1, 2, 1700000000499, 3, NULL),
      ('alice', 'equal', 'ONLINE', 1, 2, 1700000000500, NULL, 90000),
      ('bob', 'newer', 'IDLE', 1, 2, 1700000000501, NULL, NULL),
      ('carol', 'app', 'ONLINE', 1, 2, -7, NULL, NULL);
    INSERT INTO mark VALUES (1, 123456, 789000, 0);";

#[tokio::test]
async fn a_file_of_version_1_becomes_equal_to_a_new_one() {
    let old = DatabaseDir::new();
    version_1(&old, ROWS_1);
    old.open().close();
    let new = DatabaseDir::new();
    new.open().close();
    let (old, new) = (old.connect(), new.connect());
    assert_eq!(schema(&old), schema(&new));
    for name in ["user_version", "application_id", "journal_mode"] {
        assert_eq!(pragma(&old, name), pragma(&new, name), "{name}");
    }
    for check in [
        "PRAGMA integrity_check",
        "SELECT count(*) || 'k' FROM pragma_foreign_key_check",
    ] {
        let found: String = old.query_row(check, [], |row| row.get(0)).unwrap();
        assert!(["ok", "0k"].contains(&found.as_str()), "{check}: {found}");
    }
}

#[tokio::test]
async fn a_file_of_version_3_gets_an_identity_and_becomes_equal_to_a_new_one() {
    let dir = DatabaseDir::new();
    let connection = dir.connect();
    connection.pragma_update(None, "journal_mode", "wal").unwrap();
    connection.execute_batch(migration::SCHEMA_3).unwrap();
    let row = "INSERT INTO heartbeat VALUES ('here', 123456, 789000, 1)";
    connection.execute_batch(row).unwrap();
    drop(connection);
    let (store, startup) = dir.start();
    assert_eq!(startup.identity.len(), 32);
    assert_eq!(startup.heartbeats.len(), 1);
    store.close();
    let (store, again) = dir.start();
    assert_eq!(again.identity, startup.identity);
    store.close();
    let new = DatabaseDir::new();
    new.open().close();
    assert_eq!(schema(&dir.connect()), schema(&new.connect()));
}

#[tokio::test]
async fn a_file_of_version_2_keeps_everything_and_counts_refreshes_so_far() {
    let dir = DatabaseDir::new();
    let connection = dir.connect();
    connection.pragma_update(None, "journal_mode", "wal").unwrap();
    connection.execute_batch(migration::SCHEMA_2).unwrap();
    let rows = "
        INSERT INTO profile VALUES ('alice', 'IDLE', 900, '[\"here\"]', 'ONLINE', 5, 'user', 3, 7, 1000, 800, 77);
        INSERT INTO report VALUES ('alice', 'app', 'IDLE', 1, 2, 7, NULL, 90000);
        INSERT INTO tombstone VALUES (x'00', 70, 60);
        INSERT INTO heartbeat VALUES ('here', 123456, 789000, 1);";
    connection.execute_batch(rows).unwrap();
    drop(connection);
    let (store, startup) = dir.start();
    assert_eq!(
        startup.heartbeats,
        [(NodeName::new("here"), heartbeat(123_456, 789_000, true))]
    );
    let alice = store.load(&user("alice")).await.unwrap().unwrap();
    assert_eq!((alice.status, alice.revision), (Status::Idle, Revision::new(77)));
    assert_eq!(alice.connected_on, nodes(&["here"]));
    let report = &alice.durable.reports[0];
    assert_eq!(
        (
            report.version.get(),
            report.said.get(),
            alice.durable.preference.version.get()
        ),
        (7, 7, 3)
    );
    let new = DatabaseDir::new();
    new.open().close();
    assert_eq!(schema(&dir.connect()), schema(&new.connect()));
    let tombstones: i64 = dir
        .connect()
        .query_row("SELECT count(*) FROM tombstone", [], |row| row.get(0))
        .unwrap();
    assert_eq!(tombstones, 1);
}

#[tokio::test]
async fn a_file_of_version_1_keeps_its_users_reports_and_heartbeat() {
    let dir = DatabaseDir::new();
    version_1(&dir, ROWS_1);
    let (store, startup) = dir.start();
    assert_eq!(
        startup.heartbeats,
        [(NodeName::new(""), heartbeat(123_456, 789_000, false))]
    );
    let present: Vec<_> = startup
        .present
        .iter()
        .map(|(user, row)| (user.as_str(), row.connected_on.clone()))
        .collect();
    let unnamed = nodes(&[""]);
    assert_eq!(
        present,
        [("alice", unnamed.clone()), ("bob", nodes(&[])), ("carol", unnamed)],
        "a start takes those connected on any node"
    );
    let row = async |name| store.load(&user(name)).await.unwrap().unwrap();
    let alice = row("alice").await;
    assert_eq!(
        (alice.status, alice.since, alice.revision),
        (Status::DoNotDisturb, Some(wall(900)), Revision::new(77))
    );
    assert_eq!(
        (alice.last_seen, alice.last_active),
        (Some(wall(1_000)), Some(wall(800)))
    );
    let preference = alice.durable.preference;
    assert_eq!(
        (preference.custom, preference.set_at),
        (DoNotDisturb, Some(wall(1_700_000_000_500)))
    );
    assert_eq!(preference.set_by, Some(presence::Actor::User));
    let expiry: Vec<_> = alice
        .durable
        .reports
        .iter()
        .map(|one| (one.source.as_str(), one.expires_at))
        .collect();
    assert_eq!(expiry, [("equal", Some(wall(90_000))), ("older", None)]);
    let dave = row("dave").await.durable;
    assert_eq!((dave.preference.custom, dave.preference.version), (Idle, Version::NONE));
}

#[tokio::test]
async fn reports_of_version_1_keep_their_place_in_the_order() {
    let dir = DatabaseDir::new();
    version_1(&dir, ROWS_1);
    let store = dir.open();
    for (name, source, is_newer) in [
        ("alice", "older", false),
        ("alice", "equal", false),
        ("bob", "newer", true),
        ("carol", "app", true),
    ] {
        let part = store.load(&user(name)).await.unwrap().unwrap().durable;
        let report = part.reports.iter().find(|one| one.source.as_str() == source).unwrap();
        assert_eq!(report.said > part.preference.version, is_newer, "{name} {source}");
        assert!(part.version >= report.version && part.version >= part.preference.version);
    }
    let before = store.load(&user("bob")).await.unwrap().unwrap().durable.version;
    store.set_custom_at("bob", Idle, 100).await.unwrap();
    let after = store.load(&user("bob")).await.unwrap().unwrap().durable;
    assert_eq!(after.preference.version, before.next(), "what is written next is newer");
}

#[tokio::test]
async fn a_failed_migration_leaves_the_old_version() {
    let dir = DatabaseDir::new();
    version_1(&dir, ROWS_1);
    // A row that the new schema can't hold makes the step fail in the middle.
    let broken =
        "PRAGMA ignore_check_constraints = on; UPDATE profile SET custom_set_by = 'gateway' WHERE user_id = 'bob'";
    dir.connect().execute_batch(broken).unwrap();
    assert!(dir.try_open().is_err());
    let connection = dir.connect();
    assert_eq!(pragma(&connection, "user_version"), "Integer(1)");
    let rows = connection.query_row("SELECT count(*) FROM profile JOIN mark", [], |row| row.get(0));
    assert_eq!(rows, Ok(4));
}
