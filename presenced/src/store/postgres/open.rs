//! Opening the database: reaching the server, making or migrating the schema, taking the lock, then starting the tasks.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use presence::Wall;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_postgres::Client;

use super::exclusive::START_PATIENCE;
use super::failure::Failure;
use super::health::ServerHealth;
use super::migration::{self, Identity, MigrationError};
use super::read::Reader;
use super::session::{Connector, SETUP_TIMEOUT, STATEMENT_TIMEOUT, within};
use super::write_session::{Access, WriteLink, WriteSession};
use super::writer::PostgresWriter;
use super::{PostgresInner, PostgresPlace, startup};
use crate::clock::Stopwatch;
use crate::store::alive::AliveFile;
use crate::store::queue::Queue;
use crate::store::read_request::{ReadJob, ReadLane};
use crate::store::requests::{DatabaseHealth, Requests};
use crate::store::write_request::WriteJob;
use crate::store::{OpenError, OpenOptions, Startup, StoreMetrics};
use crate::vital;

/// How long a start waits for a server that is not there yet: as long as one takes that was started with the daemon.
const SERVER_PATIENCE: Duration = Duration::from_secs(10);
/// How often it tries meanwhile.
const TRY_EVERY: Duration = Duration::from_millis(250);

/// How long the schema may take, at most: the wait for a node that is at it, then as long again.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(150);

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
    let health = Arc::new(ServerHealth::new(&place.url.name, migration::VERSION, metrics.clone()));
    let alive = AliveFile::new(Path::to_owned(place.alive), None);
    let requests = Requests::new(DatabaseHealth::Postgres(health.clone()), alive, options, metrics);
    let (opened, startup) = oneshot::channel();
    let tasks = Tasks {
        writes: Arc::clone(&requests.writes),
        singles: Arc::clone(&requests.singles),
        lists: Arc::clone(&requests.lists),
        health: Arc::clone(&health),
        options: *options,
    };
    let inner = PostgresInner {
        requests,
        #[cfg(test)]
        health,
        thread: Mutex::default(),
    };
    let run = move || run(connector, access, tasks, opened);
    let thread = vital::start_thread("store", run);
    *inner.thread.lock() = Some(thread.map_err(|error| unusable(error.to_string()))?);
    let ended = |_| unusable("the store's thread ended unexpectedly".to_owned());
    let mut startup = startup.await.map_err(ended)??;
    startup.alive = AliveFile::read(place.alive);
    if let Some(heartbeat) = startup.latest_stored() {
        if let Some(lost) = startup.lost_heartbeat() {
            warn_of_loss(heartbeat.wall, lost, &database);
        }
        inner.requests.alive.note_stored(heartbeat.wall);
    }
    Ok((inner, startup))
}

fn warn_of_loss(has: Wall, had: Wall, database: &str) {
    tracing::warn!(
        database,
        has_ms = has.as_millis(),
        had_ms = had.as_millis(),
        "the database is behind what it had acknowledged: a standby that was behind has taken over, or a backup was put in its \
         place. What was written between these two times is lost"
    );
}

/// What the tasks share with the handle.
struct Tasks {
    writes: Arc<Queue<WriteJob>>,
    singles: Arc<Queue<ReadJob>>,
    lists: Arc<Queue<ReadJob>>,
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
                let opened = (Arc::clone(&found.connector), found.identity.clone());
                let link = WriteLink::new(opened, access, found.session, &tasks.health);
                serve((&found.connector, &found.identity), link, tasks).await;
            }
            Err(error) => drop(opened.send(Err(error))),
        }
    });
}

async fn serve(opened: (&Arc<Connector>, &Identity), link: WriteLink, tasks: Tasks) {
    let Tasks {
        writes,
        singles,
        lists,
        health,
        options,
    } = tasks;
    let mut running = JoinSet::new();
    for _ in 0..options.readers.max(1) {
        running.spawn(Reader::new(ReadLane::Singles, &singles, opened, &health).run());
    }
    running.spawn(Reader::new(ReadLane::Lists, &lists, opened, &health).run());
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
    let looking = warn_if_not_durable(&client, connector.name());
    within(STATEMENT_TIMEOUT, looking).await.map_err(failed)?;
    let migrating = tokio::time::timeout(MIGRATION_TIMEOUT, migration::migrate(&mut client));
    let migrated = migrating.await.unwrap_or_else(|_| Err(Failure::late().into()));
    let identity = migrated.map_err(|error| match error {
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
    let opening = WriteSession::open(client, access, START_PATIENCE);
    let session = within(START_PATIENCE + SETUP_TIMEOUT, opening).await.map_err(failed)?;
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
