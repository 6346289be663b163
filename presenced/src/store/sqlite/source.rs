//! A database of SQLite as the source of an import: locked as by a daemon, brought up to date, and read once from one end to the
//! other, in order of user id. Nothing but a migration is written to it.

use std::path::Path;

use presence::{NodeName, UserId};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Rows, Statement};
use sha2::{Digest as _, Sha256};

use super::connection::{Beside, open_writer};
use super::database_lock::{DatabaseLock, in_use};
use super::file_check::{FoundFile, find, io_error, sql_error};
use super::read::{SELECT_USERS, load_heartbeats};
use super::{decode, migration, revocations};
use crate::files::Holder;
use crate::store::alive::AliveFile;
use crate::store::import::{ImportSource, SkippedRow, SourceItem, StoredTombstone};
use crate::store::{Heartbeat, OpenError, OpenOptions, Row, Startup, StoredRevocation};

/// The source, locked for as long as this lives.
#[derive(Debug)]
pub(in crate::store) struct SqliteSource {
    /// Closed before the lock is given up.
    connection: Connection,
    /// What it is, to be told from others and from itself at another time.
    pub(in crate::store) source: ImportSource,
    /// The last heartbeat of each node, with what was told beside the database.
    pub(in crate::store) heartbeats: Vec<(NodeName, Heartbeat)>,
    /// How many users there are, those that can't be understood as well.
    pub(in crate::store) users: u64,
    /// All of them.
    pub(in crate::store) revocations: Vec<StoredRevocation>,
    _lock: DatabaseLock,
}

impl SqliteSource {
    /// Opens a database that no daemon uses. Blocks.
    pub(in crate::store) fn open(path: &Path, options: &OpenOptions) -> Result<Self, OpenError> {
        let path = &path.canonicalize().map_err(|error| io_error(path, &error))?;
        let lock = DatabaseLock::take(path)?;
        let lock = match (find(path, options.busy_timeout)?, lock) {
            (FoundFile::Ours, Some(lock)) => lock,
            (FoundFile::Ours, None) => return Err(in_use(path, Holder(None))),
            (FoundFile::Nothing, _) => {
                let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
                return Err(io_error(path, &missing));
            }
        };
        let sql = |error: rusqlite::Error| sql_error(path, &error);
        let mut connection = open_writer(path, options.busy_timeout).map_err(sql)?;
        migration::migrate(&mut connection).map_err(sql)?;
        let mut startup = Startup {
            heartbeats: load_heartbeats(&connection).map_err(sql)?,
            alive: AliveFile::read(&Beside::Alive.path(path)),
            ..Startup::default()
        };
        add_alive(&mut startup);
        let source = ImportSource {
            path: path.display().to_string(),
            fingerprint: fingerprint(&connection, &startup).map_err(sql)?,
            ceiling: startup
                .latest_stored()
                .map_or(0, |heartbeat| i64::try_from(heartbeat.ceiling).unwrap_or(i64::MAX)),
        };
        let count = "SELECT count(*) FROM profile";
        let users = connection
            .query_row(count, [], |row| decode::number(row, 0))
            .map_err(sql)?;
        let revocations = revocations::load_all(&connection).map_err(sql)?;
        Ok(Self {
            connection,
            source,
            revocations,
            heartbeats: startup.heartbeats,
            users,
            _lock: lock,
        })
    }

    /// The statement for [`SourceUsers`].
    pub(in crate::store) fn select_users(&self) -> rusqlite::Result<Statement<'_>> {
        self.connection.prepare(SELECT_USERS)
    }

    /// All tombstones: those of one to two hours.
    pub(in crate::store) fn tombstones(&self) -> rusqlite::Result<Vec<StoredTombstone>> {
        let select = "SELECT user_hash, revision, version, forgotten_at FROM tombstone ORDER BY user_hash";
        let mut statement = self.connection.prepare(select)?;
        let rows = statement.query_map([], |row| {
            Ok(StoredTombstone {
                user_hash: row.get(0)?,
                revision: row.get(1)?,
                version: row.get(2)?,
                forgotten_at: row.get(3)?,
            })
        })?;
        rows.collect()
    }
}

