//! Opening the database: reaching the server, making or migrating the schema, taking the lock, then starting the tasks.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_postgres::Client;

use super::exclusive::START_PATIENCE;
use super::failure::Failure;
use super::health::ServerHealth;
use super::migration::{self, Identity, MigrationError};
use super::read::Reader;
use super::session::Connector;
use super::write_session::{Access, WriteLink, WriteSession};
use super::writer::PostgresWriter;
use super::{PostgresInner, PostgresPlace, startup};
use crate::clock::Stopwatch;
use crate::store::alive::AliveFile;
use crate::store::queue::Queue;
use crate::store::read_request::ReadLane;
use crate::store::{OpenError, OpenOptions, Startup, StoreMetrics};
use crate::vital;

/// How long a start waits for a server that is not there yet: as long as one takes that was started with the daemon.
const SERVER_PATIENCE: Duration = Duration::from_secs(10);
/// How often it tries meanwhile.
const TRY_EVERY: Duration = Duration::from_millis(250);

/// What the first connection found.
struct Opened {
    connector: Arc<Connector>,
    identity: Identity,
    session: WriteSession,
    startup: Startup,
}

/// Opens the database and starts the thread.
pub(super) async fn open(
    place: PostgresPlace<'_>,
    access: Access,
    options: &OpenOptions,
    metrics: StoreMetrics,
) -> Result<(PostgresInner, Startup), OpenError> {
    let database = place.url.name.clone();
    let unusable = |what: String| OpenError::Server {
        database: database.clone(),
        what,
    };
    let connector = Connector::new(place.url, place.password_file, options).map_err(unusable)?;
    let connector = Arc::new(connector);
    let inner = inner(&place, options, metrics);
    let (opened, startup) = oneshot::channel();
    let tasks = Tasks {
        writes: Arc::clone(&inner.writes),
        singles: Arc::clone(&inner.singles),
        lists: Arc::clone(&inner.lists),
        health: Arc::clone(&inner.health),
        options: *options,
    };
    let run = move || run(connector, access, tasks, opened);
    let thread = vital::start_thread("store", run);
    *inner.thread.lock() = Some(thread.map_err(|error| unusable(error.to_string()))?);
    let ended = |_| unusable("the store's thread ended unexpectedly".to_owned());
    let mut startup = startup.await.map_err(ended)??;
    startup.alive = AliveFile::read(place.alive);
    if let Some(heartbeat) = startup.latest_stored() {
        inner.alive.note_stored(heartbeat.wall);
    }
    Ok((inner, startup))
}

fn inner(place: &PostgresPlace<'_>, options: &OpenOptions, metrics: StoreMetrics) -> PostgresInner {
    let reads = || Arc::new(Queue::new(options.queue_max, metrics.reads_waiting.clone()));
    let alive: PathBuf = Path::to_owned(place.alive);
    PostgresInner {
        writes: Arc::new(Queue::new(options.queue_max, metrics.writes_waiting.clone())),
        singles: reads(),
        lists: reads(),
        alive: Arc::new(AliveFile::new(alive, None)),
        answer_within: options.answer_within,
        thread: Mutex::default(),
        health: Arc::new(ServerHealth::new(&place.url.name, migration::VERSION, metrics)),
    }
}

/// What the tasks share with the handle.
struct Tasks {
    writes: Arc<Queue<super::WriteJob>>,
    singles: Arc<Queue<super::ReadJob>>,
    lists: Arc<Queue<super::ReadJob>>,
    health: Arc<ServerHealth>,
    options: OpenOptions,
}

