//! Lists of users, page by page.

use presence::UserId;
use rusqlite::{Connection, named_params};

use super::decode::{self, durable_columns, report_columns, user_columns};
use super::health::Health;
use super::marks::now;
use crate::store::Row;
use crate::store::read_request::{ListPage, PageRequest, UserList};

/// All reports of users that were looked at, and whether each is in the list. The last one that was looked at comes in any case.
macro_rules! select_scanned {
    ($scanned:expr, $is_listed:literal) => {
        concat!(
            "WITH scanned AS MATERIALIZED (SELECT * FROM profile ",
            $scanned,
            " AND user_id > :after ORDER BY user_id LIMIT :scan_max) SELECT ",
            user_columns!(),
            ", ",
            $is_listed,
            " AS is_listed FROM scanned AS profile LEFT JOIN report ON report.user_id = profile.user_id
              WHERE is_listed OR profile.user_id = (SELECT max(user_id) FROM scanned)
              ORDER BY profile.user_id, source"
        )
    };
}

/// No index has them, or each change of a status would change it: a pass over all users, in pieces.
pub(super) const SELECT_PRESENT: &str = select_scanned!(
    "WHERE :marked_for IS NOT NULL",
    "(profile.status <> 'OFFLINE' OR connected_on <> '[]' OR report.user_id IS NOT NULL)"
);
/// The same: it is asked for once in an epoch, by one node.
pub(super) const SELECT_CHOSEN: &str =
    select_scanned!("WHERE :marked_for IS NOT NULL", "profile.custom_status <> 'ONLINE'");
/// A mark from the future is of a clock that was set back since.
pub(super) const SELECT_UNPUBLISHED: &str = select_scanned!(
    concat!(
        "INDEXED BY profile_unpublished
         WHERE unpublished IS NOT NULL AND (unpublished <= ",
        now!(),
        " - :marked_for OR unpublished > ",
        now!(),
        ")"
    ),
    "true"
);

/// One statement, so that each profile and its reports are of one moment. What has no user id is left out and logged.
pub(super) fn load_page(connection: &Connection, request: &PageRequest, health: &Health) -> rusqlite::Result<ListPage> {
    let (select, marked_for) = match request.list {
        UserList::Present => (SELECT_PRESENT, 0),
        UserList::Chosen => (SELECT_CHOSEN, 0),
        UserList::Unpublished(marked_for) => (
            SELECT_UNPUBLISHED,
            i64::try_from(marked_for.as_millis()).unwrap_or(i64::MAX),
        ),
    };
    let mut statement = connection.prepare_cached(select)?;
    let mut rows = statement.query(named_params! {
        ":after": request.after,
        ":scan_max": i64::try_from(request.scan_max).unwrap_or(i64::MAX),
        ":marked_for": marked_for,
    })?;
    let mut listed: Vec<(UserId, rusqlite::Result<Row>)> = Vec::new();
    let mut last = None;
    while let Some(row) = rows.next()? {
        last = Some(row.get::<_, String>(0)?);
        if row.get(decode::AFTER_USER)?
            && let Err(error) = add(row, &mut listed)
        {
            tracing::warn!(user = ?row.get_ref(0)?, %error, "left out a row of the database that can't be understood");
        }
    }
    let read = |(user, row): (UserId, rusqlite::Result<Row>)| {
        let row = row.map_err(|error| health.read_failed(&user, &error));
        (user, row)
    };
    Ok(ListPage {
        rows: listed.into_iter().map(read).collect(),
        last,
    })
}

fn add(row: &rusqlite::Row<'_>, listed: &mut Vec<(UserId, rusqlite::Result<Row>)>) -> rusqlite::Result<()> {
    let user: UserId = decode::parsed(row, 0)?;
    if listed.last().is_none_or(|(last, _)| *last != user) {
        listed.push((user, decode::profile(row)));
    }
    if let Some((_, known)) = listed.last_mut()
        && let Ok(profile) = known
    {
        match decode::report(row, decode::REPORT) {
            Ok(report) => profile.durable.reports.extend(report),
            Err(error) => *known = Err(error),
        }
    }
    Ok(())
}
