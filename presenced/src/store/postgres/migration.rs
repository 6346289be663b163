//! Makes the schema, or brings an older one up to date, in one transaction under an advisory lock: of many nodes that start at
//! once the first does it and the others find it done. A step never changes once it was released.

use tokio_postgres::{Client, Transaction};

use super::database_lock::{self, LOCK_CLASS, LockHolders, LockMode, START_PATIENCE};
use super::failure::Failure;
use crate::store::metrics::FailureKind;

/// The whole schema.
const SCHEMA: &str = include_str!("../../../../schema.postgres.sql");
/// The version of [`SCHEMA`].
pub(super) const VERSION: i64 = 3;
/// What brings a schema up to date, from the version before the second on.
const STEPS: [(i64, &str); 2] = [
    (
        1,
        // Nobody has marked anything: a daemon alone has published everything.
        "ALTER TABLE profile ADD COLUMN unpublished BIGINT;
         CREATE INDEX profile_unpublished ON profile (user_id) WHERE unpublished IS NOT NULL;",
    ),
    (
        2,
        "CREATE TABLE revocation (
           user_hash     BYTEA   NOT NULL PRIMARY KEY,
           issued_before BIGINT  NOT NULL,
           number        BIGINT  NOT NULL
         );
         CREATE UNIQUE INDEX revocation_number ON revocation (number);",
    ),
];
/// The number of the lock, after [`LOCK_CLASS`]. No table has it.
const LOCK_NUMBER: i32 = 1;

/// What the database says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity(pub(super) String);

/// Why a database can't be used, though it answers.
#[derive(Debug)]
pub(super) enum MigrationError {
    Failed(Failure),
    /// A newer version of the daemon made it.
    Newer {
        found: i64,
    },
    /// An older version of it is in use.
    InUse(LockHolders),
    /// It has tables of our names that are not ours.
    Foreign {
        table: String,
    },
    /// Its texts are not UTF-8.
    Encoding {
        found: String,
    },
}

impl<E: Into<Failure>> From<E> for MigrationError {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Makes the schema or brings it up to date.
pub(super) async fn migrate(client: &mut Client, mode: LockMode) -> Result<Identity, MigrationError> {
    let row = client
        .query_one("SELECT current_setting('server_encoding')", &[])
        .await?;
    let encoding: String = row.try_get(0)?;
    if encoding != "UTF8" {
        return Err(MigrationError::Encoding { found: encoding });
    }
    let transaction = client.transaction().await?;
    lock(&transaction).await?;
    match stored(&transaction).await? {
        Some((version, _)) if version > VERSION => return Err(MigrationError::Newer { found: version }),
        Some((version, _)) if version < VERSION => bring_up_to_date(&transaction, mode, version).await?,
        Some(_) => {}
        None => make(&transaction).await?,
    }
    let Some((_, identity)) = stored(&transaction).await? else {
        return Err(Failure::new(FailureKind::Moved, "the schema was removed while it was made").into());
    };
    transaction.commit().await?;
    Ok(identity)
}

/// Keeps other nodes from changing the schema until the end of the transaction.
pub(super) async fn lock(transaction: &Transaction<'_>) -> Result<(), Failure> {
    // Nine others may be before this one.
    transaction
        .batch_execute("SET LOCAL lock_timeout = '60s'; SET LOCAL statement_timeout = '60s'")
        .await?;
    let lock = "SELECT pg_advisory_xact_lock($1, $2)";
    transaction.execute(lock, &[&LOCK_CLASS, &LOCK_NUMBER]).await?;
    Ok(())
}

/// Whether a connection leads to the database that was opened.
pub(super) async fn check(client: &Client, opened: &Identity) -> Result<(), Failure> {
    let row = client.query_one("SELECT identity FROM presence_database", &[]).await?;
    match row.try_get::<_, &str>(0)? == opened.0 {
        true => Ok(()),
        false => Err(Failure::new(
            FailureKind::Moved,
            "another database is in the place of the one that was opened",
        )),
    }
}

async fn stored(transaction: &Transaction<'_>) -> Result<Option<(i64, Identity)>, Failure> {
    let is_made = "SELECT to_regclass('presence_database') IS NOT NULL";
    if !transaction.query_one(is_made, &[]).await?.try_get::<_, bool>(0)? {
        return Ok(None);
    }
    let row = transaction
        .query_one("SELECT version, identity FROM presence_database", &[])
        .await?;
    Ok(Some((row.try_get(0)?, Identity(row.try_get(1)?))))
}

async fn make(transaction: &Transaction<'_>) -> Result<(), MigrationError> {
    let other =
        "SELECT name FROM unnest(ARRAY['profile', 'report', 'tombstone', 'revocation', 'heartbeat', 'history']) AS name
         WHERE to_regclass(quote_ident(name)) IS NOT NULL LIMIT 1";
    if let Some(row) = transaction.query_opt(other, &[]).await? {
        return Err(MigrationError::Foreign { table: row.try_get(0)? });
    }
    transaction.batch_execute(SCHEMA).await?;
    let insert = "INSERT INTO presence_database (version, identity) VALUES ($1, $2)";
    transaction.execute(insert, &[&VERSION, &new_identity()?]).await?;
    Ok(())
}

/// Whoever uses it in a way that goes not with this one must not have it changed underneath.
async fn bring_up_to_date(transaction: &Transaction<'_>, mode: LockMode, version: i64) -> Result<(), MigrationError> {
    if let Some(holders) = database_lock::take(transaction.client(), mode, START_PATIENCE).await? {
        return Err(MigrationError::InUse(holders));
    }
    // An index of many millions of users takes its time.
    transaction
        .batch_execute("SET LOCAL statement_timeout = '120s'")
        .await?;
    for (_, step) in STEPS.iter().filter(|(from, _)| *from >= version) {
        transaction.batch_execute(step).await?;
    }
    let update = "UPDATE presence_database SET version = $1";
    transaction.execute(update, &[&VERSION]).await?;
    tracing::info!(
        from = version,
        to = VERSION,
        "brought the schema of the database up to date"
    );
    Ok(())
}

fn new_identity() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Failure::new(FailureKind::Io, error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
