//! Deletes users, or what was written about them before they were forgotten. Each has a transaction of its own, and a tombstone.

use presence::{Revision, UserId, Version, Wall};
use tokio_postgres::{Client, Row as SqlRow, Statement};

use super::columns::stored;
use super::decode::{self, durable_columns, report_columns};
use super::failure::Failure;
use super::session::{Parameters, ServerAnswer, prepare, query};
use super::statements::now;
use super::tombstones;
use crate::store::DurableRow;

/// Makes the profile if there is none, so that its key is locked: a write of the user that is under way is waited for, and one
/// that comes meanwhile waits, and finds the tombstone then.
const LOCK_USER: &str =
    "INSERT INTO profile (user_id) VALUES ($1) ON CONFLICT (user_id) DO UPDATE SET version = profile.version";

/// A tombstone is only ever raised.
macro_rules! add_tombstone {
    ($version:expr) => {
        concat!(
            "INSERT INTO tombstone (user_hash, revision, version, forgotten_at)
             SELECT $1, $2::int8, ",
            $version,
            ", $3::int8 FROM profile WHERE user_id = $4
             ON CONFLICT (user_hash) DO UPDATE SET
               revision = greatest(tombstone.revision, excluded.revision),
               version = greatest(tombstone.version, excluded.version),
               forgotten_at = greatest(tombstone.forgotten_at, excluded.forgotten_at)"
        )
    };
}

const ADD_TOMBSTONE: &str = add_tombstone!("version");
/// And the reports with it.
const DELETE_USER: &str = "DELETE FROM profile WHERE user_id = $1";

/// Whether nothing of a profile is above this revision or this version.
macro_rules! is_older {
    ($revision:literal, $up_to:literal) => {
        concat!(
            "(revision <= ",
            $revision,
            "::int8 AND custom_version <= ",
            $up_to,
            "::int8 AND NOT EXISTS (SELECT 1 FROM report
               WHERE report.user_id = profile.user_id AND report.version > ",
            $up_to,
            "::int8))"
        )
    };
}

