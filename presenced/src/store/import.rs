//! Moves what must last from an SQLite file into a PostgreSQL database, once, while no daemon uses either.
//!
//! Users are copied in order of their ids, some at a time; each transaction says how far it has come, so that an import that
//! was cut off at any point goes on where it was. The database must be empty, or have a part of this very import. Here is the
//! order of the steps; how each is done belongs to `sqlite` and `postgres`.

use std::path::Path;

use presence::UserId;

use super::postgres::ImportTarget;
use super::sqlite::{SourceUsers, SqliteSource};
use super::{OpenError, OpenOptions, Row};
use crate::postgres_url::PostgresUrl;

/// Users that share one transaction: some hundred KiB, and some ten milliseconds.
const USERS_AT_ONCE: usize = 1_000;
/// Skipped rows that the report names; the others are counted.
const SKIPPED_MAX: usize = 20;

/// What a source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ImportSource {
    /// The file, for people and to be told from others.
    pub(super) path: String,
    /// A digest of what is in it.
    pub(super) fingerprint: String,
    /// The highest ceiling of its heartbeats: it grows as long as a daemon uses it.
    pub(super) ceiling: i64,
}

/// A tombstone as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredTombstone {
    pub(super) user_hash: Vec<u8>,
    pub(super) revision: i64,
    pub(super) version: i64,
    pub(super) forgotten_at: i64,
}

/// What is read of a source.
#[derive(Debug)]
pub(super) enum SourceItem {
    User(UserId, Box<Row>),
    Skipped(SkippedRow),
}

/// A row that can't be understood. A daemon does not use it either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SkippedRow {
    /// The user, or its report, with control characters escaped.
    pub(crate) what: String,
    pub(crate) reason: String,
}

/// How an import begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ImportStart {
    #[default]
    New,
    /// An earlier one was cut off.
    GoesOn,
    /// The source was used after an earlier one: what that had copied was removed.
    Again,
    /// An earlier one has copied everything.
    Done,
}

/// Where the data goes.
#[derive(Debug, Clone)]
pub(crate) struct ImportPlace<'a> {
    pub(crate) url: &'a PostgresUrl,
    /// The file with the password, if one is needed.
    pub(crate) password_file: Option<&'a Path>,
}

/// What is told while an import goes on.
#[derive(Debug)]
pub(crate) enum ImportEvent<'a> {
    /// It begins so, and so many users are there already.
    Began(ImportStart),
    /// So many of all users are in the database.
    Copied {
        users: u64,
        of: u64,
    },
    Skipped(&'a SkippedRow),
}

/// What an import has come to, with what earlier parts of it had copied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ImportReport {
    pub(crate) start: ImportStart,
    /// The database, for people.
    pub(crate) database: String,
    pub(crate) users: u64,
    /// Users of whom somebody has set a custom status.
    pub(crate) custom_statuses: u64,
    pub(crate) reports: u64,
    /// Users who were seen.
    pub(crate) last_seen: u64,
    pub(crate) tombstones: u64,
    /// Users of whom tokens are revoked.
    pub(crate) revocations: u64,
    pub(crate) skipped: u64,
    /// The first of the rows that were skipped.
    pub(crate) skipped_rows: Vec<SkippedRow>,
}

/// Why an import stopped. Each is one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImportError {
    #[error("--from: {0}")]
    From(OpenError),
    #[error(
        "--from: there is no database {path:?}: name the SQLite file, which is presence.db in the data directory of the daemon that made it"
    )]
    Missing { path: std::path::PathBuf },
    #[error(
        "--from: can't read {path}: {what}. When it can be read, run the same command again: it goes on where it was"
    )]
    Unreadable { path: String, what: String },
    #[error("--to: {0}")]
    To(OpenError),
    #[error(
        "--to: {database} holds {users} users and was left as it is, because a daemon has used it or another program has filled it: \
         import into a new database. If nothing in it is needed, remove it first: \
         DROP TABLE IF EXISTS presence_import, report, profile, tombstone, revocation, heartbeat, history, presence_database"
    )]
    NotEmpty { database: String, users: u64 },
    #[error(
        "--to: {database} has an import from {other}, and was left as it is: finish that one, or import into another database"
    )]
    OtherSource { database: String, other: String },
    #[error(
        "--to: {database} has an import from this file as it was later: is the file a backup? Put the later one back, or import into another database"
    )]
    OlderSource { database: String },
    #[error(
        "the import into {database} stopped after {users} users: {what}. Run the same command again: it goes on from there"
    )]
    Stopped { database: String, users: u64, what: String },
    #[error("interrupted. Run the same command again: it goes on where it was")]
    Interrupted,
    #[error(
        "{database} has {found} users, and {expected} were imported: something else has written to it. Import into a new database"
    )]
    Differs {
        database: String,
        found: u64,
        expected: u64,
    },
}