/// A run that could not write to its end told more beside the database: that holds for the node with the last heartbeat.
fn add_alive(startup: &mut Startup) {
    let (Some(latest), stored) = (startup.latest_heartbeat(), startup.latest_stored()) else {
        return;
    };
    if Some(latest) == stored {
        return;
    }
    match startup
        .heartbeats
        .iter_mut()
        .find(|(_, heartbeat)| Some(*heartbeat) == stored)
    {
        Some((_, heartbeat)) => *heartbeat = latest,
        None => startup.heartbeats.push((NodeName::new(""), latest)),
    }
}

/// A digest that differs as soon as a daemon has used the database.
fn fingerprint(connection: &Connection, startup: &Startup) -> rusqlite::Result<String> {
    let counts = "SELECT (SELECT count(*) FROM profile), (SELECT ifnull(max(version), 0) FROM profile),
         (SELECT ifnull(max(revision), 0) FROM profile), (SELECT count(*) FROM report), (SELECT count(*) FROM tombstone),
         (SELECT ifnull(max(number), 0) FROM revocation)";
    let counts: [i64; 6] = connection.query_row(counts, [], |row| {
        Ok([
            row.get(0)?,
            row.get(1)?,
            row.get(2)?,
            row.get(3)?,
            row.get(4)?,
            row.get(5)?,
        ])
    })?;
    let digest = Sha256::digest(format!("{counts:?} {:?}", startup.heartbeats));
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The users of a source, one after the other.
pub(in crate::store) struct SourceUsers<'a> {
    rows: Rows<'a>,
    current: Current,
    /// What comes next, before another row is read.
    waiting: Option<SourceItem>,
}

/// The user whose rows are being read, by its id as it stands in the file.
enum Current {
    Nobody,
    Understood(Vec<u8>, UserId, Box<Row>),
    Skipped(Vec<u8>),
}

impl<'a> SourceUsers<'a> {
    pub(in crate::store) fn of(statement: &'a mut Statement<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            rows: statement.query([])?,
            current: Current::Nobody,
            waiting: None,
        })
    }

    /// The next user, whole, or the next row that can't be understood; none at the end.
    pub(in crate::store) fn next(&mut self) -> rusqlite::Result<Option<SourceItem>> {
        loop {
            if let Some(item) = self.waiting.take() {
                return Ok(Some(item));
            }
            let Some(row) = self.rows.next()? else {
                return Ok(self.current.take());
            };
            let key = bytes(row.get_ref(0)?);
            let finished = match &self.current {
                Current::Understood(known, ..) | Current::Skipped(known) if *known == key => None,
                _ => {
                    let finished = self.current.take();
                    match understood(row) {
                        Ok((user, profile)) => self.current = Current::Understood(key, user, Box::new(profile)),
                        Err(error) => {
                            let what = format!("user {}", shown(&key));
                            self.current = Current::Skipped(key);
                            self.waiting = Some(skipped(what, &error));
                        }
                    }
                    finished
                }
            };
            if let Current::Understood(key, _, profile) = &mut self.current {
                match decode::report(row, decode::REPORT) {
                    Ok(report) => profile.durable.reports.extend(report),
                    Err(error) => {
                        let source = shown(&bytes(row.get_ref(decode::REPORT)?));
                        self.waiting = Some(skipped(format!("report {source} of user {}", shown(key)), &error));
                    }
                }
            }
            if finished.is_some() {
                return Ok(finished);
            }
        }
    }
}

impl Current {
    fn take(&mut self) -> Option<SourceItem> {
        match std::mem::replace(self, Self::Nobody) {
            Self::Understood(_, user, row) => Some(SourceItem::User(user, row)),
            Self::Nobody | Self::Skipped(_) => None,
        }
    }
}

fn understood(row: &rusqlite::Row<'_>) -> rusqlite::Result<(UserId, Row)> {
    Ok((decode::parsed(row, 0)?, decode::profile(row)?))
}

fn skipped(what: String, error: &rusqlite::Error) -> SourceItem {
    let reason = error.to_string();
    SourceItem::Skipped(SkippedRow { what, reason })
}

fn bytes(value: ValueRef<'_>) -> Vec<u8> {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => Vec::new(),
    }
}

/// For people, with nothing in it that a terminal acts on.
fn shown(bytes: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(bytes))
}
