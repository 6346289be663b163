//! Rows of SQLite as values. A value that can't be understood is an error of its row.

use std::sync::Arc;

use presence::{NodeName, Preference, Revision, Version, Wall};
use rusqlite::Row as SqlRow;
use rusqlite::types::{FromSqlError, ValueRef};

use crate::store::{DurableRow, ReportRow, Row};

/// The columns of the durable part that stand in `profile`, as [`durable_part`] expects them.
macro_rules! durable_columns {
    () => {
        "profile.version, custom_status, custom_set_at, custom_set_by, custom_version"
    };
}
/// The columns of a report, as [`report`] expects them.
macro_rules! report_columns {
    () => {
        "source, report.status, report.since, heard, report.version, report.last_active, expires_at, said"
    };
}
/// The columns of a user, as [`profile`] expects them, and those of one of its reports, as [`report`] does from [`REPORT`] on.
macro_rules! user_columns {
    () => {
        concat!(
            "profile.user_id, profile.status, profile.since, connected_on, last_seen, profile.last_active, revision, ",
            durable_columns!(),
            ", ",
            report_columns!()
        )
    };
}
pub(super) use {durable_columns, report_columns, user_columns};

/// Where the columns of the durable part begin in `user_columns!`.
const DURABLE: usize = 7;
/// Where the columns of the report begin.
pub(super) const REPORT: usize = 12;
/// The first column after them.
pub(super) const AFTER_USER: usize = 20;

/// All that is stored of a user but its reports, from `user_columns!`.
pub(super) fn profile(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        durable: durable_part(row, DURABLE)?,
        status: parsed(row, 1)?,
        since: time(row, 2)?,
        connected_on: nodes(row, 3)?,
        last_seen: time(row, 4)?,
        last_active: time(row, 5)?,
        revision: revision(row, 6)?,
    })
}

/// The durable part without its reports, from `durable_columns!` beginning at `first`.
pub(super) fn durable_part(row: &SqlRow<'_>, first: usize) -> rusqlite::Result<DurableRow> {
    let set_by: Option<String> = row.get(first + 3)?;
    Ok(DurableRow {
        version: version(row, first)?,
        preference: Preference {
            custom: parsed(row, first + 1)?,
            set_at: time(row, first + 2)?,
            set_by: set_by.map(|_| parsed(row, first + 3)).transpose()?,
            version: version(row, first + 4)?,
        },
        reports: Vec::new(),
    })
}

/// A report from `report_columns!` beginning at `first`; none where an outer join found none.
pub(super) fn report(row: &SqlRow<'_>, first: usize) -> rusqlite::Result<Option<ReportRow>> {
    if row.get_ref(first)? == ValueRef::Null {
        return Ok(None);
    }
    Ok(Some(ReportRow {
        source: parsed(row, first)?,
        status: parsed(row, first + 1)?,
        since: Wall::from_millis(row.get(first + 2)?),
        heard: Wall::from_millis(row.get(first + 3)?),
        version: version(row, first + 4)?,
        last_active: time(row, first + 5)?,
        expires_at: time(row, first + 6)?,
        said: version(row, first + 7)?,
    }))
}

pub(super) fn time(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<Option<Wall>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Wall::from_millis))
}

pub(super) fn number(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// A revision that can be given. One beyond would be the floor of all that are given after it, and none is left above.
pub(super) fn revision(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<Revision> {
    let revision = Revision::new(number(row, column)?);
    match revision < Revision::MAX {
        true => Ok(revision),
        false => Err(FromSqlError::OutOfRange(row.get(column)?).into()),
    }
}

pub(super) fn version(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<Version> {
    number(row, column).map(Version::new)
}

pub(super) fn parsed<T>(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let value = row.get_ref(column)?;
    let text = value.as_str()?;
    text.parse().map_err(|error| FromSqlError::other(error).into())
}

/// A JSON array of names.
pub(super) fn nodes(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<Arc<[NodeName]>> {
    let value = row.get_ref(column)?;
    match value.as_str()? {
        "[]" => Ok(Arc::default()),
        text => serde_json::from_str(text).map_err(|error| FromSqlError::other(error).into()),
    }
}
