//! The revocations of users' tokens. A row has the hash of the id in place of the id, as a tombstone has: it outlives its user, of whom
//! nothing may stay.

use presence::SystemWall;
use tokio_postgres::{Client, Row as SqlRow, Statement};

use super::decode;
use super::failure::Failure;
use super::session::{ServerAnswer, prepare, query};
use super::statements::now;
use crate::store::StoredRevocation;
use crate::store::write_request::NewRevocation;

/// Until the commit no other transaction gets a number: in order of the numbers is in order of the commits, and who has read up to
/// one has missed none. The statement after it sees what was committed before.
const LOCK_NUMBERS: &str = "UPDATE presence_database SET version = version";
/// Above the clock too: a server that takes over without the last ones must not give their numbers again.
const SAVE: &str = concat!(
    "INSERT INTO revocation (user_hash, issued_before, number)
     SELECT $1, $2, greatest((SELECT coalesce(max(number), 0) FROM revocation) + 1, ",
    now!(),
    ") ON CONFLICT (user_hash) DO UPDATE SET
       issued_before = greatest(revocation.issued_before, excluded.issued_before), number = excluded.number
     RETURNING user_hash, issued_before, number"
);
/// Some of those above a number.
pub(super) const SELECT_AFTER: &str =
    "SELECT user_hash, issued_before, number FROM revocation WHERE number > $1 ORDER BY number LIMIT $2";
pub(super) const SELECT_ALL: &str = "SELECT user_hash, issued_before, number FROM revocation ORDER BY number";

/// The statements of a connection that writes.
#[derive(Debug)]
pub(super) struct RevocationStatements {
    lock_numbers: Statement,
    save: Statement,
}

impl RevocationStatements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, Failure> {
        let [lock_numbers, save] = prepare(client, [LOCK_NUMBERS, SAVE]).await?;
        Ok(Self { lock_numbers, save })
    }

    /// [`decode_all`] takes the answer to the last one.
    pub(super) fn send<'a>(&'a self, client: &'a Client, new: NewRevocation) -> Vec<ServerAnswer<'a>> {
        vec![
            query(client, &self.lock_numbers, vec![]),
            query(
                client,
                &self.save,
                vec![
                    Box::new(new.user_hash.to_vec()),
                    Box::new(new.issued_before.as_millis()),
                ],
            ),
        ]
    }
}

/// Rows of [`SAVE`], [`SELECT_AFTER`] or [`SELECT_ALL`]. One that can't be understood is an error: without it, what was revoked would
/// be accepted.
pub(super) fn decode_all(rows: &[SqlRow]) -> Result<Vec<StoredRevocation>, Failure> {
    rows.iter().map(decode_row).collect()
}

fn decode_row(row: &SqlRow) -> Result<StoredRevocation, Failure> {
    let hash: &[u8] = row.try_get(0)?;
    Ok(StoredRevocation {
        user_hash: hash.try_into().map_err(Failure::of_row)?,
        issued_before: SystemWall::from_millis(row.try_get(1)?),
        number: decode::number(row, 2)?,
    })
}
