//! The table that an import leaves in its database, in one row: where the data is from and how far it has come. While it says
//! that something is missing no daemon uses the database. The first daemon that uses it removes it: from then on there is
//! more in the database than the import has put there, and none may go on or begin again.

use tokio_postgres::{Client, Transaction};

use super::failure::Failure;
use super::migration;
use crate::store::import::ImportSource;

/// A session may still know the name of a table that another one has removed meanwhile.
const IS_THERE: &str = "SELECT EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('presence_import'))";
const CREATE: &str = "CREATE TABLE presence_import (
       is_only     BOOLEAN NOT NULL PRIMARY KEY DEFAULT true CHECK (is_only),
       source      TEXT    NOT NULL,
       fingerprint TEXT    NOT NULL,
       ceiling     BIGINT  NOT NULL,
       after_user  TEXT,
       is_done     BOOLEAN NOT NULL
     )";
const SAVE: &str = "INSERT INTO presence_import (source, fingerprint, ceiling, after_user, is_done) VALUES ($1, $2, $3, NULL, false)
     ON CONFLICT (is_only) DO UPDATE SET
       source = excluded.source, fingerprint = excluded.fingerprint, ceiling = excluded.ceiling, after_user = NULL, is_done = false";

/// What a database has of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ImportState {
    /// Nothing, or all.
    Whole,
    /// Something is missing.
    CutOff,
}

/// An import as its row has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ImportMarker {
    pub(super) source: ImportSource,
    /// All users up to this one, in order of their ids, are in the database.
    pub(super) after_user: Option<String>,
    pub(super) is_done: bool,
}

/// Removes the row of an import that is done, with its table.
pub(super) async fn leave(client: &mut Client) -> Result<ImportState, Failure> {
    if !client.query_one(IS_THERE, &[]).await?.try_get::<_, bool>(0)? {
        return Ok(ImportState::Whole);
    }
    let transaction = client.transaction().await?;
    // Of several nodes that start at once, one removes it.
    migration::lock(&transaction).await?;
    match load(&transaction).await? {
        Some(marker) if !marker.is_done => return Ok(ImportState::CutOff),
        Some(_) => transaction.batch_execute("DROP TABLE presence_import").await?,
        None => {}
    }
    transaction.commit().await?;
    Ok(ImportState::Whole)
}

/// The import that the database has, if a daemon has not been there since.
pub(super) async fn load(transaction: &Transaction<'_>) -> Result<Option<ImportMarker>, Failure> {
    if !transaction.query_one(IS_THERE, &[]).await?.try_get::<_, bool>(0)? {
        return Ok(None);
    }
    let select = "SELECT source, fingerprint, ceiling, after_user, is_done FROM presence_import";
    let row = transaction.query_opt(select, &[]).await?;
    row.map(|row| {
        Ok(ImportMarker {
            source: ImportSource {
                path: row.try_get(0)?,
                fingerprint: row.try_get(1)?,
                ceiling: row.try_get(2)?,
            },
            after_user: row.try_get(3)?,
            is_done: row.try_get(4)?,
        })
    })
    .transpose()
}

/// Begins an import.
pub(super) async fn begin(transaction: &Transaction<'_>, source: &ImportSource) -> Result<(), Failure> {
    if !transaction.query_one(IS_THERE, &[]).await?.try_get::<_, bool>(0)? {
        transaction.batch_execute(CREATE).await?;
    }
    let ImportSource {
        path,
        fingerprint,
        ceiling,
    } = source;
    transaction.execute(SAVE, &[path, fingerprint, ceiling]).await?;
    Ok(())
}

/// All users up to this one are there.
pub(super) async fn advance(transaction: &Transaction<'_>, user: &str) -> Result<(), Failure> {
    let update = "UPDATE presence_import SET after_user = $1";
    transaction.execute(update, &[&user]).await?;
    Ok(())
}

/// Everything is there.
pub(super) async fn finish(transaction: &Transaction<'_>) -> Result<(), Failure> {
    transaction
        .batch_execute("UPDATE presence_import SET is_done = true")
        .await?;
    Ok(())
}
