//! Writes that are not of the durable part, and the SQL that does them. Each is done within a savepoint of its own, by the
//! writer's thread.
//!
//! Nothing here depends on the order of two writes of different tasks: statuses carry their revision, times only move
//! forward, and what is older than what is stored changes nothing. A statement that must change a row and doesn't is an
//! error: what it was to store would be acknowledged and lost.

use std::borrow::Cow;

use presence::{History, NodeName, UserId, Wall};
use rusqlite::{Connection, named_params};

use super::forget::forget;
use super::marks;
use super::tombstones::Tombstones;
use crate::store::write_request::PlainWrite;
use crate::store::{Access, ExpiredReport, HEARTBEAT_KEPT, Heartbeat, StatusRow};

/// One for each user who comes or goes: its parameters have numbers, which SQLite need not look up.
pub(super) const SAVE_STATUS: &str =
    "INSERT INTO profile (user_id, status, since, connected_on, last_seen, last_active, revision)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
     ON CONFLICT (user_id) DO UPDATE SET
       status = iif(excluded.revision >= revision, excluded.status, status),
       since = iif(excluded.revision >= revision, excluded.since, since),
       connected_on = iif(excluded.revision >= revision, excluded.connected_on, connected_on),
       last_seen = max(ifnull(last_seen, excluded.last_seen), ifnull(excluded.last_seen, last_seen)),
       last_active = max(ifnull(last_active, excluded.last_active), ifnull(excluded.last_active, last_active)),
       revision = max(revision, excluded.revision)";

/// Why one request was not done, though the database is in order.
#[derive(Debug)]
pub(super) enum WriteFailure {
    Sql(rusqlite::Error),
    /// A tombstone covers the write.
    Forgotten,
}

impl From<rusqlite::Error> for WriteFailure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl PlainWrite {
    /// Does it, within the transaction and the savepoint that are open.
    pub(super) fn apply(
        self,
        connection: &Connection,
        tombstones: &mut Tombstones,
        access: Access,
    ) -> Result<(), WriteFailure> {
        match self {
            Self::Forget { user, revision, now } => {
                let version = forget(connection, &user)?;
                Ok(tombstones.add(connection, &user, (revision, version), now)?)
            }
            Self::Statuses(rows) => Ok(save_statuses(connection, &rows, *tombstones)?),
            Self::Expired(expired) => Ok(expire_reports(connection, &expired, access)?),
            Self::Published(versions) => {
                for (user, version) in &versions {
                    marks::clear(connection, user, *version)?;
                }
                Ok(())
            }
            Self::Heartbeat { node, heartbeat } => {
                save_heartbeat(connection, &node, heartbeat)?;
                Ok(save_history(connection, &node, heartbeat.history)?)
            }
            Self::Barrier => Ok(()),
        }
    }
}

/// Revisions and versions stay below 2^63; one that SQLite can't hold is a bug of the caller and fails alone.
pub(super) fn stored(number: u64) -> rusqlite::Result<i64> {
    i64::try_from(number).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

pub(super) fn millis(time: Option<Wall>) -> Option<i64> {
    time.map(Wall::as_millis)
}

/// The statement changed its one row.
pub(super) fn one_row(changed: usize) -> rusqlite::Result<()> {
    match changed {
        1 => Ok(()),
        other => Err(rusqlite::Error::StatementChangedRows(other)),
    }
}

fn save_statuses(connection: &Connection, rows: &[StatusRow], tombstones: Tombstones) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(SAVE_STATUS)?;
    for row in rows {
        if tombstones.covers(connection, &row.user, row.revision)? {
            continue;
        }
        if let Some(latest) = row.clamp_to {
            clamp_times(connection, &row.user, latest)?;
        }
        let changed = statement.execute((
            row.user.as_str(),
            row.status.as_str(),
            millis(row.since),
            encode_nodes(&row.connected_on)?,
            millis(row.last_seen),
            millis(row.last_active),
            stored(row.revision.get())?,
        ))?;
        one_row(changed)?;
        if let Some(version) = row.published {
            marks::set(connection, &row.user, version)?;
        }
    }
    Ok(())
}

