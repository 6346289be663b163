//! Writes of the durable part, and the SQL that does them. Each is done within a savepoint of its own, by the writer's
//! thread, and answers with the whole part as it is then: the version orders writes of different nodes, so a caller must
//! learn what came before its own.

use presence::{Revision, Source, UserId, Version};
use rusqlite::{Connection, OptionalExtension as _, named_params};

use super::decode::{self, durable_columns, report_columns};
use super::forget::forget_older;
use super::marks;
use super::statements::{WriteFailure, millis, one_row, stored};
use super::tombstones::Tombstones;
use crate::store::write_request::{DurableChange, DurableWrite};
use crate::store::{Access, DurableRow, NewPreference, NewReport, ReportTimes};

/// The version after a write, for `DO UPDATE SET` and `UPDATE`, where columns have their values from before.
macro_rules! next_version {
    () => {
        "max(profile.version, :proposed) + 1"
    };
}

pub(super) const SELECT_REPORTS: &str = concat!(
    "SELECT ",
    report_columns!(),
    " FROM report WHERE user_id = ?1 ORDER BY source"
);

impl DurableWrite {
    /// Does it, within the transaction and the savepoint that are open.
    pub(super) fn apply(
        self,
        connection: &Connection,
        tombstones: &mut Tombstones,
        access: Access,
    ) -> Result<DurableRow, WriteFailure> {
        let Self { user, proposed, change } = self;
        let proposed = match &change {
            DurableChange::ForgetOlder { .. } => stored(proposed.get())?,
            // A user that was forgotten goes on above its last version.
            _ => stored(proposed.get())?.max(tombstones.version(connection, &user)?),
        };
        let mut part = match &change {
            DurableChange::ForgetOlder { revision, now } => {
                return Ok(forget_older(
                    connection,
                    tombstones,
                    (&user, proposed),
                    (*revision, *now),
                )?);
            }
            DurableChange::Preference { revision, .. } if tombstones.covers(connection, &user, *revision)? => {
                return Err(WriteFailure::Forgotten);
            }
            DurableChange::Preference { preference, revision } => {
                save_preference(connection, &user, proposed, *preference, *revision)?
            }
            DurableChange::Report { times, .. } | DurableChange::EndReport { times, .. } => {
                raise_version(connection, &user, proposed, *times)?
            }
            DurableChange::EndReports => match raise_known_version(connection, &user, proposed)? {
                Some(part) => part,
                None => return Ok(DurableRow::default()),
            },
        };
        let mut is_changed = true;
        match change {
            DurableChange::Preference { .. } | DurableChange::ForgetOlder { .. } => {}
            DurableChange::Report { report, .. } => save_report(connection, &user, &report, part.version)?,
            DurableChange::EndReport { source, .. } => is_changed = delete_report(connection, &user, &source)?,
            DurableChange::EndReports => delete_reports(connection, &user)?,
        }
        if access == Access::Shared && is_changed {
            marks::add(connection, &user)?;
        }
        load_reports(connection, &user, &mut part)?;
        Ok(part)
    }
}

fn save_preference(
    connection: &Connection,
    user: &UserId,
    proposed: i64,
    preference: NewPreference,
    revision: Revision,
) -> rusqlite::Result<DurableRow> {
    let mut statement = connection.prepare_cached(concat!(
        "INSERT INTO profile (user_id, custom_status, custom_set_at, custom_set_by, custom_version, version, revision)
         VALUES (:user, :custom, :set_at, :set_by, :proposed + 1, :proposed + 1, :revision)
         ON CONFLICT (user_id) DO UPDATE SET
           custom_status = excluded.custom_status,
           custom_set_at = excluded.custom_set_at,
           custom_set_by = excluded.custom_set_by,
           custom_version = ",
        next_version!(),
        ", version = ",
        next_version!(),
        ", revision = max(revision, excluded.revision) RETURNING ",
        durable_columns!()
    ))?;
    let parameters = named_params! {
        ":user": user.as_str(),
        ":custom": preference.custom.as_str(),
        ":set_at": preference.set_at.as_millis(),
        ":set_by": preference.set_by.as_str(),
        ":proposed": proposed,
        ":revision": stored(revision.get())?,
    };
    statement.query_row(parameters, |row| decode::durable_part(row, 0))
}

