//! The tasks that read, each with a connection of its own. They never wait for the writer. Single users and lists have tasks
//! of their own, so that whoever connects never waits behind somebody else's list. Single users that wait are read together.

use std::collections::HashMap;
use std::sync::Arc;

use presence::UserId;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row as SqlRow, Statement};

use super::ROWS_AT_ONCE;
use super::decode::{self, durable_columns, report_columns, user_columns};
use super::failure::Failure;
use super::fault_injection::FaultStep;
use super::health::ServerHealth;
use super::session::{Backoff, Connector, STATEMENT_TIMEOUT, prepare};
use super::tombstones;
use crate::store::Row;
use crate::store::metrics::FailureKind;
use crate::store::queue::Queue;
use crate::store::read_request::{ReadCaller, ReadJob, ReadLane};

/// One statement, so that profiles and reports are of one moment.
const SELECT_USERS: &str = concat!(
    "SELECT ",
    user_columns!(),
    " FROM profile LEFT JOIN report ON report.user_id = profile.user_id
     WHERE profile.user_id = ANY($1) ORDER BY profile.user_id, report.source"
);

impl ReadCaller {
    fn is_gone(&self) -> bool {
        match self {
            Self::Rows(caller) => caller.is_closed(),
            Self::Removals(caller) => caller.is_closed(),
        }
    }
}

/// What a reader needs of its connection.
struct ReadSession {
    client: Client,
    users: Statement,
    tombstones: Statement,
}

/// One task of a lane.
pub(super) struct Reader {
    lane: ReadLane,
    queue: Arc<Queue<ReadJob>>,
    connector: Arc<Connector>,
    health: Arc<ServerHealth>,
    session: Option<ReadSession>,
    backoff: Backoff,
}

/// The rows of several users, or why the row of one can't be understood.
type FoundRows = HashMap<String, Result<Row, Failure>>;

impl Reader {
    pub(super) fn new(
        lane: ReadLane,
        queue: &Arc<Queue<ReadJob>>,
        connector: &Arc<Connector>,
        health: &Arc<ServerHealth>,
    ) -> Self {
        Self {
            lane,
            queue: Arc::clone(queue),
            connector: Arc::clone(connector),
            health: Arc::clone(health),
            session: None,
            backoff: Backoff::default(),
        }
    }

    /// Reads until the queue is closed and empty.
    pub(super) async fn run(mut self) {
        while let Some(job) = self.queue.popped().await {
            let jobs = self.with_waiting(job);
            self.serve(jobs).await;
        }
    }

    /// This request and those that wait, as far as one statement may carry them.
    fn with_waiting(&self, first: ReadJob) -> Vec<ReadJob> {
        let mut rows = first.users.len();
        let mut jobs = vec![first];
        while rows < ROWS_AT_ONCE
            && let Some(job) = self.queue.try_pop()
        {
            rows += job.users.len();
            jobs.push(job);
        }
        // A caller that has given up is not worth the server's time.
        jobs.retain(|job| !job.caller.is_gone());
        jobs
    }

    async fn serve(&mut self, jobs: Vec<ReadJob>) {
        let (rows, removals): (Vec<_>, Vec<_>) = jobs
            .into_iter()
            .partition(|job| matches!(job.caller, ReadCaller::Rows(_)));
        if !rows.is_empty() {
            let users: Vec<&str> = rows.iter().flat_map(|job| &job.users).map(UserId::as_str).collect();
            let found = self.read(&users, |session| &session.users, |row| group(&row)).await;
            self.health.faults.answer(self.lane, users.len()).await;
            for job in rows {
                self.answer_rows(job, &found);
            }
        }
        if !removals.is_empty() {
            let hashes: Vec<_> = removals
                .iter()
                .flat_map(|job| &job.users)
                .map(tombstones::hash)
                .collect();
            let hashes: Vec<&[u8]> = hashes.iter().map(<[u8; 32]>::as_slice).collect();
            let found = self.read(&hashes, |session| &session.tombstones, |rows| tombstones::decode(&rows));
            let found = found.await;
            for job in removals {
                self.answer_removals(job, &found);
            }
        }
    }

