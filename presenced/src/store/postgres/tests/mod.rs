//! Tests of what PostgreSQL alone has: a server that comes and goes, and other programs in its databases.

mod access;
mod conflicts;
mod database_lock;
mod failover;
mod imports;
mod lost_answers;
mod migration;
mod nodes;
mod opening;
mod outages;
mod plans;
mod proxy;
mod rejected_imports;
mod stalls;
mod throughput;
mod tls;

use std::path::{Path, PathBuf};
use std::time::Duration;

use presence::{CustomStatus, Status};
use tempfile::TempDir;

use crate::postgres_url::PostgresUrl;
use crate::store::tests::fixture::{metrics, status};
use crate::store::tests::postgres_server::{PostgresServer, make_private};
use crate::store::{Access, OpenError, OpenOptions, PostgresPlace, Startup, Store, StoreError};

/// How long a condition may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// How long a caller waits that is to give up: as in production.
const SOON: Duration = Duration::from_secs(2);

/// Takes the lock of a database as a daemon does that is alone.
const LOCK: &str = "SELECT pg_advisory_lock(1886545267, 'presence_database'::regclass::oid::int8::int4);";

/// A new database, and what a daemon has beside it.
struct TestDatabase<'a> {
    server: &'a PostgresServer,
    name: String,
    dir: TempDir,
}

impl TestDatabase<'static> {
    /// On the server that the tests share.
    fn shared() -> Self {
        TestDatabase::on(PostgresServer::shared())
    }
}

impl<'a> TestDatabase<'a> {
    fn on(server: &'a PostgresServer) -> Self {
        Self {
            server,
            name: server.create_database(),
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn url(&self) -> String {
        self.server.url(&self.name)
    }

    fn password_file(&self) -> PathBuf {
        self.dir.path().join("password")
    }

    fn write_password(&self, text: &str) {
        std::fs::write(self.password_file(), text).unwrap();
        make_private(&self.password_file());
    }

    async fn open(&self) -> Store {
        self.open_at(&self.url(), None).await.unwrap()
    }

    async fn open_at(&self, url: &str, password_file: Option<&Path>) -> Result<Store, OpenError> {
        self.start_at(url, password_file).await.map(|(store, _)| store)
    }

    async fn start(&self) -> (Store, Startup) {
        self.start_at(&self.url(), None).await.unwrap()
    }

    async fn start_at(&self, url: &str, password_file: Option<&Path>) -> Result<(Store, Startup), OpenError> {
        self.start_with(url, password_file, &OpenOptions::patient()).await
    }

    async fn start_with(
        &self,
        url: &str,
        password_file: Option<&Path>,
        options: &OpenOptions,
    ) -> Result<(Store, Startup), OpenError> {
        let url = PostgresUrl::parse(url).unwrap();
        let alive = self.dir.path().join("alive");
        let place = PostgresPlace {
            url: &url,
            password_file,
            alive: &alive,
        };
        Store::open_postgres(place, options, metrics()).await
    }

    /// Why it can't be opened.
    async fn open_error(&self, url: &str, password_file: Option<&Path>) -> String {
        match self.open_at(url, password_file).await {
            Ok(_) => panic!("{url} was opened"),
            Err(error) => error.to_string(),
        }
    }

    /// As a node of a cluster.
    async fn open_node(&self) -> Store {
        self.try_open_node().await.unwrap()
    }

    async fn try_open_node(&self) -> Result<Store, OpenError> {
        self.start_node().await.map(|(store, _)| store)
    }

    async fn start_node(&self) -> Result<(Store, Startup), OpenError> {
        let options = OpenOptions {
            access: Access::Shared,
            ..OpenOptions::patient()
        };
        self.start_with(&self.url(), None, &options).await
    }

    fn sql(&self, sql: &str) -> String {
        self.server.sql(&self.name, sql)
    }

    /// Ends the connections of daemons, but not their attempts to connect anew.
    fn end_connections(&self) {
        self.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'presenced'",
        );
    }
}

/// Sets a custom status until that succeeds. The errors until then.
async fn set_until_done(store: &Store, name: &str, custom: CustomStatus) -> Vec<StoreError> {
    let mut errors = Vec::new();
    until(async || match store.set_custom(name, custom, 1).await {
        Ok(_) => true,
        Err(error) => {
            errors.push(error);
            false
        }
    })
    .await;
    errors
}

/// Waits until it is so.
async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.expect("it is never so");
}

fn is_unavailable<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable { .. }))
}

/// Whether a store says why it takes no writes, with these words.
fn fails_with(store: &Store, words: &str) -> bool {
    let health = store.health();
    !health.writable && health.error.is_some_and(|error| error.contains(words))
}

/// The statuses of many users, at this revision.
fn statuses(names: impl Iterator<Item = usize>, revision: u64) -> Vec<crate::store::StatusRow> {
    names
        .map(|number| status(&format!("user-{number}"), Status::Online, revision))
        .collect()
}