/// Takes the times of a user back that are later. A report is to hold for as long as before.
fn clamp_times(connection: &Connection, user: &UserId, latest: Wall) -> rusqlite::Result<()> {
    let values = named_params! { ":user": user.as_str(), ":latest": latest.as_millis() };
    let mut statement = connection.prepare_cached(
        "UPDATE profile SET
           since = min(since, :latest), last_seen = min(last_seen, :latest), last_active = min(last_active, :latest),
           custom_set_at = min(custom_set_at, :latest)
         WHERE user_id = :user",
    )?;
    statement.execute(values)?;
    let mut statement = connection.prepare_cached(
        "UPDATE report SET
           since = min(since, :latest), last_active = min(last_active, :latest),
           expires_at = expires_at - (heard - min(heard, :latest)), heard = min(heard, :latest)
         WHERE user_id = :user",
    )?;
    statement.execute(values)?;
    Ok(())
}

fn encode_nodes(nodes: &[NodeName]) -> rusqlite::Result<Cow<'static, str>> {
    if nodes.is_empty() {
        return Ok(Cow::Borrowed("[]"));
    }
    let text = serde_json::to_string(nodes).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    Ok(Cow::Owned(text))
}

fn expire_reports(connection: &Connection, expired: &[ExpiredReport], access: Access) -> rusqlite::Result<()> {
    let mut delete = connection
        .prepare_cached("DELETE FROM report WHERE user_id = :user AND source = :source AND version = :version")?;
    let mut raise = connection.prepare_cached("UPDATE profile SET version = version + 1 WHERE user_id = :user")?;
    for report in expired {
        let deleted = delete.execute(named_params! {
            ":user": report.user.as_str(),
            ":source": report.source.as_str(),
            ":version": stored(report.version.get())?,
        })?;
        if deleted > 0 {
            one_row(raise.execute(named_params! { ":user": report.user.as_str() })?)?;
            if access == Access::Shared {
                marks::add(connection, &report.user)?;
            }
        }
    }
    Ok(())
}

fn save_heartbeat(connection: &Connection, node: &NodeName, heartbeat: Heartbeat) -> rusqlite::Result<()> {
    let ceiling = stored(heartbeat.ceiling)?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO heartbeat (node, wall, ceiling, clean) VALUES (:node, :wall, :ceiling, :clean)
         ON CONFLICT (node) DO UPDATE SET
           wall = excluded.wall, ceiling = max(ceiling, excluded.ceiling), clean = excluded.clean",
    )?;
    let changed = statement.execute(named_params! {
        ":node": node.as_str(),
        ":wall": heartbeat.wall.as_millis(),
        ":ceiling": ceiling,
        ":clean": heartbeat.clean,
    })?;
    one_row(changed)?;
    let kept = i64::try_from(HEARTBEAT_KEPT.as_millis()).unwrap_or(i64::MAX);
    let mut statement = connection
        .prepare_cached("DELETE FROM heartbeat WHERE node <> :node AND wall < :before AND ceiling < :ceiling")?;
    statement.execute(named_params! {
        ":node": node.as_str(),
        ":before": heartbeat.wall.as_millis().saturating_sub(kept),
        ":ceiling": ceiling,
    })?;
    Ok(())
}

fn save_history(connection: &Connection, node: &NodeName, history: Option<History>) -> rusqlite::Result<()> {
    // A node that is gone leaves its history for as long as its heartbeat.
    let mut statement = connection
        .prepare_cached("DELETE FROM history WHERE node = :node OR node NOT IN (SELECT node FROM heartbeat)")?;
    statement.execute(named_params! { ":node": node.as_str() })?;
    let Some(history) = history else { return Ok(()) };
    let mut statement = connection
        .prepare_cached("INSERT INTO history (node, incarnation, resumes_from) VALUES (:node, :incarnation, :from)")?;
    statement.execute(named_params! {
        ":node": node.as_str(),
        ":incarnation": history.incarnation.cast_signed(),
        ":from": stored(history.from.get())?,
    })?;
    Ok(())
}
