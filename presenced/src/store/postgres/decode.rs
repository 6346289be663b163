//! Rows of PostgreSQL as values. A value that can't be understood is an error of its row.

use std::sync::Arc;

use presence::{NodeName, Preference, Revision, UserId, Version, Wall};
use tokio_postgres::Row as SqlRow;

use super::failure::Failure;
use crate::store::{DurableRow, ReportRow, Row};

/// The columns of the durable part that stand in `profile`, as [`durable_part`] expects them.
macro_rules! durable_columns {
    () => {
        "profile.version, profile.custom_status, profile.custom_set_at, profile.custom_set_by, profile.custom_version"
    };
}
/// The columns of a report, as [`report`] expects them.
macro_rules! report_columns {
    () => {
        "report.source, report.status, report.since, report.heard, report.version, report.last_active, report.expires_at, report.said"
    };
}
/// The columns of a user, as [`profile`] expects them, and those of one of its reports, as [`report`] does from [`REPORT`] on.
macro_rules! user_columns {
    () => {
        concat!(
            "profile.user_id, profile.status, profile.since, profile.connected_on, profile.last_seen, profile.last_active, profile.revision, ",
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

pub(super) fn user(row: &SqlRow, column: usize) -> Result<UserId, Failure> {
    parsed(row, column)
}

/// All that is stored of a user but its reports, from `user_columns!`.
pub(super) fn profile(row: &SqlRow) -> Result<Row, Failure> {
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
pub(super) fn durable_part(row: &SqlRow, first: usize) -> Result<DurableRow, Failure> {
    let set_by: Option<&str> = row.try_get(first + 3)?;
    Ok(DurableRow {
        version: version(row, first)?,
        preference: Preference {
            custom: parsed(row, first + 1)?,
            set_at: time(row, first + 2)?,
            set_by: set_by.map(|text| text.parse().map_err(Failure::of_row)).transpose()?,
            version: version(row, first + 4)?,
        },
        reports: Vec::new(),
    })
}

/// A report from `report_columns!` beginning at `first`; none where an outer join found none.
pub(super) fn report(row: &SqlRow, first: usize) -> Result<Option<ReportRow>, Failure> {
    if row.try_get::<_, Option<&str>>(first)?.is_none() {
        return Ok(None);
    }
    Ok(Some(ReportRow {
        source: parsed(row, first)?,
        status: parsed(row, first + 1)?,
        since: Wall::from_millis(row.try_get(first + 2)?),
        heard: Wall::from_millis(row.try_get(first + 3)?),
        version: version(row, first + 4)?,
        last_active: time(row, first + 5)?,
        expires_at: time(row, first + 6)?,
        said: version(row, first + 7)?,
    }))
}

pub(super) fn time(row: &SqlRow, column: usize) -> Result<Option<Wall>, Failure> {
    Ok(row.try_get::<_, Option<i64>>(column)?.map(Wall::from_millis))
}

pub(super) fn number(row: &SqlRow, column: usize) -> Result<u64, Failure> {
    let number: i64 = row.try_get(column)?;
    u64::try_from(number).map_err(Failure::of_row)
}

/// A revision that can be given. One beyond would be the floor of all that are given after it, and none is left above.
pub(super) fn revision(row: &SqlRow, column: usize) -> Result<Revision, Failure> {
    let revision = Revision::new(number(row, column)?);
    match revision < Revision::MAX {
        true => Ok(revision),
        false => Err(Failure::of_row("a revision above all that can be given")),
    }
}

pub(super) fn version(row: &SqlRow, column: usize) -> Result<Version, Failure> {
    number(row, column).map(Version::new)
}

pub(super) fn parsed<T>(row: &SqlRow, column: usize) -> Result<T, Failure>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let text: &str = row.try_get(column)?;
    text.parse().map_err(Failure::of_row)
}

/// A JSON array of names.
fn nodes(row: &SqlRow, column: usize) -> Result<Arc<[NodeName]>, Failure> {
    match row.try_get(column)? {
        "[]" => Ok(Arc::default()),
        text => serde_json::from_str(text).map_err(Failure::of_row),
    }
}
