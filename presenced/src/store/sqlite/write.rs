//! What can be written, and the SQL that does it. Each is done within a savepoint of its own, by the writer's thread.
//!
//! Nothing here depends on the order of two writes of different tasks: custom statuses carry their moment, statuses their
//! revision, times only move forward, and what is older than what is on disk changes nothing.

use presence::{Preference, Revision, Source, UserId, Wall};
use rusqlite::{Connection, named_params};

use super::row::{ExpiredReport, Heartbeat, ReportRow, ReportTimes, StatusRow};
use super::tombstones::Tombstones;

/// One request to write.
#[derive(Debug)]
pub(super) enum Write {
    /// The user, or an operator, chose.
    Preference {
        user: UserId,
        preference: Preference,
        revision: Revision,
    },
    /// A report was opened or refreshed.
    Report {
        user: UserId,
        report: ReportRow,
        times: ReportTimes,
    },
    /// A report was ended by its source.
    EndReport {
        user: UserId,
        source: Source,
        times: ReportTimes,
    },
    /// All reports of a user were ended by an operator.
    EndReports { user: UserId },
    /// A user was forgotten.
    Forget { user: UserId, revision: Revision },
    /// Statuses and times, written behind.
    Statuses(Vec<StatusRow>),
    /// Reports whose time was up, written behind.
    Expired(Vec<ExpiredReport>),
    /// What the daemon leaves for its next start.
    Heartbeat(Heartbeat),
}

/// Why one request was not done, though the database is in order.
#[derive(Debug)]
pub(super) enum Failure {
    /// SQLite said no.
    Sql(rusqlite::Error),
    /// The user was forgotten meanwhile.
    Forgotten,
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl Write {
    /// How much of a transaction it takes up.
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Statuses(rows) => rows.len(),
            Self::Expired(gone) => gone.len(),
            _ => 1,
        }
    }

    /// Does it, within the transaction and the savepoint that are open.
    pub(super) fn apply(self, connection: &Connection, tombstones: &mut Tombstones) -> Result<(), Failure> {
        match self {
            Self::Preference { user, revision, .. } if tombstones.is_late(&user, revision) => Err(Failure::Forgotten),
            Self::Preference {
                user,
                preference,
                revision,
            } => Ok(save_preference(connection, &user, &preference, revision)?),
            Self::Report { user, report, times } => Ok(save_report(connection, &user, &report, times)?),
            Self::EndReport { user, source, times } => Ok(end_report(connection, &user, &source, times)?),
            Self::EndReports { user } => Ok(end_reports(connection, &user)?),
            Self::Forget { user, revision } => {
                forget(connection, &user)?;
                tombstones.stage(user, revision);
                Ok(())
            }
            Self::Statuses(rows) => Ok(save_statuses(connection, &rows, tombstones)?),
            Self::Expired(gone) => Ok(expire_reports(connection, &gone)?),
            Self::Heartbeat(heartbeat) => Ok(save_heartbeat(connection, heartbeat)?),
        }
    }
}

/// Revisions stay below 2^53; one that SQLite can't hold is a bug of the caller and fails alone.
fn stored(revision: u64) -> rusqlite::Result<i64> {
    i64::try_from(revision).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

fn millis(time: Option<Wall>) -> Option<i64> {
    time.map(Wall::as_millis)
}

fn save_preference(
    connection: &Connection,
    user: &UserId,
    preference: &Preference,
    revision: Revision,
) -> rusqlite::Result<()> {
    // The revision moves even if the custom status is older than the one on disk: it was told to someone.
    let mut statement = connection.prepare_cached(
        "INSERT INTO profile (user_id, custom_status, custom_set_at, custom_set_by, revision)
         VALUES (:user, :custom, :set_at, :set_by, :revision)
         ON CONFLICT (user_id) DO UPDATE SET
           custom_status = iif(custom_set_at > ifnull(excluded.custom_set_at, 0), custom_status, excluded.custom_status),
           custom_set_by = iif(custom_set_at > ifnull(excluded.custom_set_at, 0), custom_set_by, excluded.custom_set_by),
           custom_set_at = iif(custom_set_at > ifnull(excluded.custom_set_at, 0), custom_set_at, excluded.custom_set_at),
           revision = max(revision, excluded.revision)",
    )?;
    statement.execute(named_params! {
        ":user": user.as_str(),
        ":custom": preference.custom.as_str(),
        ":set_at": millis(preference.set_at),
        ":set_by": preference.set_by.map(presence::Actor::as_str),
        ":revision": stored(revision.get())?,
    })?;
    Ok(())
}

fn save_report(connection: &Connection, user: &UserId, report: &ReportRow, times: ReportTimes) -> rusqlite::Result<()> {
    save_times(connection, user, times)?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO report (user_id, source, status, since, heard, ordered_at, last_active, expires_at)
         VALUES (:user, :source, :status, :since, :heard, :ordered_at, :last_active, :expires_at)
         ON CONFLICT (user_id, source) DO UPDATE SET
           status = excluded.status, since = excluded.since, heard = excluded.heard,
           ordered_at = excluded.ordered_at, last_active = excluded.last_active, expires_at = excluded.expires_at
         WHERE excluded.heard >= heard",
    )?;
    statement.execute(named_params! {
        ":user": user.as_str(),
        ":source": report.source.as_str(),
        ":status": report.status.as_str(),
        ":since": report.since.as_millis(),
        ":heard": report.heard.as_millis(),
        ":ordered_at": report.order.as_millis(),
        ":last_active": millis(report.last_active),
        ":expires_at": millis(report.expires_at),
    })?;
    Ok(())
}

