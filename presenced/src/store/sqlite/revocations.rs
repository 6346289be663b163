//! The revocations of users' tokens. A row has the hash of the id in place of the id, as a tombstone has: it outlives its user, of whom
//! nothing may stay on disk.

use presence::SystemWall;
use rusqlite::types::FromSqlError;
use rusqlite::{Connection, named_params};

use super::decode;
use super::marks::now;
use super::statements::stored;
use crate::store::StoredRevocation;
use crate::store::options::ROWS_AT_ONCE;
use crate::store::write_request::NewRevocation;

/// Adds one, or raises the one there is. What is stored then.
pub(super) fn save(connection: &Connection, new: NewRevocation) -> rusqlite::Result<StoredRevocation> {
    // Above the clock too: a backup that is put back must not give numbers again that a reader has passed.
    let mut statement = connection.prepare_cached(concat!(
        "INSERT INTO revocation (user_hash, issued_before, number)
         VALUES (:user_hash, :issued_before, max((SELECT ifnull(max(number), 0) FROM revocation) + 1, ",
        now!(),
        ")) ON CONFLICT (user_hash) DO UPDATE SET
           issued_before = max(issued_before, excluded.issued_before), number = excluded.number
         RETURNING user_hash, issued_before, number"
    ))?;
    let parameters = named_params! {
        ":user_hash": new.user_hash,
        ":issued_before": new.issued_before.as_millis(),
    };
    statement.query_row(parameters, decode_row)
}

/// Some of those above this number, in order of their numbers.
pub(super) fn load_after(connection: &Connection, number: u64) -> rusqlite::Result<Vec<StoredRevocation>> {
    let mut statement = connection.prepare_cached(
        "SELECT user_hash, issued_before, number FROM revocation WHERE number > ?1 ORDER BY number LIMIT ?2",
    )?;
    let limit = i64::try_from(ROWS_AT_ONCE).unwrap_or(i64::MAX);
    let rows = statement.query_map((stored(number)?, limit), decode_row)?;
    rows.collect()
}

/// All of them, in order of their numbers. One that can't be understood is an error: a start without it would accept what was revoked.
pub(super) fn load_all(connection: &Connection) -> rusqlite::Result<Vec<StoredRevocation>> {
    let mut statement =
        connection.prepare("SELECT user_hash, issued_before, number FROM revocation ORDER BY number")?;
    statement.query_map([], decode_row)?.collect()
}

fn decode_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredRevocation> {
    let hash: Vec<u8> = row.get(0)?;
    let user_hash = hash.try_into().map_err(|hash: Vec<u8>| FromSqlError::InvalidBlobSize {
        expected_size: 32,
        blob_size: hash.len(),
    })?;
    Ok(StoredRevocation {
        user_hash,
        issued_before: SystemWall::from_millis(row.get(1)?),
        number: decode::number(row, 2)?,
    })
}
