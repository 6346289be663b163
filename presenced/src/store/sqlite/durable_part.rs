//! Writes of the durable part, and the SQL that does them. Each is done within a savepoint of its own, by the writer's
//! thread, and answers with the whole part as it is then: the version orders writes of different nodes, so a caller must
//! learn what came before its own.

use presence::{Revision, Source, UserId};
use rusqlite::{Connection, named_params};

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

/// The whole part: as many rows as there are reports, one if there is none. The statements that write do not return it: for
/// `RETURNING` SQLite makes a temporary table, which takes longer than this.
pub(super) const SELECT_PART: &str = concat!(
    "SELECT ",
    durable_columns!(),
    ", ",
    report_columns!(),
    " FROM profile LEFT JOIN report ON report.user_id = profile.user_id WHERE profile.user_id = ?1 ORDER BY source"
);
/// Where the columns of the report begin in [`SELECT_PART`].
const REPORT: usize = 5;

pub(super) const SAVE_PREFERENCE: &str = concat!(
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
    ", revision = max(revision, excluded.revision)"
);

/// Moves the times by a report. Makes the profile if there is none: a user known by reports alone has one too.
pub(super) const RAISE_VERSION: &str = concat!(
    "INSERT INTO profile (user_id, last_seen, last_active, version)
     VALUES (:user, :last_seen, :last_active, :proposed + 1)
     ON CONFLICT (user_id) DO UPDATE SET
       last_seen = max(ifnull(last_seen, excluded.last_seen), excluded.last_seen),
       last_active = max(ifnull(last_active, excluded.last_active), ifnull(excluded.last_active, last_active)),
       version = ",
    next_version!()
);

const RAISE_KNOWN_VERSION: &str = concat!(
    "UPDATE profile SET version = ",
    next_version!(),
    " WHERE user_id = :user"
);

/// The version of the report is the one that its user has by now.
pub(super) const SAVE_REPORT: &str =
    "INSERT INTO report (user_id, source, status, since, heard, version, last_active, expires_at, said)
     SELECT :user, :source, :status, :since, :heard, version, :last_active, :expires_at, ifnull(:said, version)
     FROM profile WHERE user_id = :user
     ON CONFLICT (user_id, source) DO UPDATE SET
       status = excluded.status, since = excluded.since, heard = excluded.heard, version = excluded.version,
       last_active = excluded.last_active, expires_at = excluded.expires_at, said = excluded.said
     WHERE report.version < excluded.version";

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
        let mut is_changed = true;
        match change {
            DurableChange::ForgetOlder { revision, now } => {
                let (older, at) = ((&user, proposed), (revision, now));
                return Ok(forget_older(connection, tombstones, older, at)?);
            }
            DurableChange::Preference { revision, .. } if tombstones.covers(connection, &user, revision)? => {
                return Err(WriteFailure::Forgotten);
            }
            DurableChange::Preference { preference, revision } => {
                save_preference(connection, &user, proposed, preference, revision)?;
            }
            DurableChange::Report { report, times } => {
                raise_version(connection, &user, proposed, times)?;
                save_report(connection, &user, &report)?;
            }
            DurableChange::EndReport { source, times } => {
                raise_version(connection, &user, proposed, times)?;
                is_changed = delete_report(connection, &user, &source)?;
            }
            DurableChange::EndReports => {
                if !raise_known_version(connection, &user, proposed)? {
                    return Ok(DurableRow::default());
                }
                delete_reports(connection, &user)?;
            }
        }
        if access == Access::Shared && is_changed {
            marks::add(connection, &user)?;
        }
        Ok(load_part(connection, &user)?)
    }
}

fn save_preference(
    connection: &Connection,
    user: &UserId,
    proposed: i64,
    preference: NewPreference,
    revision: Revision,
) -> rusqlite::Result<()> {
    let changed = connection.prepare_cached(SAVE_PREFERENCE)?.execute(named_params! {
        ":user": user.as_str(),
        ":custom": preference.custom.as_str(),
        ":set_at": preference.set_at.as_millis(),
        ":set_by": preference.set_by.as_str(),
        ":proposed": proposed,
        ":revision": stored(revision.get())?,
    })?;
    one_row(changed)
}

fn raise_version(connection: &Connection, user: &UserId, proposed: i64, times: ReportTimes) -> rusqlite::Result<()> {
    let changed = connection.prepare_cached(RAISE_VERSION)?.execute(named_params! {
        ":user": user.as_str(),
        ":last_seen": times.last_seen.as_millis(),
        ":last_active": millis(times.last_active),
        ":proposed": proposed,
    })?;
    one_row(changed)
}

/// Whether the user is stored.
fn raise_known_version(connection: &Connection, user: &UserId, proposed: i64) -> rusqlite::Result<bool> {
    let parameters = named_params! { ":user": user.as_str(), ":proposed": proposed };
    let raised = connection.prepare_cached(RAISE_KNOWN_VERSION)?.execute(parameters)?;
    Ok(raised > 0)
}

fn save_report(connection: &Connection, user: &UserId, report: &NewReport) -> rusqlite::Result<()> {
    let said = report.said.map(|said| stored(said.get())).transpose()?;
    let changed = connection.prepare_cached(SAVE_REPORT)?.execute(named_params! {
        ":user": user.as_str(),
        ":source": report.source.as_str(),
        ":status": report.status.as_str(),
        ":since": report.since.as_millis(),
        ":heard": report.heard.as_millis(),
        ":last_active": millis(report.last_active),
        ":expires_at": millis(report.expires_at),
        ":said": said,
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

/// The durable part of a user that is stored.
pub(super) fn load_part(connection: &Connection, user: &UserId) -> rusqlite::Result<DurableRow> {
    let mut statement = connection.prepare_cached(SELECT_PART)?;
    let mut rows = statement.query([user.as_str()])?;
    let mut found: Option<DurableRow> = None;
    while let Some(row) = rows.next()? {
        let part = match found.take() {
            Some(part) => part,
            None => decode::durable_part(row, 0)?,
        };
        found.insert(part).reports.extend(decode::report(row, REPORT)?);
    }
    found.ok_or(rusqlite::Error::QueryReturnedNoRows)
}
