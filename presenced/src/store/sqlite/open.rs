//! Opening the database: inspecting it, making or migrating it, then starting the threads.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::Connection;

use super::connection::{Beside, open_reader, open_writable, open_writer};
use super::database_lock::{DatabaseLock, in_use};
use super::file_check::{FoundFile, find, io_error, sql_error};
use super::file_identity::FileIdentity;
use super::health::Health;
use super::log_check::LogCheck;
use super::writer::StoreWriter;
use super::{Inner, Threads, migration, read};
use crate::files::Holder;
use crate::store::alive::AliveFile;
use crate::store::metrics::FailureKind;
use crate::store::read_request::ReadLane;
use crate::store::requests::{DatabaseHealth, Requests};
use crate::store::{OpenError, OpenOptions, Startup, StoreMetrics};
use crate::vital;

/// Opens it as another node would, beside a handle that holds the lock.
#[cfg(test)]
pub(super) fn open_beside(
    path: &Path,
    options: &OpenOptions,
    metrics: StoreMetrics,
) -> Result<(Inner, Startup), OpenError> {
    open_locked(path, options, metrics, None)
}

/// Readable and writable by the owner alone.
const PRIVATE: u32 = 0o600;

/// Locks the file, or makes it; migrates an older one; starts the threads.
pub(super) fn open(path: &Path, options: &OpenOptions, metrics: StoreMetrics) -> Result<(Inner, Startup), OpenError> {
    // SQLite follows links, and has the log beside the file that they lead to.
    let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let lock = DatabaseLock::take(path)?;
    let lock = match (find(path, options.busy_timeout)?, lock) {
        (FoundFile::Nothing, _) => create(path, options.busy_timeout)?,
        (FoundFile::Ours, None) => return Err(in_use(path, Holder(None))),
        (FoundFile::Ours, Some(lock)) => lock,
    };
    open_locked(path, options, metrics, Some(lock))
}

/// The same for whoever holds the lock, if anybody does.
fn open_locked(
    path: &Path,
    options: &OpenOptions,
    metrics: StoreMetrics,
    lock: Option<DatabaseLock>,
) -> Result<(Inner, Startup), OpenError> {
    make_private(path).map_err(|error| io_error(path, &error))?;
    let sql = |error: rusqlite::Error| sql_error(path, &error);
    let mut connection = on_reserve(path, || open_writer(path, options.busy_timeout)).map_err(sql)?;
    migration::migrate(&mut connection).map_err(sql)?;
    let startup = Startup {
        alive: AliveFile::read(&Beside::Alive.path(path)),
        ..read::load_startup(&connection, options.access).map_err(sql)?
    };
    let identity = FileIdentity::of(path).map_err(|error| io_error(path, &error))?;
    let lanes = std::iter::repeat_n(ReadLane::Singles, options.readers.max(1)).chain([ReadLane::Lists]);
    let readers: Result<Vec<(ReadLane, Connection)>, _> = lanes
        .map(|lane| open_reader(path, options.busy_timeout).map(|connection| (lane, connection)))
        .collect();
    let readers = readers.map_err(sql)?;

    let health = Arc::new(Health::new(path, migration::VERSION, metrics.clone()));
    let log_check = Arc::new(LogCheck::open(path).map_err(|error| io_error(path, &error))?);
    let alive = AliveFile::new(Beside::Alive.path(path), startup.latest_stored());
    let requests = Requests::new(DatabaseHealth::Sqlite(health.clone()), alive, options, metrics);
    let opened = (connection, identity, log_check.clone());
    let writer = StoreWriter::new(opened, requests.writes.clone(), health.clone(), options);
    let writer = writer.map_err(sql)?;
    // Built before the threads start: if one can't, dropping this ends those that did.
    let inner = Inner {
        requests,
        health,
        threads: Mutex::new(Threads::default()),
    };
    start_threads(&inner, writer, readers, &Arc::new((lock, log_check))).map_err(|error| io_error(path, &error))?;
    Ok((inner, startup))
}