/// Imports a file of SQLite into a database of PostgreSQL. Blocks while it reads.
pub(crate) async fn import(
    from: &Path,
    to: ImportPlace<'_>,
    mut tell: impl FnMut(ImportEvent<'_>),
) -> Result<ImportReport, ImportError> {
    if matches!(from.try_exists(), Ok(false)) {
        return Err(ImportError::Missing { path: from.to_owned() });
    }
    let source = SqliteSource::open(from, &OpenOptions::default()).map_err(ImportError::From)?;
    let mut target = ImportTarget::open(&to).await.map_err(ImportError::To)?;
    let (start, after_user) = target.begin(&source.source).await?;
    tell(ImportEvent::Began(start));
    let mut copy = UserCopy {
        report: ImportReport {
            start,
            database: target.name().to_owned(),
            ..ImportReport::default()
        },
        after_user,
        batch: Vec::new(),
        of: source.users,
    };
    copy.users(&source, &mut target, &mut tell).await?;
    let tombstones = source.tombstones().map_err(|error| unreadable(&source, &error))?;
    copy.report.tombstones = tombstones.len() as u64;
    copy.report.revocations = source.revocations.len() as u64;
    if start != ImportStart::Done {
        for part in tombstones.chunks(USERS_AT_ONCE) {
            let written = target.write_tombstones(part).await;
            written.map_err(|what| copy.stopped(what))?;
        }
        for part in source.revocations.chunks(USERS_AT_ONCE) {
            let written = target.write_revocations(part).await;
            written.map_err(|what| copy.stopped(what))?;
        }
    }
    let (heartbeats, expected) = (&source.heartbeats, copy.report.users);
    let found = match start {
        ImportStart::Done => target.count_users().await,
        _ => target.finish(heartbeats, expected).await,
    };
    let found = found.map_err(|what| copy.stopped(what))?;
    match found == expected {
        true => Ok(copy.report),
        false => Err(ImportError::Differs {
            database: copy.report.database,
            found,
            expected,
        }),
    }
}

fn unreadable(source: &SqliteSource, error: &rusqlite::Error) -> ImportError {
    ImportError::Unreadable {
        path: source.source.path.clone(),
        what: error.to_string(),
    }
}

/// The pass over the users.
struct UserCopy {
    report: ImportReport,
    /// Those up to this one are in the database.
    after_user: Option<String>,
    /// Those that are written next.
    batch: Vec<(UserId, Box<Row>)>,
    of: u64,
}

impl UserCopy {
    async fn users(
        &mut self,
        source: &SqliteSource,
        target: &mut ImportTarget,
        tell: &mut impl FnMut(ImportEvent<'_>),
    ) -> Result<(), ImportError> {
        let failed = |error: rusqlite::Error| unreadable(source, &error);
        let mut statement = source.select_users().map_err(failed)?;
        let mut users = SourceUsers::of(&mut statement).map_err(failed)?;
        while let Some(item) = users.next().map_err(failed)? {
            match item {
                SourceItem::Skipped(row) => self.skip(row, tell),
                SourceItem::User(user, row) => self.add(user, row),
            }
            if self.batch.len() >= USERS_AT_ONCE {
                self.write(target, tell).await?;
            }
        }
        self.write(target, tell).await
    }

    fn skip(&mut self, row: SkippedRow, tell: &mut impl FnMut(ImportEvent<'_>)) {
        tell(ImportEvent::Skipped(&row));
        self.report.skipped += 1;
        if self.report.skipped_rows.len() < SKIPPED_MAX {
            self.report.skipped_rows.push(row);
        }
    }

    fn add(&mut self, user: UserId, row: Box<Row>) {
        let report = &mut self.report;
        report.users += 1;
        report.custom_statuses += u64::from(row.durable.preference.set_at.is_some());
        report.reports += row.durable.reports.len() as u64;
        report.last_seen += u64::from(row.last_seen.is_some());
        let is_there = self.after_user.as_deref().is_some_and(|after| user.as_str() <= after);
        if !is_there && report.start != ImportStart::Done {
            self.batch.push((user, row));
        }
    }

    async fn write(
        &mut self,
        target: &mut ImportTarget,
        tell: &mut impl FnMut(ImportEvent<'_>),
    ) -> Result<(), ImportError> {
        if !self.batch.is_empty() {
            let written = target.write_users(&self.batch).await;
            written.map_err(|what| self.stopped(what))?;
            self.batch.clear();
            let (users, of) = (self.report.users, self.of);
            tell(ImportEvent::Copied { users, of });
        }
        Ok(())
    }

    fn stopped(&self, what: String) -> ImportError {
        ImportError::Stopped {
            database: self.report.database.clone(),
            users: self.report.users - self.batch.len() as u64,
            what,
        }
    }
}
