//! The SQL of the writer. Each statement takes any number of users, as arrays ordered by user id: so many rows share one
//! round trip, and nodes that write the same users lock them in one order.
//!
//! Nothing here depends on the order of two writes of different tasks: statuses carry their revision, times only move
//! forward, and what is older than what is stored changes nothing.

use tokio_postgres::{Client, Statement};

use super::decode::{durable_columns, report_columns};
use super::failure::Failure;
use super::session::prepare;
use super::tombstones;
use crate::store::Access;

/// The statements of a connection that writes.
#[derive(Debug)]
pub(super) struct WriteStatements {
    /// Whether what is written has to be published.
    pub(super) access: Access,
    pub(super) number_transaction: Statement,
    pub(super) make_users: Statement,
    pub(super) lock_users: Statement,
    pub(super) save_preferences: Statement,
    pub(super) raise_versions: Statement,
    pub(super) raise_known_versions: Statement,
    pub(super) save_reports: Statement,
    pub(super) delete_report: Statement,
    pub(super) delete_reports: Statement,
    pub(super) select_reports: Statement,
    pub(super) clamp_profiles: Statement,
    pub(super) clamp_reports: Statement,
    pub(super) save_statuses: Statement,
    pub(super) expire_reports: Statement,
    pub(super) set_marks: Statement,
    pub(super) tombstones: Statement,
}

impl WriteStatements {
    pub(super) async fn prepare(client: &Client, access: Access) -> Result<Self, Failure> {
        let [number_transaction, lock_users, select_reports, tombstones] = prepare(
            client,
            [NUMBER_TRANSACTION, LOCK_USERS, SELECT_REPORTS, tombstones::SELECT],
        )
        .await?;
        let [save_preferences, raise_versions, raise_known_versions] =
            prepare(client, [SAVE_PREFERENCES, RAISE_VERSIONS, RAISE_KNOWN_VERSIONS]).await?;
        let [save_reports, delete_report, delete_reports, expire_reports] =
            prepare(client, [SAVE_REPORTS, DELETE_REPORT, DELETE_REPORTS, EXPIRE_REPORTS]).await?;
        let [clamp_profiles, clamp_reports, save_statuses] =
            prepare(client, [CLAMP_PROFILES, CLAMP_REPORTS, SAVE_STATUSES]).await?;
        let [make_users, set_marks] = prepare(client, [MAKE_USERS, SET_MARKS]).await?;
        Ok(Self {
            access,
            make_users,
            set_marks,
            number_transaction,
            lock_users,
            save_preferences,
            raise_versions,
            raise_known_versions,
            save_reports,
            delete_report,
            delete_reports,
            select_reports,
            clamp_profiles,
            clamp_reports,
            save_statuses,
            expire_reports,
            tombstones,
        })
    }
}

/// The number by which the outcome of the transaction is found out if its answer is lost.
const NUMBER_TRANSACTION: &str = "SELECT txid_current()";

/// Before [`LOCK_USERS`], which finds nobody who is not stored, where other nodes write as well: two that make the same users
/// in different statements would wait for each other.
const MAKE_USERS: &str = "INSERT INTO profile (user_id) SELECT * FROM unnest($1::text[]) ON CONFLICT DO NOTHING";

/// First in a transaction of several statements, each of which is in order by itself alone.
const LOCK_USERS: &str = "SELECT 1 FROM profile WHERE user_id = ANY($1) ORDER BY user_id FOR UPDATE";

/// The time by the database's clock, in milliseconds.
macro_rules! now {
    () => {
        "(extract(epoch FROM clock_timestamp()) * 1000)::int8"
    };
}
pub(super) use now;

/// In `DO UPDATE SET`: a mark that is there stays, so that a user who is written again and again comes up as well.
macro_rules! keep_mark {
    () => {
        "unpublished = coalesce(profile.unpublished, excluded.unpublished)"
    };
}

/// The version after a write, in `DO UPDATE SET`.
macro_rules! next_version {
    () => {
        "greatest(profile.version + 1, excluded.version)"
    };
}

/// The mark of a write, if the parameter says that it has to be published.
macro_rules! new_mark {
    ($is_marked:literal) => {
        concat!("CASE WHEN ", $is_marked, "::bool THEN ", now!(), " END")
    };
}

const SAVE_PREFERENCES: &str = concat!(
    "INSERT INTO profile (user_id, custom_status, custom_set_at, custom_set_by, custom_version, version, revision, unpublished)
     SELECT given.user_id, custom, set_at, set_by, proposed + 1, proposed + 1, given.revision, ",
    new_mark!("$7"),
    " FROM unnest($1::text[], $2::text[], $3::int8[], $4::text[], $5::int8[], $6::int8[])
       AS given (user_id, custom, set_at, set_by, proposed, revision)
     ON CONFLICT (user_id) DO UPDATE SET
       custom_status = excluded.custom_status,
       custom_set_at = excluded.custom_set_at,
       custom_set_by = excluded.custom_set_by,
       custom_version = ",
    next_version!(),
    ", version = ",
    next_version!(),
    ", revision = greatest(profile.revision, excluded.revision), ",
    keep_mark!(),
    " RETURNING profile.user_id, ",
    durable_columns!()
);

