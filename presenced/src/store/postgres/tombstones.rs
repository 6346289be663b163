//! The tombstones of forgotten users: a write that was under way when its user was forgotten must not bring the user back,
//! whichever node it comes from. A tombstone has the hash of the id in place of the id, because nothing of a forgotten user
//! may stay.
//!
//! A transaction writes first and looks afterwards, when it has the locks of its rows: what it sees then holds until its
//! commit, because a forget takes the same locks. If there are tombstones that it did not know of, which is seldom, it
//! begins anew with them.

use std::collections::HashMap;

use presence::{Revision, UserId};
use sha2::{Digest as _, Sha256};
use tokio_postgres::Row as SqlRow;

use super::decode;
use super::failure::Failure;

/// Those of some users.
pub(super) const SELECT: &str = "SELECT user_hash, revision, version FROM tombstone WHERE user_hash = ANY($1)";

/// What is known of some users' tombstones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct KnownTombstones(HashMap<Vec<u8>, (Revision, i64)>);

impl KnownTombstones {
    /// Whether the user was forgotten at this revision or a higher one.
    pub(super) fn covers(&self, user: &UserId, revision: Revision) -> bool {
        self.removed_at(user).is_some_and(|removed_at| removed_at >= revision)
    }

    /// The last version of a user that was forgotten; 0 of any other.
    pub(super) fn version(&self, user: &UserId) -> i64 {
        self.get(user).map_or(0, |(_, version)| version)
    }

    /// The revision at which the user was forgotten.
    pub(super) fn removed_at(&self, user: &UserId) -> Option<Revision> {
        self.get(user).map(|(revision, _)| revision)
    }

    fn get(&self, user: &UserId) -> Option<(Revision, i64)> {
        // Almost always.
        if self.0.is_empty() {
            return None;
        }
        self.0.get(hash(user).as_slice()).copied()
    }
}

/// Rows of [`SELECT`].
pub(super) fn decode(rows: &[SqlRow]) -> Result<KnownTombstones, Failure> {
    let mut found = HashMap::new();
    for row in rows {
        let hash: Vec<u8> = row.try_get(0)?;
        found.insert(hash, (Revision::new(decode::number(row, 1)?), row.try_get(2)?));
    }
    Ok(KnownTombstones(found))
}

pub(super) fn hash(user: &UserId) -> [u8; 32] {
    Sha256::digest(user.as_str()).into()
}
