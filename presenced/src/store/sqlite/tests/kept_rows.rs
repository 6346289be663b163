//! Migrations that copy tables keep each value in its column.

use presence::SystemWall;

use super::super::migration;
use super::migration::schema;
use super::*;

/// All rows of a table, each as text, by these columns.
fn dump(connection: &Connection, table: &str, columns: &str) -> Vec<String> {
    let mut statement = connection
        .prepare(&format!("SELECT {columns} FROM {table} ORDER BY 1, 2"))
        .unwrap();
    let count = statement.column_count();
    let rows = statement.query_map([], |row| {
        let values: rusqlite::Result<Vec<_>> = (0..count)
            .map(|column| row.get_ref(column).map(|value| format!("{value:?}")))
            .collect();
        Ok(values?.join(" "))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

#[test]
fn every_row_of_version_2_is_kept_as_it_is() {
    const COLUMNS: [(&str, &str); 4] = [
        (
            "profile",
            "user_id, status, since, connected_on, custom_status, custom_set_at, custom_set_by, custom_version, version, \
             last_seen, last_active, revision",
        ),
        (
            "report",
            "user_id, source, status, since, heard, version, last_active, expires_at",
        ),
        ("tombstone", "user_hash, revision, forgotten_at"),
        ("heartbeat", "node, wall, ceiling, clean"),
    ];
    let dir = DatabaseDir::new();
    let connection = dir.connect();
    connection.pragma_update(None, "journal_mode", "wal").unwrap();
    connection.execute_batch(migration::SCHEMA_2).unwrap();
    // No two columns have the same value, so that none can take another's place.
    let rows = "
        INSERT INTO profile VALUES
          ('alice', 'IDLE', 11, '[\"here\",\"there\"]', 'DO_NOT_DISTURB', 12, 'user', 13, 14, 15, 16, 17),
          ('bob', 'OFFLINE', NULL, '[]', 'ONLINE', NULL, NULL, 0, 21, NULL, NULL, 22);
        INSERT INTO report VALUES
          ('alice', 'app', 'ONLINE', 31, 32, 10, 33, 34), ('alice', 'call', 'IDLE', 35, 36, 14, NULL, NULL),
          ('bob', 'app', 'DO_NOT_DISTURB', 37, 38, 21, 39, NULL);
        INSERT INTO tombstone VALUES (x'00ff', 41, 42), (x'01', 43, 44);
        INSERT INTO heartbeat VALUES ('here', 51, 52, 0), ('there', 53, 54, 1);";
    connection.execute_batch(rows).unwrap();
    let before = COLUMNS.map(|(table, columns)| dump(&connection, table, columns));
    drop(connection);
    dir.open().close();
    let connection = dir.connect();
    assert_eq!(
        COLUMNS.map(|(table, columns)| dump(&connection, table, columns)),
        before
    );
    assert_eq!(
        dump(&connection, "tombstone", "user_hash, version"),
        ["Blob([0, 255]) Integer(0)", "Blob([1]) Integer(0)"]
    );
    let newer_words = connection.query_row("SELECT count(*) FROM report WHERE said <> version", [], |row| {
        row.get(0)
    });
    assert_eq!(newer_words, Ok(0));
    let histories = connection.query_row("SELECT count(*) FROM history", [], |row| row.get(0));
    assert_eq!(histories, Ok(0));
    let tables = connection.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name LIKE '%\\_2' ESCAPE '\\'",
        [],
        |row| row.get(0),
    );
    assert_eq!(tables, Ok(0), "nothing of the old one is left");
}

#[test]
fn every_row_of_version_3_is_kept_and_the_file_gets_an_identity() {
    const TABLES: [&str; 5] = ["profile", "report", "tombstone", "heartbeat", "history"];
    let dir = DatabaseDir::new();
    let connection = dir.connect();
    connection.pragma_update(None, "journal_mode", "wal").unwrap();
    connection.execute_batch(migration::SCHEMA_3).unwrap();
    // No two columns have the same value, so that none can take another's place.
    let rows = "
        INSERT INTO profile VALUES
          ('alice', 'IDLE', 11, '[\"here\",\"there\"]', 'DO_NOT_DISTURB', 12, 'user', 13, 14, 15, 16, 17),
          ('bob', 'OFFLINE', NULL, '[]', 'ONLINE', NULL, NULL, 0, 21, NULL, NULL, 22);
        INSERT INTO report VALUES
          ('alice', 'app', 'ONLINE', 31, 32, 10, 33, 34, 9), ('bob', 'app', 'DO_NOT_DISTURB', 37, 38, 21, 39, NULL, 20);
        INSERT INTO tombstone VALUES (x'00ff', 41, 40, 42);
        INSERT INTO heartbeat VALUES ('here', 51, 52, 1);
        INSERT INTO history VALUES ('here', 61, 62);";
    connection.execute_batch(rows).unwrap();
    let columns = TABLES.map(|table| columns_of(&connection, table));
    let dump_all = |connection: &Connection| {
        let tables = TABLES.iter().zip(&columns);
        tables
            .map(|(table, columns)| dump(connection, table, columns))
            .collect::<Vec<_>>()
    };
    let before = dump_all(&connection);
    drop(connection);
    let (store, startup) = dir.start();
    assert_eq!(startup.identity.len(), 32);
    store.close();
    let connection = dir.connect();
    assert_eq!(dump_all(&connection), before);
    let new = DatabaseDir::new();
    new.open().close();
    assert_eq!(schema(&connection), schema(&new.connect()));
}

/// A database of a version whose tables have the columns of version 4, with rows in all of them.
fn with_rows(schema: &str) -> DatabaseDir {
    let dir = DatabaseDir::new();
    let connection = dir.connect();
    connection.pragma_update(None, "journal_mode", "wal").unwrap();
    connection.execute_batch(schema).unwrap();
    let rows = "
        INSERT INTO profile VALUES
          ('alice', 'IDLE', 11, '[\"here\",\"there\"]', 'DO_NOT_DISTURB', 12, 'user', 13, 14, 15, 16, 17, 18),
          ('bob', 'OFFLINE', NULL, '[]', 'ONLINE', NULL, NULL, 0, 21, NULL, NULL, 22, NULL);
        INSERT INTO report VALUES
          ('alice', 'app', 'ONLINE', 31, 32, 10, 33, 34, 9), ('bob', 'app', 'DO_NOT_DISTURB', 37, 38, 21, 39, NULL, 20);
        INSERT INTO tombstone VALUES (x'00ff', 41, 40, 42);
        INSERT INTO heartbeat VALUES ('here', 51, 52, 1);
        INSERT INTO history VALUES ('here', 61, 62);";
    connection.execute_batch(rows).unwrap();
    dir
}

fn dump_all(connection: &Connection) -> Vec<Vec<String>> {
    let tables = [
        "presence_database",
        "profile",
        "report",
        "tombstone",
        "heartbeat",
        "history",
    ];
    let dumped = tables.map(|table| dump(connection, table, &columns_of(connection, table)));
    dumped.into()
}

#[test]
fn every_row_of_version_4_and_its_identity_are_kept() {
    let dir = with_rows(migration::SCHEMA_4);
    let connection = dir.connect();
    let before = dump_all(&connection);
    drop(connection);
    dir.open().close();
    let connection = dir.connect();
    assert_eq!(dump_all(&connection), before);
    let new = DatabaseDir::new();
    new.open().close();
    assert_eq!(schema(&connection), schema(&new.connect()));
}

#[tokio::test]
async fn every_row_of_version_5_is_kept_and_nobody_is_revoked() {
    let dir = with_rows(migration::SCHEMA_5);
    let connection = dir.connect();
    let before = dump_all(&connection);
    drop(connection);
    let (store, startup) = dir.start();
    assert_eq!(startup.revocations, []);
    store.close();
    let connection = dir.connect();
    assert_eq!(dump_all(&connection), before);
    let new = DatabaseDir::new();
    new.open().close();
    assert_eq!(schema(&connection), schema(&new.connect()));
    drop(connection);
    let store = dir.open();
    let revoked = store.revoke_tokens([7; 32], SystemWall::from_millis(9)).await.unwrap();
    assert_eq!(store.revocations_after(0).await, Ok(vec![revoked]));
}

fn columns_of(connection: &Connection, table: &str) -> String {
    let sql = format!("SELECT group_concat(name, ', ') FROM pragma_table_info('{table}')");
    connection.query_row(&sql, [], |row| row.get(0)).unwrap()
}
