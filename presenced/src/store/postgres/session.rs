//! One connection to the server: made, set up, and replaced when it breaks.
//!
//! Each part of the store has a connection of its own, so no pool is needed: one that is shared would let a write wait
//! behind a list. What is sent over one is sent together and answered in order.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::try_join_all;
use parking_lot::Mutex;
use presence::wire::rest::PostgresInfo;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, Row, Statement};

use super::failure::Failure;
use super::tls::Tls;
use crate::clock::Stopwatch;
use crate::data_dir;
use crate::postgres_url::PostgresUrl;
use crate::store::metrics::FailureKind;
use crate::store::{OpenOptions, RECONNECT_MAX};

/// Between two attempts to connect, at least; up to [`RECONNECT_MAX`], so that many nodes don't come at once.
const RECONNECT_MIN: Duration = Duration::from_millis(100);

/// For how long a statement runs, at most; twice the wait for a lock.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(2);
/// For how long a new connection is set up, at most: some ten round trips, and the wait for a lock that an earlier connection
/// of this daemon still has.
pub(super) const SETUP_TIMEOUT: Duration = Duration::from_secs(4);
/// After how long the server ends a transaction whose client says nothing more: it is gone.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(10);
/// The same where other nodes wait for the locks of that transaction: less than they wait, which is half of
/// [`OpenOptions::busy_timeout`], so that one that stands still fails none of their writes.
pub(super) const IDLE_WITH_LOCKS: Duration = Duration::from_millis(400);

/// What a new connection asks of its server. Other engines don't have all settings.
const SELECT_SERVER: &str =
    "SELECT current_setting('synchronous_commit'), pg_is_in_recovery(), current_setting('server_version'),
     current_setting('fsync', true), current_setting('full_page_writes', true), current_setting('autovacuum', true),
     current_setting('synchronous_standby_names', true), current_setting('max_connections', true)";

/// The parameters of one statement.
pub(super) type Parameters<'a> = Vec<Box<dyn ToSql + Sync + Send + 'a>>;

/// Answers of the server that are waited for together.
pub(super) type ServerAnswer<'a> = Pin<Box<dyn Future<Output = Result<Vec<Row>, Failure>> + Send + 'a>>;

/// Makes connections to one database.
pub(super) struct Connector {
    url: PostgresUrl,
    /// Read at each attempt: a password that was changed needs no restart.
    password_file: Option<PathBuf>,
    /// For how long the lock of an earlier connection is waited for, and half as long that of a row: a request that waits in
    /// vain together with others waits once more by itself.
    pub(super) busy_timeout: Duration,
    /// What the server told of itself at the last connection.
    server: Mutex<Option<PostgresInfo>>,
}

impl Connector {
    pub(super) fn new(url: &PostgresUrl, password_file: Option<&Path>, options: &OpenOptions) -> Result<Self, String> {
        // What can't be used now is no reason to wait for the server.
        Tls::new(&url.tls)?;
        Ok(Self {
            url: url.clone(),
            password_file: password_file.map(Path::to_owned),
            busy_timeout: options.busy_timeout,
            server: Mutex::default(),
        })
    }

    /// The database, for people.
    pub(super) fn name(&self) -> &str {
        &self.url.name
    }

    /// What the server told of itself when a connection was last made; none before the first.
    pub(super) fn server(&self) -> Option<PostgresInfo> {
        self.server.lock().clone()
    }

    /// Makes one attempt with each host, within the time for it, until one can be used.
    pub(super) async fn connect(&self) -> Result<Client, Failure> {
        let mut failures = Vec::new();
        for host in &self.url.hosts {
            let connecting = self.connect_to(host.clone());
            match tokio::time::timeout(self.url.connect_timeout, connecting).await {
                Ok(Ok(client)) => return Ok(client),
                Ok(Err(failure)) => failures.push(failure),
                Err(_) => failures.push(Failure::new(FailureKind::Unreachable, "the server does not answer")),
            }
        }
        Err(Failure::of_hosts(&failures))
    }

    async fn connect_to(&self, mut config: Config) -> Result<Client, Failure> {
        if let Some(file) = &self.password_file {
            config.password(password(file)?);
        }
        let (client, connection) = config.connect(self.tls()?).await?;
        tokio::spawn(async move {
            // Whoever waits for an answer is told the error as well.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the database ended");
            }
        });
        client.batch_execute(&self.settings()).await?;
        let server = client.query_one(SELECT_SERVER, &[]).await?;
        // What is acknowledged by the primary may not have reached it yet.
        if server.try_get(1)? {
            let text = "the server is a standby, whose data may be behind";
            return Err(Failure::new(FailureKind::ReadOnly, text));
        }
        match server.try_get::<_, &str>(0)? {
            "on" | "remote_apply" => {
                *self.server.lock() = Some(server_info(&server)?);
                Ok(client)
            }
            other => Err(Failure::new(
                FailureKind::Io,
                format!("synchronous_commit is {other}, and can't be set to on"),
            )),
        }
    }

    /// The roots are read at each attempt: certificates that were changed need no restart.
    fn tls(&self) -> Result<Tls, Failure> {
        Tls::new(&self.url.tls).map_err(|text| {
            Failure::new(FailureKind::Unreachable, text)
                .with_advice("sslrootcert must name a file with certificates in PEM that can be read")
        })
    }

    /// What is acknowledged is durable; nothing waits for ever, and what a client that is gone had begun is undone soon.
    ///
    /// Every statement finds its rows by an index. Left to itself, PostgreSQL keeps the plan of a prepared statement that it made
    /// while the table was small, a pass over the table that compares each row with each user of the batch: 256 users took 0.3 ms
    /// by the index and 118 ms at 25,000 rows, until the table was next analyzed. What has no index must not look dear enough
    /// to be compiled (`jit`). Other engines may not have these settings.
    fn settings(&self) -> String {
        format!(
            "SELECT set_config('synchronous_commit', 'on', false)
             WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply');
             SELECT set_config(name, 'off', false) FROM pg_settings WHERE name IN ('enable_seqscan', 'jit');
             SET default_transaction_isolation = 'read committed';
             SET statement_timeout = {};
             SET lock_timeout = {};
             SET idle_in_transaction_session_timeout = {};
             SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;
             SET client_min_messages = warning;",
            STATEMENT_TIMEOUT.as_millis(),
            (self.busy_timeout / 2).as_millis(),
            IDLE_IN_TRANSACTION.as_millis(),
        )
    }
}

