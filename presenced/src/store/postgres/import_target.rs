//! A database of PostgreSQL into which users are imported: one connection, which has the lock of the database, so that no daemon
//! uses it meanwhile. Whatever fails ends the import; the next one goes on where the last transaction was.

use std::time::Duration;

use presence::{NodeName, UserId};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Transaction};

use super::columns::{Parameter, column, encode_nodes, millis, stored};
use super::database_lock::{self, LockMode, START_PATIENCE};
use super::failure::Failure;
use super::import_marker;
use super::reach::{self, server_error};
use super::session::{Connector, SETUP_TIMEOUT, within};
use super::single::{SAVE_HEARTBEAT, SAVE_HISTORY};
use crate::store::import::{ImportError, ImportPlace, ImportSource, ImportStart, StoredTombstone};
use crate::store::{Heartbeat, OpenError, OpenOptions, ReportRow, Row, StoredRevocation};

/// For how long one transaction may take: nobody waits for it but the import, and a count of all users is one.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(600);

/// Nothing that is stored is replaced by anything older.
const SAVE_USERS: &str = "INSERT INTO profile (user_id, status, since, connected_on, custom_status, custom_set_at, custom_set_by,
       custom_version, version, last_seen, last_active, revision)
     SELECT * FROM unnest($1::text[], $2::text[], $3::int8[], $4::text[], $5::text[], $6::int8[], $7::text[], $8::int8[],
       $9::int8[], $10::int8[], $11::int8[], $12::int8[])
     ON CONFLICT (user_id) DO UPDATE SET
       status = excluded.status, since = excluded.since, connected_on = excluded.connected_on,
       custom_status = excluded.custom_status, custom_set_at = excluded.custom_set_at,
       custom_set_by = excluded.custom_set_by, custom_version = excluded.custom_version, version = excluded.version,
       last_seen = greatest(profile.last_seen, excluded.last_seen),
       last_active = greatest(profile.last_active, excluded.last_active), revision = excluded.revision
     WHERE profile.version <= excluded.version AND profile.revision <= excluded.revision";
const SAVE_REPORTS: &str =
    "INSERT INTO report (user_id, source, status, since, heard, version, last_active, expires_at, said)
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int8[], $5::int8[], $6::int8[], $7::int8[], $8::int8[], $9::int8[])
     ON CONFLICT (user_id, source) DO UPDATE SET
       status = excluded.status, since = excluded.since, heard = excluded.heard, version = excluded.version,
       last_active = excluded.last_active, expires_at = excluded.expires_at, said = excluded.said
     WHERE report.version <= excluded.version";
const SAVE_TOMBSTONES: &str = "INSERT INTO tombstone (user_hash, revision, version, forgotten_at)
     SELECT * FROM unnest($1::bytea[], $2::int8[], $3::int8[], $4::int8[])
     ON CONFLICT (user_hash) DO UPDATE SET
       revision = greatest(tombstone.revision, excluded.revision),
       version = greatest(tombstone.version, excluded.version),
       forgotten_at = greatest(tombstone.forgotten_at, excluded.forgotten_at)";

const SAVE_REVOCATIONS: &str = "INSERT INTO revocation (user_hash, issued_before, number)
     SELECT * FROM unnest($1::bytea[], $2::int8[], $3::int8[])
     ON CONFLICT (user_hash) DO UPDATE SET
       issued_before = greatest(revocation.issued_before, excluded.issued_before), number = excluded.number";

/// The database, locked for as long as this lives.
pub(in crate::store) struct ImportTarget {
    connector: Connector,
    client: Client,
}

impl ImportTarget {
    /// Reaches the server, makes the schema if there is none, and keeps daemons out.
    pub(in crate::store) async fn open(place: &ImportPlace<'_>) -> Result<Self, OpenError> {
        let name = || place.url.name.clone();
        let connector = Connector::new(place.url, place.password_file, &OpenOptions::default());
        let connector = connector.map_err(|what| OpenError::Server { database: name(), what })?;
        let mut client = reach::connect(&connector).await?;
        reach::prepare_schema(&connector, &mut client, LockMode::Exclusive).await?;
        let locking = async {
            client
                .batch_execute(&format!(
                    "SET application_name = 'presenced import'; SET statement_timeout = {}",
                    TRANSACTION_TIMEOUT.as_millis()
                ))
                .await?;
            database_lock::take(&client, LockMode::Exclusive, START_PATIENCE).await
        };
        match within(START_PATIENCE + SETUP_TIMEOUT, locking).await {
            Ok(None) => Ok(Self { connector, client }),
            Ok(Some(holders)) => Err(reach::taken(&connector, holders)),
            Err(failure) => Err(server_error(&connector, &failure)),
        }
    }

    /// The database, for people.
    pub(in crate::store) fn name(&self) -> &str {
        self.connector.name()
    }