/// The thread: opens the database, then runs the tasks until the queues are closed and empty.
fn run(connector: Arc<Connector>, access: Access, tasks: Tasks, opened: oneshot::Sender<Result<Startup, OpenError>>) {
    let database = connector.name().to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let what = error.to_string();
            let _ = opened.send(Err(OpenError::Server { database, what }));
            return;
        }
    };
    runtime.block_on(async move {
        match first_session(connector, access).await {
            Ok(found) => {
                // A caller that is gone has closed the queues.
                let _ = opened.send(Ok(found.startup));
                let link = WriteLink::new(Arc::clone(&found.connector), access, found.identity, found.session);
                serve(&found.connector, link, tasks).await;
            }
            Err(error) => drop(opened.send(Err(error))),
        }
    });
}

async fn serve(connector: &Arc<Connector>, link: WriteLink, tasks: Tasks) {
    let Tasks {
        writes,
        singles,
        lists,
        health,
        options,
    } = tasks;
    let mut running = JoinSet::new();
    for _ in 0..options.readers.max(1) {
        running.spawn(Reader::new(ReadLane::Singles, &singles, connector, &health).run());
    }
    running.spawn(Reader::new(ReadLane::Lists, &lists, connector, &health).run());
    running.spawn(PostgresWriter::new(link, writes, health, options).run());
    while let Some(ended) = running.join_next().await {
        if let Err(error) = ended
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

/// Waits for a server that is not there yet; whatever else is wrong is an error at once.
async fn first_session(connector: Arc<Connector>, access: Access) -> Result<Opened, OpenError> {
    let waiting = Stopwatch::start();
    let mut is_told = false;
    loop {
        let failure = match connector.connect().await {
            Ok(client) => return set_up(connector, client, access).await,
            Err(failure) => failure,
        };
        if failure.is_final || waiting.elapsed() >= SERVER_PATIENCE {
            return Err(server_error(&connector, &failure));
        }
        if !std::mem::replace(&mut is_told, true) {
            tracing::warn!(database = connector.name(), error = %failure.text, "waiting for the database");
        }
        tokio::time::sleep(TRY_EVERY).await;
    }
}

async fn set_up(connector: Arc<Connector>, mut client: Client, access: Access) -> Result<Opened, OpenError> {
    let database = || connector.name().to_owned();
    let failed = |failure: Failure| server_error(&connector, &failure);
    warn_if_not_durable(&client, connector.name()).await.map_err(failed)?;
    let identity = migration::migrate(&mut client).await.map_err(|error| match error {
        MigrationError::Failed(failure) => server_error(&connector, &failure),
        MigrationError::Newer { found } => OpenError::NewerSchema {
            database: database(),
            found,
            known: migration::VERSION,
        },
        MigrationError::Foreign { table } => OpenError::ForeignTable {
            database: database(),
            table,
        },
        MigrationError::Encoding { found } => OpenError::Server {
            database: database(),
            what: format!("its encoding is {found}: make a database with ENCODING 'UTF8'"),
        },
    })?;
    // The lock comes before the reading: nobody may write in between.
    let session = WriteSession::open(client, access, START_PATIENCE)
        .await
        .map_err(failed)?;
    let mut session = session.map_err(|holder| OpenError::TakenBy {
        database: database(),
        holder: holder.text,
    })?;
    let startup = startup::load(&mut session.client).await.map_err(failed)?;
    Ok(Opened {
        connector,
        identity,
        session,
        startup,
    })
}

/// Nothing that a client sets makes up for a server that does not write to its disk.
async fn warn_if_not_durable(client: &Client, database: &str) -> Result<(), Failure> {
    for setting in ["fsync", "full_page_writes"] {
        let row = client
            .query_one("SELECT current_setting($1, true)", &[&setting])
            .await?;
        if row.try_get::<_, Option<&str>>(0)? == Some("off") {
            tracing::warn!(
                database,
                setting,
                "off: acknowledged writes are lost if the server's machine fails"
            );
        }
    }
    Ok(())
}

fn server_error(connector: &Connector, failure: &Failure) -> OpenError {
    let what = match failure.is_final {
        true => format!("{}: {}", failure.text, failure.advice),
        false => failure.text.to_string(),
    };
    OpenError::Server {
        database: connector.name().to_owned(),
        what,
    }
}