/// The answer to [`SELECT_SERVER`].
fn server_info(row: &Row) -> Result<PostgresInfo, Failure> {
    let setting = |index: usize| row.try_get::<_, Option<&str>>(index);
    let is_on = |index: usize| Ok::<_, tokio_postgres::Error>(setting(index)?.map(|value| value == "on"));
    Ok(PostgresInfo {
        version: setting(2)?.unwrap_or_default().to_owned(),
        fsync: is_on(3)?,
        full_page_writes: is_on(4)?,
        autovacuum: is_on(5)?,
        synchronous_standbys: setting(6)?.map(str::to_owned),
        max_connections: setting(7)?.and_then(|value| value.parse().ok()),
    })
}

fn password(file: &Path) -> Result<Vec<u8>, Failure> {
    data_dir::password(file).map_err(|error| {
        Failure::new(FailureKind::Unreachable, format!("--database-password-file: {error}"))
            .with_advice("the file must hold the password in one line, and be readable by its owner alone")
    })
}

/// What the server answers in this time.
pub(super) async fn within<T>(limit: Duration, answer: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let answer = tokio::time::timeout(limit, answer).await;
    answer.unwrap_or_else(|_| Err(Failure::late()))
}

/// Sends all, then waits for all: the first error in order is the cause of the others.
pub(super) async fn together(mut answers: Vec<ServerAnswer<'_>>) -> Result<Vec<Vec<Row>>, Failure> {
    let mut done: Vec<Option<Result<Vec<Row>, Failure>>> = Vec::new();
    done.resize_with(answers.len(), || None);
    std::future::poll_fn(|cx| {
        let mut is_pending = false;
        // Sent in order, since each is sent when it is first polled.
        for (answer, done) in answers.iter_mut().zip(&mut done) {
            if done.is_none() {
                match answer.as_mut().poll(cx) {
                    Poll::Ready(rows) => *done = Some(rows),
                    Poll::Pending => is_pending = true,
                }
            }
        }
        match is_pending {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

/// A statement, to be sent by [`together`].
pub(super) fn query<'a>(client: &'a Client, statement: &'a Statement, parameters: Parameters<'a>) -> ServerAnswer<'a> {
    Box::pin(async move {
        let parameters: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|one| &**one as &(dyn ToSql + Sync)).collect();
        Ok(client.query(statement, &parameters).await?)
    })
}

/// A statement without parameters and rows, to be sent by [`together`].
pub(super) fn execute<'a>(client: &'a Client, sql: &'a str) -> ServerAnswer<'a> {
    Box::pin(async move {
        client.batch_execute(sql).await?;
        Ok(Vec::new())
    })
}

/// Prepares several statements at once.
pub(super) async fn prepare<const N: usize>(
    client: &Client,
    sql: [&'static str; N],
) -> Result<[Statement; N], Failure> {
    let prepared = try_join_all(sql.map(|text| client.prepare(text))).await?;
    prepared
        .try_into()
        .map_err(|_| Failure::new(FailureKind::Request, "a statement was not prepared"))
}

/// When the next attempt to connect may be made.
#[derive(Debug, Default)]
pub(super) struct Backoff(Option<(Stopwatch, Duration, Failure)>);

impl Backoff {
    /// The last failure, if it is too early for another attempt.
    pub(super) fn check(&self) -> Result<(), Failure> {
        match &self.0 {
            Some((since, wait, failure)) if since.elapsed() < *wait => Err(failure.clone()),
            _ => Ok(()),
        }
    }

    /// Waits until another attempt may be made, 0.4 s at most.
    pub(super) async fn wait(&self) {
        if let Some((since, wait, _)) = &self.0 {
            tokio::time::sleep(wait.saturating_sub(since.elapsed())).await;
        }
    }

    pub(super) fn failed(&mut self, failure: &Failure) {
        let mut random = [0];
        let _ = getrandom::fill(&mut random);
        let wait = RECONNECT_MIN + (RECONNECT_MAX - RECONNECT_MIN) * u32::from(random[0]) / 255;
        self.0 = Some((Stopwatch::start(), wait, failure.clone()));
    }

    pub(super) fn succeeded(&mut self) {
        self.0 = None;
    }
}