    /// Begins an import, or goes on with it after this user.
    pub(in crate::store) async fn begin(
        &mut self,
        source: &ImportSource,
    ) -> Result<(ImportStart, Option<String>), ImportError> {
        let database = self.name().to_owned();
        let beginning = async {
            let transaction = self.client.transaction().await?;
            let began = begin(&transaction, source).await?;
            transaction.commit().await?;
            Ok(began)
        };
        let began = within(TRANSACTION_TIMEOUT, beginning).await;
        let stopped = |failure: Failure| ImportError::Stopped {
            database: self.name().to_owned(),
            users: 0,
            what: text(&failure),
        };
        match began.map_err(stopped)? {
            Began::At(start, after_user) => Ok((start, after_user)),
            Began::NotEmpty(users) => Err(ImportError::NotEmpty { database, users }),
            Began::OtherSource(other) => Err(ImportError::OtherSource { database, other }),
            Began::OlderSource => Err(ImportError::OlderSource { database }),
        }
    }

    /// Stores users, which come after all that are there.
    ///
    /// # Errors
    /// What happened. Whether they are stored the next import finds out.
    pub(in crate::store) async fn write_users(&mut self, users: &[(UserId, Box<Row>)]) -> Result<(), String> {
        self.write(async |transaction| {
            execute(transaction, SAVE_USERS, users_as_columns(users)).await?;
            let reports = || {
                users
                    .iter()
                    .flat_map(|(user, row)| row.durable.reports.iter().map(move |report| (user, report)))
            };
            let reports: Vec<(&UserId, &ReportRow)> = reports().collect();
            if !reports.is_empty() {
                execute(transaction, SAVE_REPORTS, reports_as_columns(&reports)).await?;
            }
            match users.last() {
                Some((last, _)) => import_marker::advance(transaction, last.as_str()).await,
                None => Ok(()),
            }
        })
        .await
    }

    /// Stores tombstones.
    ///
    /// # Errors
    /// What happened.
    pub(in crate::store) async fn write_tombstones(&mut self, tombstones: &[StoredTombstone]) -> Result<(), String> {
        self.write(async |transaction| {
            let tombstones: Vec<&StoredTombstone> = tombstones.iter().collect();
            let columns: Vec<Parameter<'_>> = vec![
                column(&tombstones, |tombstone| tombstone.user_hash.as_slice()),
                column(&tombstones, |tombstone| tombstone.revision),
                column(&tombstones, |tombstone| tombstone.version),
                column(&tombstones, |tombstone| tombstone.forgotten_at),
            ];
            execute(transaction, SAVE_TOMBSTONES, columns).await
        })
        .await
    }

    /// Stores revocations.
    ///
    /// # Errors
    /// What happened.
    pub(in crate::store) async fn write_revocations(&mut self, revocations: &[StoredRevocation]) -> Result<(), String> {
        self.write(async |transaction| {
            let columns: Vec<Parameter<'_>> = vec![
                column(revocations, |revocation| revocation.user_hash.to_vec()),
                column(revocations, |revocation| revocation.issued_before.as_millis()),
                column(revocations, |revocation| stored(revocation.number)),
            ];
            execute(transaction, SAVE_REVOCATIONS, columns).await
        })
        .await
    }

    /// Stores what the nodes have left, and that everything is there if there are as many users as expected. How many there are.
    ///
    /// # Errors
    /// What happened.
    pub(in crate::store) async fn finish(
        &mut self,
        heartbeats: &[(NodeName, Heartbeat)],
        expected: u64,
    ) -> Result<u64, String> {
        let found = self.count_users().await?;
        if found != expected {
            return Ok(found);
        }
        self.write(async |transaction| {
            for (node, heartbeat) in heartbeats {
                save_heartbeat(transaction, node, *heartbeat).await?;
            }
            import_marker::finish(transaction).await
        })
        .await?;
        // The first start reads all tables: the server had better know how large they are. If it can't, it finds out itself.
        let _ = self.client.batch_execute("ANALYZE profile, report").await;
        Ok(found)
    }

    /// How many users are stored.
    ///
    /// # Errors
    /// What happened.
    pub(in crate::store) async fn count_users(&self) -> Result<u64, String> {
        let counting = async {
            let row = self.client.query_one("SELECT count(*) FROM profile", &[]).await?;
            super::decode::number(&row, 0)
        };
        within(TRANSACTION_TIMEOUT, counting)
            .await
            .map_err(|failure| text(&failure))
    }

    async fn write(
        &mut self,
        statements: impl AsyncFnOnce(&Transaction<'_>) -> Result<(), Failure>,
    ) -> Result<(), String> {
        let writing = async {
            let transaction = self.client.transaction().await?;
            statements(&transaction).await?;
            Ok(transaction.commit().await?)
        };
        within(TRANSACTION_TIMEOUT, writing)
            .await
            .map_err(|failure| text(&failure))
    }
}

