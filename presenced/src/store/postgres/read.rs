//! The tasks that read, each with a connection of its own. They never wait for the writer. Single users and lists have tasks
//! of their own, so that whoever connects never waits behind somebody else's list. Single users that wait are read together.

use std::collections::HashMap;
use std::sync::Arc;

use presence::UserId;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row as SqlRow, Statement};

use super::columns::stored;
use super::decode::{self, durable_columns, report_columns, user_columns};
use super::failure::Failure;
use super::fault_injection::FaultStep;
use super::health::ServerHealth;
use super::list;
use super::migration::{self, Identity};
use super::revocations;
use super::session::{Backoff, Connector, SETUP_TIMEOUT, STATEMENT_TIMEOUT, prepare, within};
use super::tombstones;
use crate::store::metrics::FailureKind;
use crate::store::options::ROWS_AT_ONCE;
use crate::store::queue::Queue;
use crate::store::read_request::{ListPage, PageRequest, ReadCaller, ReadJob, ReadLane, UserList};
use crate::store::{Row, StoreError, StoredRevocation};

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
            Self::Page(_, caller) => caller.is_closed(),
            Self::Revocations(_, caller) => caller.is_closed(),
        }
    }
}

/// What a reader needs of its connection.
struct ReadSession {
    client: Client,
    users: Statement,
    tombstones: Statement,
    present: Statement,
    chosen: Statement,
    unpublished: Statement,
    revocations: Statement,
}

/// One task of a lane.
pub(super) struct Reader {
    lane: ReadLane,
    queue: Arc<Queue<ReadJob>>,
    connector: Arc<Connector>,
    /// Another database in its place is not read.
    identity: Identity,
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
        (connector, identity): (&Arc<Connector>, &Identity),
        health: &Arc<ServerHealth>,
    ) -> Self {
        Self {
            lane,
            queue: Arc::clone(queue),
            connector: Arc::clone(connector),
            identity: identity.clone(),
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
        let (mut rows, mut removals) = (Vec::new(), Vec::new());
        for job in jobs {
            match job.caller {
                ReadCaller::Rows(_) => rows.push(job),
                ReadCaller::Removals(_) => removals.push(job),
                ReadCaller::Page(request, caller) => {
                    let page = self.load_page(&request).await;
                    let count = page.as_ref().map_or(0, |page| page.rows.len());
                    self.health.faults.answer(self.lane, count).await;
                    let _ = caller.send(page);
                }
                ReadCaller::Revocations(number, caller) => {
                    let _ = caller.send(self.load_revocations(number).await);
                }
            }
        }
        if !rows.is_empty() {
            let users: Vec<&str> = rows.iter().flat_map(|job| &job.users).map(UserId::as_str).collect();
            let found = self.read(&[&users], |session| &session.users, |row| group(&row)).await;
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
            let decode = |rows: Vec<SqlRow>| tombstones::decode(&rows);
            let found = self.read(&[&hashes], |session| &session.tombstones, decode).await;
            for job in removals {
                self.answer_removals(job, &found);
            }
        }
    }

    async fn load_page(&mut self, request: &PageRequest) -> Result<ListPage, StoreError> {
        let (statement, marked_for): (fn(&ReadSession) -> &Statement, i64) = match request.list {
            UserList::Present => (|session| &session.present, 0),
            UserList::Chosen => (|session| &session.chosen, 0),
            UserList::Unpublished(marked_for) => (
                |session| &session.unpublished,
                i64::try_from(marked_for.as_millis()).unwrap_or(i64::MAX),
            ),
        };
        let scan_max = i64::try_from(request.scan_max).unwrap_or(i64::MAX);
        let parameters: [&(dyn ToSql + Sync); 3] = [&request.after, &scan_max, &marked_for];
        let found = self.read(&parameters, statement, |rows| list::decode_page(&rows)).await;
        let failed = |failure: Failure| self.health.read_failed(&failure);
        let found = found.map_err(failed)?;
        let rows = found.rows.into_iter().map(|(user, row)| (user, row.map_err(failed)));
        Ok(ListPage {
            rows: rows.collect(),
            last: found.last,
        })
    }

    async fn load_revocations(&mut self, after: u64) -> Result<Vec<StoredRevocation>, StoreError> {
        let (after, limit) = (stored(after), i64::try_from(ROWS_AT_ONCE).unwrap_or(i64::MAX));
        let decode = |rows: Vec<SqlRow>| revocations::decode_all(&rows);
        let found = self
            .read(&[&after, &limit], |session| &session.revocations, decode)
            .await;
        found.map_err(|failure| self.health.read_failed(&failure))
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
    async fn read<T>(
        &mut self,
        parameters: &[&(dyn ToSql + Sync)],
        statement: fn(&ReadSession) -> &Statement,
        decode: fn(Vec<SqlRow>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let was_connected = self.session.is_some();
        match self.read_once(parameters, statement).await {
            Err(failure) if was_connected && failure.kind == FailureKind::Unreachable => {
                decode(self.read_once(parameters, statement).await?)
            }
            rows => decode(rows?),
        }
    }

    async fn read_once(
        &mut self,
        parameters: &[&(dyn ToSql + Sync)],
        statement: fn(&ReadSession) -> &Statement,
    ) -> Result<Vec<SqlRow>, Failure> {
        self.health.faults.pass(FaultStep::Read).await?;
        let session = self.session().await?;
        let rows = async { Ok(session.client.query(statement(session), parameters).await?) };
        let rows = within(STATEMENT_TIMEOUT, rows).await;
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
        within(SETUP_TIMEOUT, self.set_up(client)).await
    }

    async fn set_up(&self, client: Client) -> Result<ReadSession, Failure> {
        migration::check(&client, &self.identity).await?;
        client.batch_execute("SET default_transaction_read_only = on").await?;
        let queries = [SELECT_USERS, tombstones::SELECT, revocations::SELECT_AFTER];
        let [users, tombstones, revocations] = prepare(&client, queries).await?;
        let lists = [list::SELECT_PRESENT, list::SELECT_CHOSEN, list::SELECT_UNPUBLISHED];
        let [present, chosen, unpublished] = prepare(&client, lists).await?;
        Ok(ReadSession {
            client,
            users,
            tombstones,
            present,
            chosen,
            unpublished,
            revocations,
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
