//! The threads that read, each with a connection of its own that can't write. They never wait for the writer. Single users
//! and lists have threads of their own, so that whoever connects never waits behind somebody else's list.

use std::panic::{AssertUnwindSafe, catch_unwind};

use presence::{History, NodeName, Revision, UserId, Wall};
use rusqlite::Connection;

use super::decode::{self, durable_columns, report_columns, user_columns};
use super::fault_injection::Step;
use super::health::Health;
use super::list;
use super::log_check::LogCheck;
use super::migration;
use super::revocations;
use super::statements::stored;
use super::tombstones;
use crate::store::metrics::FailureKind;
use crate::store::queue::Queue;
use crate::store::read_request::{ReadCaller, ReadJob, ReadLane};
use crate::store::{Access, Heartbeat, LoadedRow, PAST_CHANGES_MAX, PastChanges, Row, Startup, StoreError};

/// All users, in order of their ids.
pub(super) const SELECT_USERS: &str = concat!(
    "SELECT ",
    user_columns!(),
    " FROM profile LEFT JOIN report ON report.user_id = profile.user_id ORDER BY profile.user_id, source"
);
/// A user and its reports: as many rows as there are reports, one if there is none.
pub(super) const SELECT_USER: &str = concat!(
    "SELECT ",
    user_columns!(),
    " FROM profile LEFT JOIN report ON report.user_id = profile.user_id WHERE profile.user_id = ?1 ORDER BY source"
);
/// The same of all users that are present.
const SELECT_PRESENT: &str = concat!(
    "SELECT ",
    user_columns!(),
    " FROM profile LEFT JOIN report ON report.user_id = profile.user_id
     WHERE profile.status <> 'OFFLINE' OR connected_on <> '[]' OR report.user_id IS NOT NULL
     ORDER BY profile.user_id, source"
);

/// Runs one thread of a lane: reads until the queue is closed and empty.
pub(super) fn run(opened: (&Connection, &LogCheck), lane: ReadLane, queue: &Queue<ReadJob>, health: &Health) {
    while let Some(job) = queue.pop() {
        match job.caller {
            // A caller that has given up is not worth the disk's time.
            ReadCaller::Rows(caller) if caller.is_closed() => {}
            ReadCaller::Rows(caller) => {
                let rows = load_each(opened, &job.users, health);
                health.faults.answer(lane, rows.len() as u64);
                let _ = caller.send(rows);
            }
            ReadCaller::Removals(caller) => {
                let removed_at = |user| {
                    opened.1.check_index()?;
                    health.faults.pass(Step::Read)?;
                    tombstones::removed_at(opened.0, user)
                };
                let removal = |user| caught(|| removed_at(user)).map_err(|error| health.read_failed(user, &error));
                let removals: Result<Vec<Option<Revision>>, StoreError> = job.users.iter().map(removal).collect();
                health.faults.answer(lane, job.users.len() as u64);
                let _ = caller.send(removals);
            }
            ReadCaller::Page(_, caller) if caller.is_closed() => {}
            ReadCaller::Page(request, caller) => {
                let page = load_list(opened, health, || list::load_page(opened.0, &request, health));
                health
                    .faults
                    .answer(lane, page.as_ref().map_or(0, |page| page.rows.len() as u64));
                let _ = caller.send(page);
            }
            ReadCaller::Revocations(number, caller) => {
                let read = || revocations::load_after(opened.0, number);
                let _ = caller.send(load_list(opened, health, read));
            }
        }
    }
}

/// Reads what names nobody.
fn load_list<T>(
    (connection, log_check): (&Connection, &LogCheck),
    health: &Health,
    mut load: impl FnMut() -> rusqlite::Result<T>,
) -> Result<T, StoreError> {
    let loaded = caught(|| {
        log_check.check_index()?;
        retrying(connection, || {
            health.faults.pass(Step::Read)?;
            load()
        })
    });
    loaded.map_err(|error| health.list_failed(&error))
}

/// Reads each. After a failure that is not the row's own the rest is not tried: it would fail as well. Several are read in one
/// transaction: to begin one takes as long as to read a user. If it can't begin, each read fails for the same reason.
fn load_each((connection, log_check): (&Connection, &LogCheck), users: &[UserId], health: &Health) -> Vec<LoadedRow> {
    let Some(first) = users.first() else {
        return Vec::new();
    };
    // Once for all of them: it asks the system.
    health.faults.check_index();
    if let Err(error) = log_check.check_index() {
        return vec![Err(health.read_failed(first, &error)); users.len()];
    }
    let mut rows: Vec<LoadedRow> = Vec::with_capacity(users.len());
    let _transaction = (users.len() > 1).then(|| connection.unchecked_transaction());
    for user in users {
        let row = caught(|| {
            retrying(connection, || {
                health.faults.pass(Step::Read)?;
                load(connection, user)
            })
        });
        let row = row.inspect(|_| health.row_read(user));
        rows.push(row.map_err(|error| health.read_failed(user, &error)));
        if let Some(Err(error)) = rows.last()
            && !matches!(error, StoreError::Refused { .. })
        {
            rows.resize(users.len(), Err(error.clone()));
            break;
        }
    }
    rows
}

