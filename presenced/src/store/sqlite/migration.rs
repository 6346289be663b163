//! Migration of files of every older version to `schema.sql`, one transaction per step. A step never changes once it was
//! released: when `schema.sql` moves on, the step that made the version before keeps a copy of what it needs.

use rusqlite::{Connection, Transaction, TransactionBehavior};

/// The whole schema, with its version and application id.
pub(super) const SCHEMA: &str = include_str!("../../../../schema.sql");
/// The version of [`SCHEMA`].
pub(super) const VERSION: i64 = 6;
/// The application id of our files: "pres".
pub(super) const APPLICATION_ID: i64 = 0x7072_6573;

/// The whole schema of version 5.
pub(super) const SCHEMA_5: &str = include_str!("schema_5.sql");
/// The whole schema of version 4.
pub(super) const SCHEMA_4: &str = include_str!("schema_4.sql");
/// The whole schema of version 3.
pub(super) const SCHEMA_3: &str = include_str!("schema_3.sql");
/// The whole schema of version 2.
pub(super) const SCHEMA_2: &str = include_str!("schema_2.sql");
/// The whole schema of version 1.
pub(super) const SCHEMA_1: &str = include_str!("schema_1.sql");

/// The version of a file. 0 is the table as it was before custom statuses, or a file without tables.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Migrates a file that is ours, or empty. Takes the lock in any case, so that a start finds out whether another process
/// holds it.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    loop {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        match version(&transaction)? {
            0 if transaction.table_exists(None, "profile")? => leave_bare_profile(&transaction)?,
            0 => transaction.execute_batch(SCHEMA)?,
            1 => add_versions_and_nodes(&transaction)?,
            2 => add_history_and_words(&transaction)?,
            3 => add_identity_and_marks(&transaction)?,
            4 => check_without_temporary_tables(&transaction)?,
            5 => add_revocations(&transaction)?,
            _ => return transaction.commit(),
        }
        transaction.commit()?;
    }
}

/// 0 to 1: from `profile(user_id TEXT PRIMARY KEY, status TEXT NOT NULL DEFAULT 'OFFLINE', last_seen INTEGER NOT NULL)`,
/// where a `last_seen` of 0 was never. No user is connected to a daemon that is just starting, so all are OFFLINE.
/// That table had no types: an id that is no text is dropped, a `last_seen` that is no time becomes never.
fn leave_bare_profile(transaction: &Transaction) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "CREATE TABLE bare_profile AS SELECT user_id, last_seen FROM profile;
         DROP TABLE profile;",
    )?;
    transaction.execute_batch(SCHEMA_1)?;
    let kept = transaction.execute(
        "INSERT INTO profile (user_id, last_seen)
         SELECT user_id, CASE WHEN typeof(last_seen) = 'integer' AND last_seen > 0 THEN last_seen END
         FROM bare_profile WHERE typeof(user_id) = 'text'",
        [],
    )?;
    let dropped: i64 = transaction.query_row(
        "SELECT count(*) FROM bare_profile WHERE typeof(user_id) <> 'text'",
        [],
        |row| row.get(0),
    )?;
    transaction.execute_batch("DROP TABLE bare_profile")?;
    tracing::info!(
        users = kept,
        "brought a database from before custom statuses up to date"
    );
    if dropped > 0 {
        tracing::warn!(
            rows = dropped,
            "dropped rows of the old table whose user id was no text"
        );
    }
    Ok(())
}

/// 1 to 2. Milliseconds ordered custom statuses and reports until then: they become the versions, so the order is kept.
/// Nodes had no names until then: users that were connected were so on the node with the empty name.
fn add_versions_and_nodes(transaction: &Transaction) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "ALTER TABLE profile RENAME TO profile_1;
         ALTER TABLE report RENAME TO report_1;
         ALTER TABLE mark RENAME TO mark_1;",
    )?;
    transaction.execute_batch(SCHEMA_2)?;
    let users = transaction.execute(
        "INSERT INTO profile (user_id, status, since, connected_on, custom_status, custom_set_at, custom_set_by,
           custom_version, version, last_seen, last_active, revision)
         SELECT user_id, status, since, iif(connected, '[\"\"]', '[]'), custom_status, custom_set_at, custom_set_by,
           max(ifnull(custom_set_at, 0), 0),
           max(ifnull(custom_set_at, 0),
               ifnull((SELECT max(max(ordered_at, 1)) FROM report_1 WHERE report_1.user_id = profile_1.user_id), 0)),
           last_seen, last_active, revision
         FROM profile_1",
        [],
    )?;
    transaction.execute_batch(
        "INSERT INTO report (user_id, source, status, since, heard, version, last_active, expires_at)
         SELECT user_id, source, status, since, heard, max(ordered_at, 1), last_active, expires_at FROM report_1;
         INSERT INTO heartbeat (node, wall, ceiling, clean) SELECT '', wall, ceiling, clean FROM mark_1;
         DROP TABLE report_1;
         DROP TABLE profile_1;
         DROP TABLE mark_1;",
    )?;
    tracing::info!(users, "brought a database from before versions up to date");
    Ok(())
}

