//! The mark `unpublished` of a user in a cluster: its durable part has a version that the log may not have.

use presence::{UserId, Version};
use rusqlite::{Connection, named_params};

use super::statements::stored;

/// The time by the clock of the database, which is the one of its machine, in milliseconds.
macro_rules! now {
    () => {
        "CAST(unixepoch('now', 'subsec') * 1000 AS INTEGER)"
    };
}
pub(super) use now;

/// Marks a user after a write. A mark that is there stays: a user who is written again and again must come up as well.
pub(super) fn add(connection: &Connection, user: &UserId) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(concat!(
        "UPDATE profile SET unpublished = ",
        now!(),
        " WHERE user_id = :user AND unpublished IS NULL"
    ))?;
    statement.execute(named_params! { ":user": user.as_str() })?;
    Ok(())
}

/// The log has this version with the status that is written: a mark of up to it is cleared. A later version is marked: the entry may
/// be one that came late, after the user was dropped with that version, and then no node knows of it.
pub(super) fn set(connection: &Connection, user: &UserId, version: Version) -> rusqlite::Result<()> {
    clear(connection, user, version)?;
    let mut statement = connection.prepare_cached(concat!(
        "UPDATE profile SET unpublished = ",
        now!(),
        " WHERE user_id = :user AND unpublished IS NULL AND version > :version"
    ))?;
    statement.execute(named_params! { ":user": user.as_str(), ":version": stored(version.get())? })?;
    Ok(())
}

/// The log has this version.
pub(super) fn clear(connection: &Connection, user: &UserId, version: Version) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "UPDATE profile SET unpublished = NULL
         WHERE user_id = :user AND unpublished IS NOT NULL AND version <= :version",
    )?;
    statement.execute(named_params! { ":user": user.as_str(), ":version": stored(version.get())? })?;
    Ok(())
}