/// What is deleted takes a version as well, so that it replaces what others have read.
const ADD_TOMBSTONE_OF_OLDER: &str = add_tombstone!(concat!(
    "CASE WHEN ",
    is_older!("$2", "$5"),
    " THEN greatest(version, $5::int8) + 1 ELSE version END"
));
const DELETE_OLDER: &str = concat!("DELETE FROM profile WHERE user_id = $1 AND ", is_older!("$2", "$3"));
/// What the reports tell that stay is of after.
const DELETE_OLDER_PARTS: &str = concat!(
    "WITH ended AS (DELETE FROM report WHERE user_id = $1 AND version <= $3::int8 RETURNING 1),
       changed AS (SELECT profile.user_id, custom_version <= $3::int8 AS is_reset, revision <= $2::int8 AS is_left,
         custom_version BETWEEN 1 AND $3::int8 OR EXISTS (SELECT 1 FROM ended) AS is_changed,
         (SELECT max(heard) FROM report WHERE user_id = $1 AND version > $3::int8) AS heard,
         (SELECT max(report.last_active) FROM report WHERE user_id = $1 AND version > $3::int8) AS active
         FROM profile WHERE profile.user_id = $1)
     UPDATE profile SET
       custom_status = CASE WHEN is_reset THEN 'ONLINE' ELSE custom_status END,
       custom_set_at = CASE WHEN is_reset THEN NULL ELSE custom_set_at END,
       custom_set_by = CASE WHEN is_reset THEN NULL ELSE custom_set_by END,
       custom_version = CASE WHEN is_reset THEN 0 ELSE custom_version END,
       status = CASE WHEN is_left THEN 'OFFLINE' ELSE status END,
       since = CASE WHEN is_left THEN NULL ELSE since END,
       connected_on = CASE WHEN is_left THEN '[]' ELSE connected_on END,
       last_seen = CASE WHEN is_left THEN heard ELSE last_seen END,
       last_active = CASE WHEN is_left THEN active ELSE last_active END,
       version = version + CASE WHEN is_changed THEN 1 ELSE 0 END,
       unpublished = coalesce(unpublished, CASE WHEN is_changed THEN ",
    now!(),
    " END)
     FROM changed WHERE profile.user_id = changed.user_id"
);
const SELECT_PART: &str = concat!(
    "SELECT ",
    durable_columns!(),
    ", ",
    report_columns!(),
    " FROM profile LEFT JOIN report ON report.user_id = profile.user_id WHERE profile.user_id = $1 ORDER BY source"
);
/// Where the columns of the report begin in it.
const REPORT: usize = 5;
const SELECT_VERSION: &str = "SELECT version FROM tombstone WHERE user_hash = $1";

/// The statements of a connection that writes.
#[derive(Debug)]
pub(super) struct ForgetStatements {
    lock_user: Statement,
    add_tombstone: Statement,
    delete_user: Statement,
    add_tombstone_of_older: Statement,
    delete_older: Statement,
    delete_older_parts: Statement,
    select_part: Statement,
    select_version: Statement,
}

impl ForgetStatements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, Failure> {
        let [lock_user, add_tombstone, delete_user, add_tombstone_of_older] =
            prepare(client, [LOCK_USER, ADD_TOMBSTONE, DELETE_USER, ADD_TOMBSTONE_OF_OLDER]).await?;
        let [delete_older, delete_older_parts, select_part, select_version] =
            prepare(client, [DELETE_OLDER, DELETE_OLDER_PARTS, SELECT_PART, SELECT_VERSION]).await?;
        Ok(Self {
            lock_user,
            add_tombstone,
            delete_user,
            add_tombstone_of_older,
            delete_older,
            delete_older_parts,
            select_part,
            select_version,
        })
    }

    /// Deletes everything about the user.
    pub(super) fn send<'a>(
        &'a self,
        client: &'a Client,
        user: &'a UserId,
        (revision, now): (Revision, Wall),
    ) -> Vec<ServerAnswer<'a>> {
        let (user, hash) = (user.as_str(), tombstones::hash(user).to_vec());
        let tombstone: Parameters<'a> = vec![
            Box::new(hash),
            Box::new(stored(revision.get())),
            Box::new(now.as_millis()),
            Box::new(user),
        ];
        vec![
            query(client, &self.lock_user, vec![Box::new(user)]),
            query(client, &self.add_tombstone, tombstone),
            query(client, &self.delete_user, vec![Box::new(user)]),
        ]
    }

    /// Deletes what is not above this version nor above this revision. [`decode_part`] takes the answers to the last two.
    pub(super) fn send_older<'a>(
        &'a self,
        client: &'a Client,
        (user, up_to): (&'a UserId, Version),
        (revision, now): (Revision, Wall),
    ) -> Vec<ServerAnswer<'a>> {
        let (user, hash) = (user.as_str(), tombstones::hash(user).to_vec());
        let (revision, up_to) = (stored(revision.get()), stored(up_to.get()));
        let older = || -> Parameters<'a> { vec![Box::new(user), Box::new(revision), Box::new(up_to)] };
        let tombstone: Parameters<'a> = vec![
            Box::new(hash.clone()),
            Box::new(revision),
            Box::new(now.as_millis()),
            Box::new(user),
            Box::new(up_to),
        ];
        vec![
            query(client, &self.lock_user, vec![Box::new(user)]),
            query(client, &self.add_tombstone_of_older, tombstone),
            query(client, &self.delete_older, older()),
            query(client, &self.delete_older_parts, older()),
            query(client, &self.select_part, vec![Box::new(user)]),
            query(client, &self.select_version, vec![Box::new(hash)]),
        ]
    }
}

/// The durable part that is left: without a profile nothing but a version.
pub(super) fn decode_part(part: &[SqlRow], version: &[SqlRow]) -> Result<DurableRow, Failure> {
    let Some(first) = part.first() else {
        let version = version.first().map(|row| decode::version(row, 0)).transpose()?;
        return Ok(DurableRow {
            version: version.unwrap_or_default(),
            ..DurableRow::default()
        });
    };
    let mut left = decode::durable_part(first, 0)?;
    for row in part {
        left.reports.extend(decode::report(row, REPORT)?);
    }
    Ok(left)
}