    fn answer_rows(&self, job: ReadJob, found: &Result<FoundRows, Failure>) {
        let row_of = |user: &UserId| match found {
            Ok(found) => match found.get(user.as_str()) {
                Some(Ok(row)) => Ok(Some(row.clone())),
                Some(Err(failure)) => Err(self.health.read_failed(failure)),
                None => Ok(None),
            },
            Err(failure) => Err(self.health.read_failed(failure)),
        };
        if let ReadCaller::Rows(caller) = job.caller {
            let _ = caller.send(job.users.iter().map(row_of).collect());
        }
    }

    fn answer_removals(&self, job: ReadJob, found: &Result<tombstones::KnownTombstones, Failure>) {
        let removals = match found {
            Ok(found) => Ok(job.users.iter().map(|user| found.removed_at(user)).collect()),
            Err(failure) => Err(self.health.read_failed(failure)),
        };
        if let ReadCaller::Removals(caller) = job.caller {
            let _ = caller.send(removals);
        }
    }

    /// Asks once more on a new connection if the one there was had been lost meanwhile.
    async fn read<K, T>(
        &mut self,
        keys: &[K],
        statement: fn(&ReadSession) -> &Statement,
        decode: fn(Vec<SqlRow>) -> Result<T, Failure>,
    ) -> Result<T, Failure>
    where
        K: ToSql + Sync,
    {
        let was_connected = self.session.is_some();
        match self.read_once(keys, statement).await {
            Err(failure) if was_connected && failure.kind == FailureKind::Unreachable => {
                decode(self.read_once(keys, statement).await?)
            }
            rows => decode(rows?),
        }
    }

    async fn read_once<K>(
        &mut self,
        keys: &[K],
        statement: fn(&ReadSession) -> &Statement,
    ) -> Result<Vec<SqlRow>, Failure>
    where
        K: ToSql + Sync,
    {
        self.health.faults.pass(FaultStep::Read).await?;
        let session = self.session().await?;
        let parameters: [&(dyn ToSql + Sync); 1] = [&keys];
        let rows = session.client.query(statement(session), &parameters);
        let rows = match tokio::time::timeout(STATEMENT_TIMEOUT, rows).await {
            Ok(rows) => rows.map_err(Failure::from),
            Err(_) => Err(Failure::late()),
        };
        if rows.as_ref().is_err_and(Failure::ends_session) {
            self.session = None;
        }
        rows
    }

    async fn session(&mut self) -> Result<&ReadSession, Failure> {
        if let Some(session) = self.session.take_if(|session| !session.client.is_closed()) {
            return Ok(self.session.insert(session));
        }
        self.backoff.check()?;
        match self.connect().await {
            Ok(session) => {
                self.backoff.succeeded();
                Ok(self.session.insert(session))
            }
            Err(failure) => {
                self.backoff.failed(&failure);
                Err(failure)
            }
        }
    }

    async fn connect(&self) -> Result<ReadSession, Failure> {
        let client = self.connector.connect().await?;
        client.batch_execute("SET default_transaction_read_only = on").await?;
        let [users, tombstones] = prepare(&client, [SELECT_USERS, tombstones::SELECT]).await?;
        Ok(ReadSession {
            client,
            users,
            tombstones,
        })
    }
}

fn group(rows: &[SqlRow]) -> Result<FoundRows, Failure> {
    let mut found = FoundRows::new();
    for row in rows {
        let user: &str = row.try_get(0)?;
        let known = found.entry(user.to_owned()).or_insert_with(|| decode::profile(row));
        if let Ok(known) = known {
            match decode::report(row, decode::REPORT) {
                Ok(report) => known.durable.reports.extend(report),
                Err(failure) => {
                    found.insert(user.to_owned(), Err(failure));
                }
            }
        }
    }
    Ok(found)
}