/// Opens once more, with the space in reserve, if the disk has none for the index of the log.
pub(super) fn on_reserve<T>(path: &Path, mut open: impl FnMut() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    match open() {
        Err(error)
            if matches!(FailureKind::of(&error), FailureKind::Full | FailureKind::Io)
                && AliveFile::free_reserve(&Beside::Alive.path(path)) =>
        {
            open()
        }
        opened => opened,
    }
}

/// Each thread holds the lock and the index of the log until it has closed its connection.
fn start_threads(
    inner: &Inner,
    writer: StoreWriter,
    readers: Vec<(ReadLane, Connection)>,
    held: &Arc<(Option<DatabaseLock>, Arc<LogCheck>)>,
) -> std::io::Result<()> {
    let mut threads = inner.threads.lock();
    for (number, (lane, connection)) in readers.into_iter().enumerate() {
        let (queue, health, held) = (
            inner.requests.reads_of(lane).clone(),
            inner.health.clone(),
            held.clone(),
        );
        let run = move || {
            read::run((&connection, &held.1), lane, &queue, &health);
            drop(connection);
            drop(held);
        };
        threads
            .readers
            .push(vital::start_thread(&format!("store-reader-{number}"), run)?);
    }
    let held = held.clone();
    let run = move || {
        writer.run();
        drop(held);
    };
    // Not vital: a writer that panicked seals the store, and everyone is served from memory.
    threads.writer = Some(thread::Builder::new().name("store-writer".to_owned()).spawn(run)?);
    Ok(())
}

/// Makes a complete file under another name, then renames it: an interrupted start leaves none that looks damaged. SQLite
/// gives the files beside it the same mode. The lock is taken before the name: no other start can come in between.
pub(super) fn create(path: &Path, busy_timeout: Duration) -> Result<DatabaseLock, OpenError> {
    let io = |error: std::io::Error| io_error(path, &error);
    let mut draft = OsString::from(path);
    draft.push(".new");
    let draft = PathBuf::from(draft);
    if let Some(leftover) = DatabaseLock::take(&draft)? {
        remove_if_there(&draft).map_err(io)?;
        remove_if_there(&Beside::Journal.path(&draft)).map_err(io)?;
        drop(leftover);
    }
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(PRIVATE);
    let file = options.open(&draft).map_err(|error| match error.kind() {
        // Another start is making the database.
        ErrorKind::AlreadyExists => in_use(path, Holder(None)),
        _ => io(error),
    })?;
    let made = file.metadata().map_err(io)?;
    let lock = DatabaseLock::of(file, &draft)?.ok_or_else(|| in_use(path, Holder(None)))?;
    let is_made_here = |named: Metadata| (named.dev(), named.ino()) == (made.dev(), made.ino());
    if !draft.metadata().is_ok_and(is_made_here) {
        // Another start took the file for a leftover before it was locked, and goes on.
        return Err(in_use(path, Holder(None)));
    }
    if path.exists() {
        // Another start has made the database since it was looked for.
        remove_if_there(&draft).map_err(io)?;
        return Err(in_use(path, Holder(None)));
    }
    let made = open_writable(&draft, busy_timeout).and_then(|mut connection| {
        migration::migrate(&mut connection)?;
        connection.close().map_err(|(_, error)| error)
    });
    made.map_err(|error| sql_error(path, &error))?;
    fs::rename(&draft, path).map_err(io)?;
    // The name is as much a part of what is acknowledged as the content.
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(io)?;
    Ok(lock)
}

fn make_private(path: &Path) -> std::io::Result<()> {
    for file in [path.to_owned(), Beside::Log.path(path), Beside::LogIndex.path(path)] {
        let mode = match file.metadata() {
            Ok(metadata) => metadata.permissions().mode(),
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if mode & 0o077 != 0 {
            tracing::warn!(?file, mode = %format_args!("{:o}", mode & 0o7777), "made a file of the database private");
            fs::set_permissions(&file, Permissions::from_mode(PRIVATE))?;
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