/// A panic fails the read of one user, as a row that can't be understood does. The thread goes on: nothing of that read is used
/// again, and without its readers a lane would answer nobody any more.
fn caught<T>(read: impl FnOnce() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(rusqlite::Error::ToSqlConversionFailure("the read panicked".into())))
}

/// Reads once more if the disk may have failed for a moment. What it got wrong must not be answered again from the cache.
fn retrying<T>(connection: &Connection, mut load: impl FnMut() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    match load() {
        Err(error) if matches!(FailureKind::of(&error), FailureKind::Io | FailureKind::Damaged) => {
            let _ = connection.execute_batch("PRAGMA shrink_memory");
            load()
        }
        loaded => loaded,
    }
}

/// One statement, so that profile and reports are of one moment.
fn load(connection: &Connection, user: &UserId) -> rusqlite::Result<Option<Row>> {
    let mut statement = connection.prepare_cached(SELECT_USER)?;
    let mut rows = statement.query([user.as_str()])?;
    let mut found: Option<Row> = None;
    while let Some(row) = rows.next()? {
        let known = match found.take() {
            Some(known) => known,
            None => decode::profile(row)?,
        };
        let known = found.insert(known);
        known.durable.reports.extend(decode::report(row, decode::REPORT)?);
    }
    Ok(found)
}

/// A node of a cluster knows from the others who is present and what changed.
pub(super) fn load_startup(connection: &Connection, access: Access) -> rusqlite::Result<Startup> {
    let mut startup = Startup {
        identity: migration::identity(connection)?,
        heartbeats: load_heartbeats(connection)?,
        revocations: revocations::load_all(connection)?,
        ..Startup::default()
    };
    if access == Access::Shared {
        return Ok(startup);
    }
    startup.present = load_present(connection)?;
    if let Some(history) = startup.latest_stored().and_then(|heartbeat| heartbeat.history) {
        startup.past_changes = Some(load_past_changes(connection, history)?);
    }
    Ok(startup)
}

/// A row that can't be understood is left out and logged: it must not keep everyone else waiting.
fn load_present(connection: &Connection) -> rusqlite::Result<Vec<(UserId, Row)>> {
    let mut statement = connection.prepare(SELECT_PRESENT)?;
    let mut rows = statement.query([])?;
    let mut present: Vec<(UserId, Row)> = Vec::new();
    while let Some(row) = rows.next()? {
        if let Err(error) = add_present(row, &mut present) {
            tracing::warn!(user = ?row.get_ref(0)?, %error, "left out a row of the database that can't be understood");
        }
    }
    Ok(present)
}

/// One pass over the table, as the users that are present take. A user whose id can't be understood was told to nobody.
fn load_past_changes(connection: &Connection, mut history: History) -> rusqlite::Result<PastChanges> {
    let mut statement = connection
        .prepare("SELECT user_id, revision FROM profile WHERE revision > ?1 ORDER BY revision DESC LIMIT ?2")?;
    let mut rows = statement.query((stored(history.from.get())?, PAST_CHANGES_MAX))?;
    let (mut changed, mut count) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let revision = Revision::new(decode::number(row, 1)?);
        changed.extend(decode::parsed(row, 0).ok().map(|user: UserId| (user, revision)));
        count += 1;
        if count == PAST_CHANGES_MAX {
            history.from = revision;
        }
    }
    changed.reverse();
    Ok(PastChanges {
        history,
        changed,
        removed_to: tombstones::last_removed_at(connection)?,
    })
}

fn add_present(row: &rusqlite::Row<'_>, present: &mut Vec<(UserId, Row)>) -> rusqlite::Result<()> {
    let user: UserId = decode::parsed(row, 0)?;
    if present.last().is_none_or(|(last, _)| *last != user) {
        present.push((user, decode::profile(row)?));
    }
    if let Some((_, last)) = present.last_mut() {
        last.durable.reports.extend(decode::report(row, decode::REPORT)?);
    }
    Ok(())
}

/// One that can't be understood is left out as well.
pub(super) fn load_heartbeats(connection: &Connection) -> rusqlite::Result<Vec<(NodeName, Heartbeat)>> {
    let mut statement = connection.prepare(
        "SELECT node, wall, ceiling, clean, incarnation, resumes_from FROM heartbeat LEFT JOIN history USING (node)
         ORDER BY node",
    )?;
    let mut rows = statement.query([])?;
    let mut heartbeats = Vec::new();
    while let Some(row) = rows.next()? {
        match decode_heartbeat(row) {
            Ok(heartbeat) => heartbeats.push(heartbeat),
            Err(error) => {
                tracing::warn!(node = ?row.get_ref(0)?, %error, "left out a heartbeat that can't be understood");
            }
        }
    }
    Ok(heartbeats)
}

fn decode_heartbeat(row: &rusqlite::Row<'_>) -> rusqlite::Result<(NodeName, Heartbeat)> {
    let node: String = row.get(0)?;
    let (clean, ceiling) = (row.get(3)?, decode::revision(row, 2)?);
    let (incarnation, from): (Option<i64>, Option<i64>) = (row.get(4)?, row.get(5)?);
    let wall = Wall::from_millis(row.get(1)?);
    let heartbeat = Heartbeat::stored(wall, ceiling, clean, incarnation.zip(from));
    Ok((NodeName::new(&node), heartbeat))
}
