//! The threads that read, each with a connection of its own that can't write. They never wait for the writer.

use presence::profile::Stored;
use presence::{CustomStatus, Preference, Revision, UserId, Wall};
use rusqlite::types::FromSqlError;
use rusqlite::{Connection, OptionalExtension as _};
use tokio::sync::oneshot;

use super::StoreError;
use super::health::{Health, Step};
use super::queue::Queue;
use super::row::{Heartbeat, ReportRow, Row, Startup};

/// A user and one of its reports: as many rows as there are reports, one if there is none.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT profile.user_id, profile.status, profile.since, connected, custom_status, custom_set_at,
               custom_set_by, last_seen, profile.last_active, revision,
               source, report.status, report.since, heard, ordered_at, report.last_active, expires_at
             FROM profile LEFT JOIN report ON report.user_id = profile.user_id ",
            $rest
        )
    };
}

/// What a caller is answered: a row, or none, for each user asked for.
pub(super) type Answer = Result<Vec<Option<Row>>, StoreError>;

/// A request that waits.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) users: Vec<UserId>,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// One thread: reads until the queue is closed and empty.
pub(super) fn run(connection: &Connection, queue: &Queue<Job>, health: &Health) {
    while let Some(job) = queue.pop() {
        // A caller that has given up is not worth the disk's time.
        if job.answer.is_closed() {
            continue;
        }
        let all = || {
            job.users
                .iter()
                .map(|user| load(connection, user))
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        let rows = health.seam.pass(Step::Read).and_then(|()| all());
        health.seam.answer();
        let _ = job.answer.send(rows.map_err(|error| health.read_failed(&error)));
    }
}

/// All that is known of a user. One statement, so that profile and reports are of one moment.
fn load(connection: &Connection, user: &UserId) -> rusqlite::Result<Option<Row>> {
    let mut statement = connection.prepare_cached(select!("WHERE profile.user_id = ?1 ORDER BY source"))?;
    let mut rows = statement.query([user.as_str()])?;
    let mut found: Option<Row> = None;
    while let Some(row) = rows.next()? {
        let known = match found.take() {
            Some(known) => known,
            None => decode_profile(row)?,
        };
        let known = found.insert(known);
        known.reports.extend(decode_report(row)?);
    }
    Ok(found)
}

/// What a start needs. A row that can't be understood is left out and logged: it must not keep everyone else waiting.
pub(super) fn load_startup(connection: &Connection) -> rusqlite::Result<Startup> {
    let mut statement = connection.prepare(select!(
        "WHERE connected = 1 OR report.user_id IS NOT NULL ORDER BY profile.user_id, source"
    ))?;
    let mut rows = statement.query([])?;
    let mut present: Vec<(UserId, Row)> = Vec::new();
    while let Some(row) = rows.next()? {
        if let Err(error) = add_present(row, &mut present) {
            tracing::warn!(user = ?row.get_ref(0)?, %error, "left out a row of the database that can't be understood");
        }
    }
    Ok(Startup {
        heartbeat: load_heartbeat(connection)?,
        present,
    })
}

fn add_present(row: &rusqlite::Row<'_>, present: &mut Vec<(UserId, Row)>) -> rusqlite::Result<()> {
    let user: UserId = word(row, 0)?;
    if present.last().is_none_or(|(last, _)| *last != user) {
        present.push((user, decode_profile(row)?));
    }
    if let Some((_, last)) = present.last_mut() {
        last.reports.extend(decode_report(row)?);
    }
    Ok(())
}

fn load_heartbeat(connection: &Connection) -> rusqlite::Result<Option<Heartbeat>> {
    let mut statement = connection.prepare("SELECT wall, ceiling, clean FROM mark")?;
    let heartbeat = statement.query_row([], |row| {
        Ok(Heartbeat {
            wall: Wall::from_millis(row.get(0)?),
            ceiling: number(row, 1)?,
            clean: row.get(2)?,
        })
    });
    heartbeat.optional()
}

fn decode_profile(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let set_by: Option<String> = row.get(6)?;
    Ok(Row {
        stored: Stored {
            preference: Preference {
                custom: word(row, 4)?,
                set_at: time(row, 5)?,
                set_by: set_by.map(|_| word(row, 6)).transpose()?,
            },
            reports: Vec::new(),
            status: word(row, 1)?,
            since: time(row, 2)?,
            last_seen: time(row, 7)?,
            last_active: time(row, 8)?,
            revision: Revision::new(number(row, 9)?),
        },
        reports: Vec::new(),
        connected: row.get(3)?,
    })
}

fn decode_report(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<ReportRow>> {
    if row.get_ref(10)? == rusqlite::types::ValueRef::Null {
        return Ok(None);
    }
    let status: CustomStatus = word(row, 11)?;
    Ok(Some(ReportRow {
        source: word(row, 10)?,
        status,
        since: Wall::from_millis(row.get(12)?),
        heard: Wall::from_millis(row.get(13)?),
        order: Wall::from_millis(row.get(14)?),
        last_active: time(row, 15)?,
        expires_at: time(row, 16)?,
    }))
}

fn time(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Option<Wall>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Wall::from_millis))
}

fn number(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

fn word<T>(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let value = row.get_ref(column)?;
    let text = value.as_str()?;
    text.parse().map_err(|error| FromSqlError::other(error).into())
}
