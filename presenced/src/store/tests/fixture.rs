//! Databases of every implementation, and values to store in them.

use std::path::PathBuf;
use std::sync::Arc;

use presence::{Actor, CustomStatus, NodeName, Revision, Status, UserId, Version, Wall};
use prometheus_client::registry::Registry;
use tempfile::TempDir;

use super::postgres_server::PostgresServer;
use crate::postgres_url::PostgresUrl;
use crate::store::when_free;
use crate::store::{
    Access, DurableRow, Heartbeat, NewPreference, NewReport, OpenOptions, PostgresPlace, ReportTimes, Row, Startup,
    StatusRow, Store, StoreError, StoreMetrics,
};

/// A database of one implementation, removed at the end.
pub(in crate::store) enum Backend {
    Sqlite(TempDir),
    /// The name of a database of the server that all tests share, and a directory for what is kept beside it.
    Postgres(String, TempDir),
}

impl Backend {
    pub(in crate::store) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    pub(in crate::store) fn postgres() -> Self {
        Self::Postgres(PostgresServer::shared().create_database(), tempfile::tempdir().unwrap())
    }

    /// A new database of the same implementation.
    pub(in crate::store) fn another(&self) -> Self {
        match self {
            Self::Sqlite(_) => Self::sqlite(),
            Self::Postgres(..) => Self::postgres(),
        }
    }

    pub(in crate::store) fn open(&self) -> Store {
        self.start().0
    }

    /// A second handle that takes no lock.
    pub(in crate::store) fn beside(&self) -> Store {
        self.beside_with(&OpenOptions::patient())
    }

    /// A handle as a node of a cluster has one. On one file there is only one node: further handles take no lock.
    pub(in crate::store) fn node(&self) -> Store {
        if let Self::Sqlite(directory) = self
            && !database(directory).exists()
        {
            return self.start_node().0;
        }
        self.beside_with(&OpenOptions {
            access: Access::Shared,
            ..OpenOptions::patient()
        })
    }

    fn beside_with(&self, options: &OpenOptions) -> Store {
        match self {
            Self::Sqlite(directory) => Store::open_beside(&database(directory), options, metrics()),
            Self::Postgres(name, directory) => on_postgres(name, directory, async |place| {
                Store::open_postgres_beside(place, options, metrics()).await
            }),
        }
    }

    /// The start of a node of a cluster.
    pub(in crate::store) fn start_node(&self) -> (Store, Startup) {
        self.start_as(&OpenOptions {
            access: Access::Shared,
            ..OpenOptions::patient()
        })
    }

    pub(in crate::store) fn start(&self) -> (Store, Startup) {
        self.start_as(&OpenOptions::patient())
    }

    fn start_as(&self, options: &OpenOptions) -> (Store, Startup) {
        match self {
            Self::Sqlite(directory) => when_free(|| Store::open(&database(directory), options, metrics())).unwrap(),
            Self::Postgres(name, directory) => on_postgres(name, directory, async |place| {
                Store::open_postgres(place, options, metrics()).await.unwrap()
            }),
        }
    }

    /// Changes the database behind the back of its handles.
    pub(in crate::store) fn sql(&self, sql: &str) {
        match self {
            Self::Sqlite(directory) => rusqlite::Connection::open(database(directory))
                .unwrap()
                .execute_batch(sql)
                .unwrap(),
            Self::Postgres(name, _) => drop(PostgresServer::shared().sql(name, sql)),
        }
    }

    /// Closes a handle and copies the database.
    pub(in crate::store) fn copy(&self, store: &Store) -> Copied {
        store.close();
        match self {
            Self::Sqlite(directory) => Copied::Bytes(std::fs::read(database(directory)).unwrap()),
            Self::Postgres(name, _) => {
                let copy = format!("{name}_copy");
                copy_database(name, &copy);
                Copied::Database(copy)
            }
        }
    }

    /// Closes a handle and puts a copy in the place of the database.
    pub(in crate::store) fn replace(&self, store: &Store, copy: &Copied) {
        store.close();
        match (self, copy) {
            (Self::Sqlite(directory), Copied::Bytes(bytes)) => std::fs::write(database(directory), bytes).unwrap(),
            (Self::Postgres(name, _), Copied::Database(copy)) => {
                PostgresServer::shared().sql("postgres", &format!("DROP DATABASE {name}"));
                copy_database(copy, name);
            }
            _ => panic!("a copy of another kind of database"),
        }
    }