/// Moves the times by reports. Makes the profile if there is none: a user known by reports alone has one too. The end of a
/// report that is not there is nothing to publish.
const RAISE_VERSIONS: &str = concat!(
    "INSERT INTO profile (user_id, last_seen, last_active, version, unpublished)
     SELECT given.user_id, seen, active, proposed + 1, ",
    new_mark!(
        "(ended IS NULL
          OR EXISTS (SELECT 1 FROM report WHERE report.user_id = given.user_id AND report.source = ended)) AND $5"
    ),
    " FROM unnest($1::text[], $2::int8[], $3::int8[], $4::int8[], $6::text[])
       AS given (user_id, seen, active, proposed, ended)
     ON CONFLICT (user_id) DO UPDATE SET
       last_seen = greatest(profile.last_seen, excluded.last_seen),
       last_active = greatest(profile.last_active, excluded.last_active),
       version = ",
    next_version!(),
    ", ",
    keep_mark!(),
    " RETURNING profile.user_id, ",
    durable_columns!()
);

const RAISE_KNOWN_VERSIONS: &str = concat!(
    "UPDATE profile SET version = greatest(profile.version, proposed) + 1, unpublished = coalesce(unpublished, ",
    new_mark!("$3"),
    ") FROM unnest($1::text[], $2::int8[]) AS given (user_id, proposed)
     WHERE profile.user_id = given.user_id
     RETURNING profile.user_id, ",
    durable_columns!()
);

/// After [`RAISE_VERSIONS`] of the same users: each report has the version that its user has since.
const SAVE_REPORTS: &str =
    "INSERT INTO report (user_id, source, status, since, heard, version, last_active, expires_at, said)
     SELECT given.user_id, source, given.status, given.since, heard, profile.version, active, expires_at,
       coalesce(said, profile.version)
     FROM unnest($1::text[], $2::text[], $3::text[], $4::int8[], $5::int8[], $6::int8[], $7::int8[], $8::int8[])
       AS given (user_id, source, status, since, heard, active, expires_at, said)
     JOIN profile ON profile.user_id = given.user_id
     ON CONFLICT (user_id, source) DO UPDATE SET
       status = excluded.status, since = excluded.since, heard = excluded.heard, version = excluded.version,
       last_active = excluded.last_active, expires_at = excluded.expires_at, said = excluded.said";

const DELETE_REPORT: &str = "DELETE FROM report USING unnest($1::text[], $2::text[]) AS given (user_id, source)
     WHERE report.user_id = given.user_id AND report.source = given.source";

const DELETE_REPORTS: &str = "DELETE FROM report WHERE user_id = ANY($1)";

const SELECT_REPORTS: &str = concat!(
    "SELECT report.user_id, ",
    report_columns!(),
    " FROM report WHERE user_id = ANY($1) ORDER BY user_id, source"
);

/// Takes the times of users back that are later.
const CLAMP_PROFILES: &str = "UPDATE profile SET
       since = CASE WHEN since > latest THEN latest ELSE since END,
       last_seen = CASE WHEN last_seen > latest THEN latest ELSE last_seen END,
       last_active = CASE WHEN last_active > latest THEN latest ELSE last_active END,
       custom_set_at = CASE WHEN custom_set_at > latest THEN latest ELSE custom_set_at END
     FROM unnest($1::text[], $2::int8[]) AS given (user_id, latest)
     WHERE profile.user_id = given.user_id";

/// The same of their reports. A report is to hold for as long as before.
const CLAMP_REPORTS: &str = "UPDATE report SET
       since = least(since, latest),
       last_active = CASE WHEN last_active > latest THEN latest ELSE last_active END,
       expires_at = expires_at - (heard - least(heard, latest)),
       heard = least(heard, latest)
     FROM unnest($1::text[], $2::int8[]) AS given (user_id, latest)
     WHERE report.user_id = given.user_id";

const SAVE_STATUSES: &str = "INSERT INTO profile (user_id, status, since, connected_on, last_seen, last_active, revision)
     SELECT * FROM unnest($1::text[], $2::text[], $3::int8[], $4::text[], $5::int8[], $6::int8[], $7::int8[])
     ON CONFLICT (user_id) DO UPDATE SET
       status = CASE WHEN excluded.revision >= profile.revision THEN excluded.status ELSE profile.status END,
       since = CASE WHEN excluded.revision >= profile.revision THEN excluded.since ELSE profile.since END,
       connected_on = CASE WHEN excluded.revision >= profile.revision THEN excluded.connected_on ELSE profile.connected_on END,
       last_seen = greatest(profile.last_seen, excluded.last_seen),
       last_active = greatest(profile.last_active, excluded.last_active),
       revision = greatest(profile.revision, excluded.revision)";

const EXPIRE_REPORTS: &str = concat!(
    "WITH expired AS (
       DELETE FROM report USING unnest($1::text[], $2::text[], $3::int8[]) AS given (user_id, source, version)
       WHERE report.user_id = given.user_id AND report.source = given.source AND report.version = given.version
       RETURNING report.user_id)
     UPDATE profile SET version = version + 1, unpublished = coalesce(unpublished, ",
    new_mark!("$4"),
    ") WHERE user_id IN (SELECT user_id FROM expired)"
);

/// A version that is higher than the published one keeps its mark, and is marked if the log has that one with a status: see the contract.
const SET_MARKS: &str = concat!(
    "UPDATE profile SET unpublished = CASE WHEN version > of_last_status THEN ",
    now!(),
    " END FROM unnest($1::text[], $2::int8[], $3::int8[]) AS given (user_id, published, of_last_status)
     WHERE profile.user_id = given.user_id AND CASE WHEN version > of_last_status
       THEN unpublished IS NULL ELSE unpublished IS NOT NULL AND version <= published END"
);
