//! Deletes users, or what was written about them before they were forgotten.

use presence::{Revision, UserId, Version, Wall};
use rusqlite::{Connection, OptionalExtension as _, named_params};

use super::durable_part::load_part;
use super::marks;
use super::statements::{one_row, stored};
use super::tombstones::Tombstones;
use crate::store::DurableRow;

/// Deletes the profile, and the reports with it. The last version; 0 if nothing was stored.
pub(super) fn forget(connection: &Connection, user: &UserId) -> rusqlite::Result<i64> {
    let Some(version) = version(connection, user)? else {
        return Ok(0);
    };
    let mut statement = connection.prepare_cached("DELETE FROM profile WHERE user_id = :user")?;
    one_row(statement.execute(named_params! { ":user": user.as_str() })?)?;
    Ok(version)
}

/// Deletes what is not above the version nor above the revision. The durable part that is left, with a version of its own.
pub(super) fn forget_older(
    connection: &Connection,
    tombstones: &mut Tombstones,
    (user, up_to): (&UserId, i64),
    (revision, now): (Revision, Wall),
) -> rusqlite::Result<DurableRow> {
    let before = version(connection, user)?.unwrap_or(0);
    let is_gone = delete_if_older(connection, user, stored(revision.get())?, up_to)?;
    let version = match is_gone {
        true => before
            .max(up_to)
            .saturating_add(1)
            .max(tombstones.version(connection, user)?),
        false => before,
    };
    tombstones.add(connection, user, (revision, version), now)?;
    if is_gone {
        return Ok(DurableRow {
            version: Version::new(version.cast_unsigned()),
            ..DurableRow::default()
        });
    }
    delete_older_parts(connection, user, stored(revision.get())?, up_to)?;
    load_part(connection, user)
}

fn version(connection: &Connection, user: &UserId) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT version FROM profile WHERE user_id = :user")?;
    let version = statement.query_row(named_params! { ":user": user.as_str() }, |row| row.get(0));
    version.optional()
}

/// Whether there is no profile then.
fn delete_if_older(connection: &Connection, user: &UserId, revision: i64, up_to: i64) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM profile WHERE user_id = :user AND revision <= :revision AND custom_version <= :up_to
           AND NOT EXISTS (SELECT 1 FROM report WHERE report.user_id = :user AND report.version > :up_to)",
    )?;
    statement.execute(named_params! { ":user": user.as_str(), ":revision": revision, ":up_to": up_to })?;
    Ok(version(connection, user)?.is_none())
}

fn delete_older_parts(connection: &Connection, user: &UserId, revision: i64, up_to: i64) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("DELETE FROM report WHERE user_id = :user AND version <= :up_to")?;
    let ended = statement.execute(named_params! { ":user": user.as_str(), ":up_to": up_to })?;
    let mut statement = connection.prepare_cached(
        "UPDATE profile SET custom_status = 'ONLINE', custom_set_at = NULL, custom_set_by = NULL, custom_version = 0
         WHERE user_id = :user AND custom_version BETWEEN 1 AND :up_to",
    )?;
    let reset = statement.execute(named_params! { ":user": user.as_str(), ":up_to": up_to })?;
    // What the reports tell that stay is of after.
    let mut statement = connection.prepare_cached(
        "UPDATE profile SET status = 'OFFLINE', since = NULL, connected_on = '[]',
           last_seen = (SELECT max(heard) FROM report WHERE report.user_id = :user),
           last_active = (SELECT max(report.last_active) FROM report WHERE report.user_id = :user)
         WHERE user_id = :user AND revision <= :revision",
    )?;
    statement.execute(named_params! { ":user": user.as_str(), ":revision": revision })?;
    if ended + reset > 0 {
        let mut statement =
            connection.prepare_cached("UPDATE profile SET version = version + 1 WHERE user_id = :user")?;
        one_row(statement.execute(named_params! { ":user": user.as_str() })?)?;
        marks::add(connection, user)?;
    }
    Ok(())
}
