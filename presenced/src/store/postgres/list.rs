//! Lists of users, page by page.

use presence::UserId;
use tokio_postgres::Row as SqlRow;

use super::decode::{self, durable_columns, report_columns, user_columns};
use super::failure::Failure;
use super::statements::now;
use crate::store::Row;

/// All reports of users that were looked at, and whether each is in the list. The last one that was looked at comes in any case.
/// The parameters: after whom, how many are looked at, and since how many milliseconds they are marked.
macro_rules! select_scanned {
    ($scanned:expr, $reports:literal, $is_listed:literal) => {
        concat!(
            "WITH scanned AS MATERIALIZED (SELECT * FROM profile WHERE ",
            $scanned,
            " AND user_id > $1 ORDER BY user_id LIMIT $2) SELECT ",
            user_columns!(),
            ", ",
            $is_listed,
            " FROM scanned AS profile LEFT JOIN ",
            $reports,
            " AS report ON report.user_id = profile.user_id WHERE ",
            $is_listed,
            " OR profile.user_id = (SELECT max(user_id) FROM scanned) ORDER BY profile.user_id, report.source"
        )
    };
}

/// No index has them, or each change of a status would change it: a pass over all users, in pieces.
pub(super) const SELECT_PRESENT: &str = select_scanned!(
    "$3::int8 IS NOT NULL",
    // Without the bounds the server reads all reports for each piece.
    "(SELECT * FROM report WHERE user_id > $1 AND user_id <= (SELECT max(user_id) FROM scanned))",
    "(profile.status <> 'OFFLINE' OR profile.connected_on <> '[]' OR report.user_id IS NOT NULL)"
);
/// The same: it is asked for once in an epoch, by one node.
pub(super) const SELECT_CHOSEN: &str = select_scanned!(
    "$3::int8 IS NOT NULL",
    "(SELECT * FROM report WHERE user_id > $1 AND user_id <= (SELECT max(user_id) FROM scanned))",
    "profile.custom_status <> 'ONLINE'"
);
/// A mark from the future is of a clock that was set back since.
pub(super) const SELECT_UNPUBLISHED: &str = select_scanned!(
    concat!(
        "unpublished IS NOT NULL AND (unpublished <= ",
        now!(),
        " - $3::int8 OR unpublished > ",
        now!(),
        ")"
    ),
    // Of few users far apart: one by one, whatever the server believes.
    "LATERAL (SELECT * FROM report WHERE report.user_id = profile.user_id OFFSET 0)",
    "true"
);

/// A page before the errors of its rows are told.
pub(super) struct FoundPage {
    pub(super) rows: Vec<(UserId, Result<Row, Failure>)>,
    pub(super) last: Option<String>,
}

/// Rows of one of these. What has no user id is left out and logged.
pub(super) fn decode_page(rows: &[SqlRow]) -> Result<FoundPage, Failure> {
    let mut listed = Vec::new();
    for row in rows {
        if row.try_get(decode::AFTER_USER)?
            && let Err(failure) = add(row, &mut listed)
        {
            let user: &str = row.try_get(0)?;
            tracing::warn!(?user, error = %failure.text, "left out a row of the database that can't be understood");
        }
    }
    let last = rows.last().map(|row| row.try_get(0)).transpose()?;
    Ok(FoundPage { rows: listed, last })
}

fn add(row: &SqlRow, listed: &mut Vec<(UserId, Result<Row, Failure>)>) -> Result<(), Failure> {
    let user = decode::user(row, 0)?;
    if listed.last().is_none_or(|(last, _)| *last != user) {
        listed.push((user, decode::profile(row)));
    }
    if let Some((_, known)) = listed.last_mut()
        && let Ok(profile) = known
    {
        match decode::report(row, decode::REPORT) {
            Ok(report) => profile.durable.reports.extend(report),
            Err(failure) => *known = Err(failure),
        }
    }
    Ok(())
}
