//! Reaching a server that may not be there yet, and the schema in its database, for a daemon and for an import.

use std::time::Duration;

use tokio_postgres::Client;

use super::database_lock::{LockHolders, LockMode};
use super::failure::Failure;
use super::migration::{self, Identity, MigrationError};
use super::session::{Connector, STATEMENT_TIMEOUT, within};
use crate::clock::Stopwatch;
use crate::store::OpenError;

/// How long a start waits for a server that is not there yet: as long as one takes that was started with the daemon.
const SERVER_PATIENCE: Duration = Duration::from_secs(10);
/// How often it tries meanwhile.
const TRY_EVERY: Duration = Duration::from_millis(250);
/// How long the schema may take, at most: the wait for a node that is at it, then as long again.
pub(super) const MIGRATION_TIMEOUT: Duration = Duration::from_secs(150);

/// Waits for a server that is not there yet; whatever else is wrong is an error at once.
pub(super) async fn connect(connector: &Connector) -> Result<Client, OpenError> {
    let waiting = Stopwatch::start();
    let mut is_told = false;
    loop {
        let failure = match connector.connect().await {
            Ok(client) => return Ok(client),
            Err(failure) => failure,
        };
        if failure.is_final || waiting.elapsed() >= SERVER_PATIENCE {
            return Err(server_error(connector, &failure));
        }
        if !std::mem::replace(&mut is_told, true) {
            tracing::warn!(database = connector.name(), error = %failure.text, "waiting for the database");
        }
        tokio::time::sleep(TRY_EVERY).await;
    }
}

/// Makes the schema if there is none, or brings it up to date.
pub(super) async fn prepare_schema(
    connector: &Connector,
    client: &mut Client,
    mode: LockMode,
) -> Result<Identity, OpenError> {
    let looking = warn_if_not_durable(client, connector.name());
    within(STATEMENT_TIMEOUT, looking)
        .await
        .map_err(|failure| server_error(connector, &failure))?;
    let migrating = tokio::time::timeout(MIGRATION_TIMEOUT, migration::migrate(client, mode));
    let migrated = migrating.await.unwrap_or_else(|_| Err(Failure::late().into()));
    migrated.map_err(|error| migration_error(connector, error))
}

pub(super) fn taken(connector: &Connector, holders: LockHolders) -> OpenError {
    OpenError::TakenBy {
        database: connector.name().to_owned(),
        holders: holders.text,
        advice: holders.advice,
    }
}

fn migration_error(connector: &Connector, error: MigrationError) -> OpenError {
    let database = connector.name().to_owned();
    match error {
        MigrationError::Failed(failure) => server_error(connector, &failure),
        MigrationError::InUse(holders) => taken(connector, holders),
        MigrationError::Newer { found } => OpenError::NewerSchema {
            database,
            found,
            known: migration::VERSION,
        },
        MigrationError::Foreign { table } => OpenError::ForeignTable { database, table },
        MigrationError::Encoding { found } => OpenError::Server {
            database,
            what: format!("its encoding is {found}: make a database with ENCODING 'UTF8'"),
        },
    }
}

/// Nothing that a client sets makes up for a server that does not write to its disk.
async fn warn_if_not_durable(client: &Client, database: &str) -> Result<(), Failure> {
    for setting in ["fsync", "full_page_writes"] {
        let row = client
            .query_one("SELECT current_setting($1, true)", &[&setting])
            .await?;
        if row.try_get::<_, Option<&str>>(0)? == Some("off") {
            tracing::warn!(
                database,
                setting,
                "off: acknowledged writes are lost if the server's machine fails"
            );
        }
    }
    Ok(())
}

pub(super) fn server_error(connector: &Connector, failure: &Failure) -> OpenError {
    let what = match failure.is_final {
        true => format!("{}: {}", failure.text, failure.advice),
        false => failure.text.to_string(),
    };
    OpenError::Server {
        database: connector.name().to_owned(),
        what,
    }
}