/// 2 to 3. Cursors of a run that ended cleanly resume after it. Every refresh of a report counted as a newer word until then.
fn add_history_and_words(transaction: &Transaction) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "ALTER TABLE profile RENAME TO profile_2;
         ALTER TABLE report RENAME TO report_2;
         ALTER TABLE tombstone RENAME TO tombstone_2;
         ALTER TABLE heartbeat RENAME TO heartbeat_2;
         DROP INDEX tombstone_forgotten_at;",
    )?;
    transaction.execute_batch(SCHEMA_3)?;
    transaction.execute_batch(
        "INSERT INTO profile SELECT * FROM profile_2;
         INSERT INTO report SELECT *, version FROM report_2;
         INSERT INTO tombstone SELECT user_hash, revision, 0, forgotten_at FROM tombstone_2;
         INSERT INTO heartbeat SELECT * FROM heartbeat_2;
         DROP TABLE report_2;
         DROP TABLE profile_2;
         DROP TABLE tombstone_2;
         DROP TABLE heartbeat_2;",
    )
}

/// 3 to 4. A database has an identity, by which nodes know that they share it, and users are marked whose durable part is to
/// be published. A daemon alone has published everything.
fn add_identity_and_marks(transaction: &Transaction) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "ALTER TABLE profile RENAME TO profile_3;
         ALTER TABLE report RENAME TO report_3;
         ALTER TABLE tombstone RENAME TO tombstone_3;
         ALTER TABLE heartbeat RENAME TO heartbeat_3;
         ALTER TABLE history RENAME TO history_3;
         DROP INDEX tombstone_revision;",
    )?;
    transaction.execute_batch(SCHEMA_4)?;
    transaction.execute_batch(
        "INSERT INTO profile SELECT *, NULL FROM profile_3;
         INSERT INTO report SELECT * FROM report_3;
         INSERT INTO tombstone SELECT * FROM tombstone_3;
         INSERT INTO heartbeat SELECT * FROM heartbeat_3;
         INSERT INTO history SELECT * FROM history_3;
         DROP TABLE report_3;
         DROP TABLE profile_3;
         DROP TABLE tombstone_3;
         DROP TABLE heartbeat_3;
         DROP TABLE history_3;",
    )
}

/// 4 to 5. The same columns; what a status may be is checked without making a temporary table.
fn check_without_temporary_tables(transaction: &Transaction) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "ALTER TABLE presence_database RENAME TO presence_database_4;
         ALTER TABLE profile RENAME TO profile_4;
         ALTER TABLE report RENAME TO report_4;
         ALTER TABLE tombstone RENAME TO tombstone_4;
         ALTER TABLE heartbeat RENAME TO heartbeat_4;
         ALTER TABLE history RENAME TO history_4;
         DROP INDEX profile_unpublished;
         DROP INDEX tombstone_revision;",
    )?;
    transaction.execute_batch(SCHEMA_5)?;
    transaction.execute_batch(
        "UPDATE presence_database SET identity = (SELECT identity FROM presence_database_4);
         INSERT INTO profile SELECT * FROM profile_4;
         INSERT INTO report SELECT * FROM report_4;
         INSERT INTO tombstone SELECT * FROM tombstone_4;
         INSERT INTO heartbeat SELECT * FROM heartbeat_4;
         INSERT INTO history SELECT * FROM history_4;
         DROP TABLE presence_database_4;
         DROP TABLE report_4;
         DROP TABLE profile_4;
         DROP TABLE tombstone_4;
         DROP TABLE heartbeat_4;
         DROP TABLE history_4;",
    )
}

/// 5 to 6. Nobody's tokens are revoked. The other tables stay as they are.
fn add_revocations(transaction: &Transaction) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "CREATE TABLE revocation (
           -- SHA-256 of the user id, which itself must not stay here.
           user_hash     BLOB    NOT NULL PRIMARY KEY,
           -- Tokens that were issued (iat) before this are refused. Never goes back.
           issued_before INTEGER NOT NULL,
           -- Higher than those of all rows before the last revocation of this user: who has read up to one finds by it what came since.
           number        INTEGER NOT NULL
         ) STRICT, WITHOUT ROWID;
         CREATE UNIQUE INDEX revocation_number ON revocation (number);
         PRAGMA user_version = 6;",
    )
}

/// What tells this database from every other.
pub(super) fn identity(connection: &Connection) -> rusqlite::Result<String> {
    connection.query_row("SELECT identity FROM presence_database", [], |row| row.get(0))
}