/// Makes the profile if there is none: a user known by reports alone has one too.
fn save_times(connection: &Connection, user: &UserId, times: ReportTimes) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO profile (user_id, last_seen, last_active) VALUES (:user, :last_seen, :last_active)
         ON CONFLICT (user_id) DO UPDATE SET
           last_seen = max(ifnull(last_seen, excluded.last_seen), excluded.last_seen),
           last_active = max(ifnull(last_active, excluded.last_active), ifnull(excluded.last_active, last_active))",
    )?;
    statement.execute(named_params! {
        ":user": user.as_str(),
        ":last_seen": times.last_seen.as_millis(),
        ":last_active": millis(times.last_active),
    })?;
    Ok(())
}

fn end_report(connection: &Connection, user: &UserId, source: &Source, times: ReportTimes) -> rusqlite::Result<()> {
    save_times(connection, user, times)?;
    let mut statement = connection.prepare_cached("DELETE FROM report WHERE user_id = :user AND source = :source")?;
    statement.execute(named_params! { ":user": user.as_str(), ":source": source.as_str() })?;
    Ok(())
}

fn end_reports(connection: &Connection, user: &UserId) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("DELETE FROM report WHERE user_id = :user")?;
    statement.execute(named_params! { ":user": user.as_str() })?;
    Ok(())
}

fn forget(connection: &Connection, user: &UserId) -> rusqlite::Result<()> {
    // The reports go with the profile.
    let mut statement = connection.prepare_cached("DELETE FROM profile WHERE user_id = :user")?;
    statement.execute(named_params! { ":user": user.as_str() })?;
    Ok(())
}

fn save_statuses(connection: &Connection, rows: &[StatusRow], tombstones: &Tombstones) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO profile (user_id, status, since, connected, last_seen, last_active, revision)
         VALUES (:user, :status, :since, :connected, :last_seen, :last_active, :revision)
         ON CONFLICT (user_id) DO UPDATE SET
           status = iif(excluded.revision >= revision, excluded.status, status),
           since = iif(excluded.revision >= revision, excluded.since, since),
           connected = iif(excluded.revision >= revision, excluded.connected, connected),
           last_seen = max(ifnull(last_seen, excluded.last_seen), ifnull(excluded.last_seen, last_seen)),
           last_active = max(ifnull(last_active, excluded.last_active), ifnull(excluded.last_active, last_active)),
           revision = max(revision, excluded.revision)",
    )?;
    for row in rows.iter().filter(|row| !tombstones.is_late(&row.user, row.revision)) {
        statement.execute(named_params! {
            ":user": row.user.as_str(),
            ":status": row.status.as_str(),
            ":since": millis(row.since),
            ":connected": row.connected,
            ":last_seen": millis(row.last_seen),
            ":last_active": millis(row.last_active),
            ":revision": stored(row.revision.get())?,
        })?;
    }
    Ok(())
}

fn expire_reports(connection: &Connection, gone: &[ExpiredReport]) -> rusqlite::Result<()> {
    let mut statement = connection
        .prepare_cached("DELETE FROM report WHERE user_id = :user AND source = :source AND heard <= :heard")?;
    for report in gone {
        statement.execute(named_params! {
            ":user": report.user.as_str(),
            ":source": report.source.as_str(),
            ":heard": report.heard.as_millis(),
        })?;
    }
    Ok(())
}

fn save_heartbeat(connection: &Connection, heartbeat: Heartbeat) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO mark (id, wall, ceiling, clean) VALUES (1, :wall, :ceiling, :clean)
         ON CONFLICT (id) DO UPDATE SET
           wall = excluded.wall, ceiling = max(ceiling, excluded.ceiling), clean = excluded.clean",
    )?;
    statement.execute(named_params! {
        ":wall": heartbeat.wall.as_millis(),
        ":ceiling": stored(heartbeat.ceiling)?,
        ":clean": heartbeat.clean,
    })?;
    Ok(())
}
