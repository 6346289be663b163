//! What a start needs to know, read in one transaction, so that all of it is of one moment.

use futures_util::TryStreamExt as _;
use presence::{History, NodeName, Revision, UserId, Wall};
use tokio_postgres::{Client, Row as SqlRow, Transaction};

use super::columns::stored;
use super::decode::{self, durable_columns, report_columns, user_columns};
use super::failure::Failure;
use super::revocations;
use crate::store::{Access, Heartbeat, PAST_CHANGES_MAX, PastChanges, Row, Startup};

const SELECT_PRESENT: &str = concat!(
    "SELECT ",
    user_columns!(),
    " FROM profile LEFT JOIN report ON report.user_id = profile.user_id
     WHERE profile.status <> 'OFFLINE' OR profile.connected_on <> '[]' OR report.user_id IS NOT NULL
     ORDER BY profile.user_id, report.source"
);

/// A node of a cluster knows from the others who is present and what changed.
pub(super) async fn load(client: &mut Client, access: Access) -> Result<Startup, Failure> {
    let transaction = client
        .build_transaction()
        .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await?;
    // A pass over millions of users takes its time.
    transaction.batch_execute("SET LOCAL statement_timeout = 0").await?;
    let mut startup = Startup {
        heartbeats: load_heartbeats(&transaction).await?,
        revocations: revocations::decode_all(&transaction.query(revocations::SELECT_ALL, &[]).await?)?,
        ..Startup::default()
    };
    if access == Access::Shared {
        transaction.commit().await?;
        return Ok(startup);
    }
    startup.present = load_present(&transaction).await?;
    if let Some(history) = startup.latest_stored().and_then(|heartbeat| heartbeat.history) {
        startup.past_changes = Some(load_past_changes(&transaction, history).await?);
    }
    transaction.commit().await?;
    Ok(startup)
}

/// A row that can't be understood is left out and logged: it must not keep everyone else waiting.
async fn load_present(transaction: &Transaction<'_>) -> Result<Vec<(UserId, Row)>, Failure> {
    let rows = transaction.query_raw(SELECT_PRESENT, std::iter::empty::<i64>()).await?;
    let mut rows = std::pin::pin!(rows);
    let mut present = Vec::new();
    while let Some(row) = rows.try_next().await? {
        if let Err(failure) = add_present(&row, &mut present) {
            let user: &str = row.try_get(0)?;
            tracing::warn!(?user, error = %failure.text, "left out a row of the database that can't be understood");
        }
    }
    Ok(present)
}

fn add_present(row: &SqlRow, present: &mut Vec<(UserId, Row)>) -> Result<(), Failure> {
    let user = decode::user(row, 0)?;
    if present.last().is_none_or(|(last, _)| *last != user) {
        present.push((user, decode::profile(row)?));
    }
    if let Some((_, last)) = present.last_mut() {
        last.durable.reports.extend(decode::report(row, decode::REPORT)?);
    }
    Ok(())
}

/// One that can't be understood is left out as well.
async fn load_heartbeats(transaction: &Transaction<'_>) -> Result<Vec<(NodeName, Heartbeat)>, Failure> {
    let select =
        "SELECT node, wall, ceiling, clean, incarnation, resumes_from FROM heartbeat LEFT JOIN history USING (node)
         ORDER BY node";
    let mut heartbeats = Vec::new();
    for row in transaction.query(select, &[]).await? {
        match decode_heartbeat(&row) {
            Ok(heartbeat) => heartbeats.push(heartbeat),
            Err(failure) => {
                let node: &str = row.try_get(0)?;
                tracing::warn!(?node, error = %failure.text, "left out a heartbeat that can't be understood");
            }
        }
    }
    Ok(heartbeats)
}

fn decode_heartbeat(row: &SqlRow) -> Result<(NodeName, Heartbeat), Failure> {
    let (clean, ceiling): (bool, Revision) = (row.try_get(3)?, decode::revision(row, 2)?);
    let (incarnation, from): (Option<i64>, Option<i64>) = (row.try_get(4)?, row.try_get(5)?);
    let wall = Wall::from_millis(row.try_get(1)?);
    let heartbeat = Heartbeat::stored(wall, ceiling, clean, incarnation.zip(from));
    Ok((NodeName::new(row.try_get(0)?), heartbeat))
}

/// One pass over the table, as the users that are present take. A user whose id can't be understood was told to nobody.
async fn load_past_changes(transaction: &Transaction<'_>, mut history: History) -> Result<PastChanges, Failure> {
    let select = "SELECT user_id, revision FROM profile WHERE revision > $1 ORDER BY revision DESC LIMIT $2";
    let limit = i64::from(PAST_CHANGES_MAX);
    let rows = transaction
        .query(select, &[&stored(history.from.get()), &limit])
        .await?;
    let mut changed = Vec::with_capacity(rows.len());
    for row in &rows {
        let revision = Revision::new(decode::number(row, 1)?);
        changed.extend(decode::user(row, 0).ok().map(|user| (user, revision)));
        history.from = match rows.len() == PAST_CHANGES_MAX as usize {
            true => revision,
            false => history.from,
        };
    }
    changed.reverse();
    let last = transaction
        .query_one("SELECT coalesce(max(revision), 0) FROM tombstone", &[])
        .await?;
    Ok(PastChanges {
        history,
        changed,
        removed_to: Revision::new(decode::number(&last, 0)?),
    })
}
