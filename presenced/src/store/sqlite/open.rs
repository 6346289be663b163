//! Opening the database: inspecting it, making or migrating it, then starting the threads.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::Connection;

use super::alive::AliveFile;
use super::connection::{Beside, open_reader, open_writable, open_writer};
use super::file_check::{FoundFile, find, io_error, sql_error};
use super::file_identity::FileIdentity;
use super::health::Health;
use super::queue::Queue;
use super::read::{ReadLane, ReadQueues};
use super::writer::StoreWriter;
use super::{Inner, OpenOptions, Threads, migration, read};
use crate::store::{OpenError, Startup, StoreMetrics};

/// Readable and writable by the owner alone.
const PRIVATE: u32 = 0o600;

/// Opens the file, or makes it; migrates an older one; starts the threads.
pub(super) fn open(path: &Path, options: &OpenOptions, metrics: StoreMetrics) -> Result<(Inner, Startup), OpenError> {
    match find(path, options.busy_timeout)? {
        FoundFile::Nothing => create(path, options.busy_timeout)?,
        FoundFile::Ours => make_private(path).map_err(|error| io_error(path, &error))?,
    }
    let sql = |error: rusqlite::Error| sql_error(path, &error);
    let mut connection = open_writer(path, options.busy_timeout).map_err(sql)?;
    migration::migrate(&mut connection).map_err(sql)?;
    let startup = Startup {
        alive: AliveFile::read(path),
        ..read::load_startup(&connection).map_err(sql)?
    };
    let identity = FileIdentity::of(path).map_err(|error| io_error(path, &error))?;
    let lanes = std::iter::repeat_n(ReadLane::Singles, options.readers.max(1)).chain([ReadLane::Lists]);
    let readers: Result<Vec<(ReadLane, Connection)>, _> = lanes
        .map(|lane| open_reader(path, options.busy_timeout).map(|connection| (lane, connection)))
        .collect();
    let readers = readers.map_err(sql)?;

    let writes = Arc::new(Queue::new(options.queue_max, metrics.writes_waiting.clone()));
    let reads = || Arc::new(Queue::new(options.queue_max, metrics.reads_waiting.clone()));
    let reads = ReadQueues {
        singles: reads(),
        lists: reads(),
    };
    let health = Arc::new(Health::new(path, migration::VERSION, metrics));
    let writer = StoreWriter::new(
        (connection, identity),
        writes.clone(),
        health.clone(),
        options.batch_max,
    );
    let writer = writer.map_err(sql)?;
    // Built before the threads start: if one can't, dropping this ends those that did.
    let inner = Inner {
        writes,
        reads,
        health,
        alive: Arc::new(AliveFile::new(path, startup.latest_stored())),
        answer_within: options.answer_within,
        threads: Mutex::new(Threads::default()),
    };
    start_threads(&inner, writer, readers).map_err(|error| io_error(path, &error))?;
    Ok((inner, startup))
}

fn start_threads(inner: &Inner, writer: StoreWriter, readers: Vec<(ReadLane, Connection)>) -> std::io::Result<()> {
    let mut threads = inner.threads.lock();
    for (number, (lane, connection)) in readers.into_iter().enumerate() {
        let (queue, health) = (inner.reads.of(lane).clone(), inner.health.clone());
        let run = move || read::run(&connection, lane, &queue, &health);
        threads.readers.push(start(format!("store-reader-{number}"), run)?);
    }
    threads.writer = Some(start("store-writer".to_owned(), move || writer.run())?);
    Ok(())
}

fn start(name: String, run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name).spawn(run)
}

/// Makes a complete file under another name, then renames it: an interrupted start leaves none that looks damaged. SQLite
/// gives the files beside it the same mode.
fn create(path: &Path, busy_timeout: Duration) -> Result<(), OpenError> {
    let io = |error: std::io::Error| io_error(path, &error);
    let mut draft = OsString::from(path);
    draft.push(".new");
    let draft = PathBuf::from(draft);
    remove_if_there(&draft).map_err(io)?;
    remove_if_there(&Beside::Journal.path(&draft)).map_err(io)?;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(PRIVATE);
    options.open(&draft).map_err(io)?;
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
        .map_err(io)
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