/// Whether and where an import begins.
enum Began {
    At(ImportStart, Option<String>),
    NotEmpty(u64),
    OtherSource(String),
    OlderSource,
}

async fn begin(transaction: &Transaction<'_>, source: &ImportSource) -> Result<Began, Failure> {
    Ok(match import_marker::load(transaction).await? {
        Some(known) if known.source.fingerprint == source.fingerprint => match known.is_done {
            true => Began::At(ImportStart::Done, None),
            false => Began::At(ImportStart::GoesOn, known.after_user),
        },
        Some(known) if known.source.path != source.path => Began::OtherSource(known.source.path),
        Some(known) if known.source.ceiling > source.ceiling => Began::OlderSource,
        Some(_) => {
            // Nothing else is in there: the first daemon would have removed the marker.
            transaction
                .batch_execute("TRUNCATE report, profile, tombstone, revocation")
                .await?;
            import_marker::begin(transaction, source).await?;
            Began::At(ImportStart::Again, None)
        }
        None => {
            let select = "SELECT (SELECT count(*) FROM profile),
                 EXISTS (SELECT 1 FROM tombstone) OR EXISTS (SELECT 1 FROM revocation)";
            let row = transaction.query_one(select, &[]).await?;
            let users = super::decode::number(&row, 0)?;
            if users > 0 || row.try_get(1)? {
                return Ok(Began::NotEmpty(users));
            }
            import_marker::begin(transaction, source).await?;
            Began::At(ImportStart::New, None)
        }
    })
}

async fn execute(transaction: &Transaction<'_>, sql: &str, columns: Vec<Parameter<'_>>) -> Result<(), Failure> {
    let parameters: Vec<&(dyn ToSql + Sync)> = columns.iter().map(|one| &**one as &(dyn ToSql + Sync)).collect();
    transaction.execute(sql, &parameters).await?;
    Ok(())
}

fn users_as_columns(users: &[(UserId, Box<Row>)]) -> Vec<Parameter<'_>> {
    let users: Vec<(&UserId, &Row)> = users.iter().map(|(user, row)| (user, &**row)).collect();
    vec![
        column(&users, |(user, _)| user.as_str()),
        column(&users, |(_, row)| row.status.as_str()),
        column(&users, |(_, row)| millis(row.since)),
        column(&users, |(_, row)| encode_nodes(&row.connected_on)),
        column(&users, |(_, row)| row.durable.preference.custom.as_str()),
        column(&users, |(_, row)| millis(row.durable.preference.set_at)),
        column(&users, |(_, row)| {
            row.durable.preference.set_by.map(presence::Actor::as_str)
        }),
        column(&users, |(_, row)| stored(row.durable.preference.version.get())),
        column(&users, |(_, row)| stored(row.durable.version.get())),
        column(&users, |(_, row)| millis(row.last_seen)),
        column(&users, |(_, row)| millis(row.last_active)),
        column(&users, |(_, row)| stored(row.revision.get())),
    ]
}

fn reports_as_columns<'a>(reports: &[(&'a UserId, &'a ReportRow)]) -> Vec<Parameter<'a>> {
    vec![
        column(reports, |(user, _)| user.as_str()),
        column(reports, |(_, report)| report.source.as_str()),
        column(reports, |(_, report)| report.status.as_str()),
        column(reports, |(_, report)| report.since.as_millis()),
        column(reports, |(_, report)| report.heard.as_millis()),
        column(reports, |(_, report)| stored(report.version.get())),
        column(reports, |(_, report)| millis(report.last_active)),
        column(reports, |(_, report)| millis(report.expires_at)),
        column(reports, |(_, report)| stored(report.said.get())),
    ]
}

async fn save_heartbeat(transaction: &Transaction<'_>, node: &NodeName, heartbeat: Heartbeat) -> Result<(), Failure> {
    let (node, wall, ceiling) = (node.as_str(), heartbeat.wall.as_millis(), stored(heartbeat.ceiling));
    transaction
        .execute(SAVE_HEARTBEAT, &[&node, &wall, &ceiling, &heartbeat.clean])
        .await?;
    transaction
        .execute("DELETE FROM history WHERE node = $1", &[&node])
        .await?;
    if let Some(history) = heartbeat.history {
        let (incarnation, from) = (history.incarnation.cast_signed(), stored(history.from.get()));
        transaction.execute(SAVE_HISTORY, &[&node, &incarnation, &from]).await?;
    }
    Ok(())
}

fn text(failure: &Failure) -> String {
    match failure.is_final {
        true => format!("{}: {}", failure.text, failure.advice),
        false => failure.text.to_string(),
    }
}