    /// Closes a handle and opens the database again.
    pub(in crate::store) fn restart(&self, store: &Store) -> (Store, Startup) {
        store.close();
        self.start()
    }
}

/// A copy of a database.
pub(in crate::store) enum Copied {
    Bytes(Vec<u8>),
    Database(String),
}

fn copy_database(from: &str, to: &str) {
    PostgresServer::shared().sql("postgres", &format!("CREATE DATABASE {to} TEMPLATE {from}"));
}

/// Opens a database of the shared server.
fn on_postgres<T>(name: &str, directory: &TempDir, open: impl AsyncFnOnce(PostgresPlace<'_>) -> T) -> T {
    let url = PostgresUrl::parse(&PostgresServer::shared().url(name)).unwrap();
    let alive = directory.path().join("alive");
    let place = PostgresPlace {
        url: &url,
        password_file: None,
        alive: &alive,
    };
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(open(place)))
}

fn database(directory: &TempDir) -> PathBuf {
    directory.path().join("presence.db")
}

pub(in crate::store) fn metrics() -> StoreMetrics {
    StoreMetrics::register(&mut Registry::default())
}

pub(in crate::store) fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

pub(in crate::store) fn wall(millis: i64) -> Wall {
    Wall::from_millis(millis)
}

pub(in crate::store) fn preference(custom: CustomStatus, set_at: i64) -> NewPreference {
    NewPreference {
        custom,
        set_at: wall(set_at),
        set_by: Actor::User,
    }
}

pub(in crate::store) fn report(source: &str, heard: i64) -> NewReport {
    NewReport {
        said: None,
        source: source.parse().unwrap(),
        status: CustomStatus::Online,
        since: wall(heard),
        heard: wall(heard),
        last_active: None,
        expires_at: None,
    }
}

pub(in crate::store) fn times(last_seen: i64) -> ReportTimes {
    ReportTimes {
        last_seen: wall(last_seen),
        last_active: None,
    }
}

/// A status row that has the user connected on the node "here", unless it is OFFLINE.
pub(in crate::store) fn status(name: &str, status: Status, revision: u64) -> StatusRow {
    StatusRow {
        user: user(name),
        status,
        since: Some(wall(1_000)),
        connected_on: match status {
            Status::Offline => Arc::default(),
            _ => nodes(&["here"]),
        },
        last_seen: Some(wall(1_000)),
        last_active: None,
        revision: Revision::new(revision),
        clamp_to: None,
        published: None,
    }
}

pub(in crate::store) fn nodes(names: &[&str]) -> Arc<[NodeName]> {
    names.iter().map(|name| NodeName::new(name)).collect()
}

pub(in crate::store) fn heartbeat(wall: i64, ceiling: u64, clean: bool) -> Heartbeat {
    Heartbeat {
        wall: self::wall(wall),
        ceiling,
        clean,
        history: None,
    }
}

impl Store {
    /// Sets a custom status of this revision, without knowing a version.
    pub(in crate::store) async fn set_custom(
        &self,
        name: &str,
        custom: CustomStatus,
        revision: u64,
    ) -> Result<DurableRow, StoreError> {
        let (user, revision) = (user(name), Revision::new(revision));
        self.save_preference(&user, preference(custom, 1_000), Version::NONE, revision)
            .await
    }

    /// Makes a report, without knowing a version.
    pub(in crate::store) async fn report(&self, name: &str, source: &str) -> DurableRow {
        let user = user(name);
        let reported = self.save_report(&user, report(source, 1_000), times(1_000), Version::NONE);
        reported.await.unwrap()
    }

    pub(in crate::store) async fn row(&self, name: &str) -> Option<Row> {
        self.load(&user(name)).await.unwrap()
    }

    /// The rows of several users.
    pub(in crate::store) async fn rows(&self, users: &[UserId]) -> Vec<Option<Row>> {
        let rows = self.load_many(users).await.unwrap();
        rows.into_iter().map(Result::unwrap).collect()
    }

    /// The stored durable part; empty, if the user is not stored.
    pub(in crate::store) async fn durable(&self, name: &str) -> DurableRow {
        self.row(name).await.unwrap_or_default().durable
    }

    /// The stored custom status; none, if the user is not stored.
    pub(in crate::store) async fn custom(&self, name: &str) -> Option<CustomStatus> {
        self.row(name).await.map(|row| row.durable.preference.custom)
    }
}
