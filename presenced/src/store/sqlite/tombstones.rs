//! The tombstones of forgotten users: a write that was under way when its user was forgotten must not bring the user back,
//! whichever handle it comes from and whenever the process was started. A tombstone has the hash of the id in place of
//! the id, because nothing of a forgotten user may stay on disk.

use presence::{Revision, UserId, Wall};
use rusqlite::{Connection, OptionalExtension as _, named_params};
use sha2::{Digest as _, Sha256};

use super::statements::{one_row, stored};
use super::{ROWS_AT_ONCE, decode};

/// What one transaction knows of the table. It holds the write lock, so no other handle can add to the table meanwhile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tombstones {
    /// Then no write needs a look-up: almost always, because users are seldom forgotten.
    is_empty: bool,
    /// Whether one was added or raised.
    has_grown: bool,
}

impl Tombstones {
    /// Looks whether there are any. To be called once in each transaction, before its first write.
    pub(super) fn look(connection: &Connection) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare_cached("SELECT NOT EXISTS (SELECT 1 FROM tombstone)")?;
        let is_empty = statement.query_row([], |row| row.get(0))?;
        Ok(Self {
            is_empty,
            has_grown: false,
        })
    }

    /// Whether the transaction forgets somebody.
    pub(super) fn has_grown(self) -> bool {
        self.has_grown
    }

    /// Whether the user was forgotten at this revision or a higher one.
    pub(super) fn covers(self, connection: &Connection, user: &UserId, revision: Revision) -> rusqlite::Result<bool> {
        if self.is_empty {
            return Ok(false);
        }
        let mut statement = connection.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM tombstone WHERE user_hash = :user_hash AND revision >= :revision)",
        )?;
        let parameters = named_params! { ":user_hash": hash(user), ":revision": stored(revision.get())? };
        statement.query_row(parameters, |row| row.get(0))
    }

    /// The last version of a user that was forgotten; 0 of any other.
    pub(super) fn version(self, connection: &Connection, user: &UserId) -> rusqlite::Result<i64> {
        if self.is_empty {
            return Ok(0);
        }
        let mut statement = connection.prepare_cached("SELECT version FROM tombstone WHERE user_hash = :user_hash")?;
        let version = statement.query_row(named_params! { ":user_hash": hash(user) }, |row| row.get(0));
        Ok(version.optional()?.unwrap_or(0))
    }

    /// Adds one for a user whose last version was this, or raises the one there is.
    pub(super) fn add(
        &mut self,
        connection: &Connection,
        user: &UserId,
        (revision, version): (Revision, i64),
        now: Wall,
    ) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(
            "INSERT INTO tombstone (user_hash, revision, version, forgotten_at) VALUES (:user_hash, :revision, :version, :now)
             ON CONFLICT (user_hash) DO UPDATE SET
               revision = max(revision, excluded.revision), version = max(version, excluded.version),
               forgotten_at = max(forgotten_at, excluded.forgotten_at)",
        )?;
        let changed = statement.execute(named_params! {
            ":user_hash": hash(user),
            ":revision": stored(revision.get())?,
            ":version": version,
            ":now": now.as_millis(),
        })?;
        one_row(changed)?;
        // It stays so if the request is rolled back, which costs look-ups and nothing else.
        self.is_empty = false;
        self.has_grown = true;
        Ok(())
    }
}

/// The revision at which the user was forgotten.
pub(super) fn removed_at(connection: &Connection, user: &UserId) -> rusqlite::Result<Option<Revision>> {
    let mut statement = connection.prepare_cached("SELECT revision FROM tombstone WHERE user_hash = :user_hash")?;
    let revision = statement.query_row(named_params! { ":user_hash": hash(user) }, |row| decode::number(row, 0));
    Ok(revision.optional()?.map(Revision::new))
}

/// The highest revision at which a user was forgotten.
pub(super) fn last_removed_at(connection: &Connection) -> rusqlite::Result<Revision> {
    let revision = connection.query_row("SELECT ifnull(max(revision), 0) FROM tombstone", [], |row| {
        decode::number(row, 0)
    })?;
    Ok(Revision::new(revision))
}

/// Deletes tombstones up to this revision, a bounded number at once. How many.
pub(super) fn prune(connection: &Connection, removed_to: Revision) -> rusqlite::Result<usize> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM tombstone WHERE user_hash IN
           (SELECT user_hash FROM tombstone WHERE revision <= :removed_to LIMIT :limit)",
    )?;
    let limit = i64::try_from(ROWS_AT_ONCE).unwrap_or(i64::MAX);
    statement.execute(named_params! { ":removed_to": stored(removed_to.get())?, ":limit": limit })
}

fn hash(user: &UserId) -> [u8; 32] {
    Sha256::digest(user.as_str()).into()
}