/// Moves the times by a report. Makes the profile if there is none: a user known by reports alone has one too.
fn raise_version(
    connection: &Connection,
    user: &UserId,
    proposed: i64,
    times: ReportTimes,
) -> rusqlite::Result<DurableRow> {
    let mut statement = connection.prepare_cached(concat!(
        "INSERT INTO profile (user_id, last_seen, last_active, version)
         VALUES (:user, :last_seen, :last_active, :proposed + 1)
         ON CONFLICT (user_id) DO UPDATE SET
           last_seen = max(ifnull(last_seen, excluded.last_seen), excluded.last_seen),
           last_active = max(ifnull(last_active, excluded.last_active), ifnull(excluded.last_active, last_active)),
           version = ",
        next_version!(),
        " RETURNING ",
        durable_columns!()
    ))?;
    let parameters = named_params! {
        ":user": user.as_str(),
        ":last_seen": times.last_seen.as_millis(),
        ":last_active": millis(times.last_active),
        ":proposed": proposed,
    };
    statement.query_row(parameters, |row| decode::durable_part(row, 0))
}

fn raise_known_version(connection: &Connection, user: &UserId, proposed: i64) -> rusqlite::Result<Option<DurableRow>> {
    let mut statement = connection.prepare_cached(concat!(
        "UPDATE profile SET version = ",
        next_version!(),
        " WHERE user_id = :user RETURNING ",
        durable_columns!()
    ))?;
    let parameters = named_params! { ":user": user.as_str(), ":proposed": proposed };
    let part = statement.query_row(parameters, |row| decode::durable_part(row, 0));
    part.optional()
}

fn save_report(connection: &Connection, user: &UserId, report: &NewReport, version: Version) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO report (user_id, source, status, since, heard, version, last_active, expires_at, said)
         VALUES (:user, :source, :status, :since, :heard, :version, :last_active, :expires_at, :said)
         ON CONFLICT (user_id, source) DO UPDATE SET
           status = excluded.status, since = excluded.since, heard = excluded.heard, version = excluded.version,
           last_active = excluded.last_active, expires_at = excluded.expires_at, said = excluded.said
         WHERE report.version < excluded.version",
    )?;
    let changed = statement.execute(named_params! {
        ":user": user.as_str(),
        ":source": report.source.as_str(),
        ":status": report.status.as_str(),
        ":since": report.since.as_millis(),
        ":heard": report.heard.as_millis(),
        ":version": stored(version.get())?,
        ":last_active": millis(report.last_active),
        ":expires_at": millis(report.expires_at),
        ":said": stored(report.said.unwrap_or(version).get())?,
    })?;
    one_row(changed)
}

/// Whether there was one.
fn delete_report(connection: &Connection, user: &UserId, source: &Source) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached("DELETE FROM report WHERE user_id = :user AND source = :source")?;
    let deleted = statement.execute(named_params! { ":user": user.as_str(), ":source": source.as_str() })?;
    Ok(deleted > 0)
}

fn delete_reports(connection: &Connection, user: &UserId) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("DELETE FROM report WHERE user_id = :user")?;
    statement.execute(named_params! { ":user": user.as_str() })?;
    Ok(())
}

pub(super) fn load_reports(connection: &Connection, user: &UserId, part: &mut DurableRow) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(SELECT_REPORTS)?;
    let mut rows = statement.query([user.as_str()])?;
    while let Some(row) = rows.next()? {
        part.reports.extend(decode::report(row, 0)?);
    }
    Ok(())
}
