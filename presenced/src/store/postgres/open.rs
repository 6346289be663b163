//! Opening the database for a daemon: what [`reach`] does, then taking the lock and starting the tasks.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use presence::Wall;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::database_lock::{DatabaseAccess, LockMode, START_PATIENCE};
use super::failure::Failure;
use super::health::ServerHealth;
use super::import_marker::{self, ImportState};
use super::migration::{self, Identity};
use super::reach::{self, server_error};
use super::read::Reader;
use super::session::{Connector, SETUP_TIMEOUT, within};
use super::write_session::{WriteLink, WriteSession};
use super::writer::PostgresWriter;
use super::{PostgresInner, PostgresPlace, startup};
use crate::store::alive::AliveFile;
use crate::store::queue::Queue;
use crate::store::read_request::{ReadJob, ReadLane};
use crate::store::requests::{DatabaseHealth, Requests};
use crate::store::write_request::WriteJob;
use crate::store::{OpenError, OpenOptions, Startup, StoreMetrics};
use crate::vital;

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
    mode: LockMode,
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
        connector: Arc::clone(&connector),
        #[cfg(test)]
        health,
        thread: Mutex::default(),
    };
    let access = DatabaseAccess {
        lock: mode,
        access: options.access,
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
fn run(
    connector: Arc<Connector>,
    access: DatabaseAccess,
    tasks: Tasks,
    opened: oneshot::Sender<Result<Startup, OpenError>>,
) {
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

/// Reaches the server, makes the schema, takes the lock, and reads what a start needs to know.
async fn first_session(connector: Arc<Connector>, access: DatabaseAccess) -> Result<Opened, OpenError> {
    let failed = |failure: Failure| server_error(&connector, &failure);
    let mut client = reach::connect(&connector).await?;
    let identity = reach::prepare_schema(&connector, &mut client, access.lock).await?;
    // The lock comes before the reading: nobody may write in between.
    let opening = WriteSession::open(client, access, START_PATIENCE);
    let session = within(START_PATIENCE + SETUP_TIMEOUT, opening).await.map_err(failed)?;
    let mut session = session.map_err(|holders| reach::taken(&connector, holders))?;
    let leaving = import_marker::leave(&mut session.client);
    if within(reach::MIGRATION_TIMEOUT, leaving).await.map_err(failed)? == ImportState::CutOff {
        let database = connector.name().to_owned();
        return Err(OpenError::ImportCutOff { database });
    }
    let startup = Startup {
        identity: identity.0.clone(),
        ..startup::load(&mut session.client, access.access)
            .await
            .map_err(failed)?
    };
    Ok(Opened {
        connector,
        identity,
        session,
        startup,
    })
}
