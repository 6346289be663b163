//! One attempt at one transaction.

use tokio_postgres::Row as SqlRow;

use super::commit_mark::CommitMark;
use super::failure::Failure;
use super::fault_injection::FaultStep;
use super::forget;
use super::group::{Group, GroupAnswers};
use super::health::ServerHealth;
use super::revocations;
use super::session::{STATEMENT_TIMEOUT, execute, query, together, within};
use super::single::{self, is_single};
use super::tombstones::KnownTombstones;
use super::write_session::WriteSession;
use crate::store::write_request::WriteRequest;

/// The answer that has the transaction's number, after the one to BEGIN.
const NUMBER: usize = 1;

/// Why a transaction was not committed, or not surely.
#[derive(Debug)]
pub(super) enum Uncommitted {
    /// Nothing is stored.
    Failed(Failure),
    /// There are tombstones that it did not know of; nothing is stored.
    Covered(KnownTombstones),
    /// It may be stored: the answer to the commit is lost.
    Unknown(CommitMark, GroupAnswers),
}

impl From<Failure> for Uncommitted {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Does the requests in one transaction, with what is known of tombstones. An error leaves the connection to be given up, or in
/// order, as the failure says.
pub(super) async fn run(
    session: &WriteSession,
    requests: &[WriteRequest],
    known: &KnownTombstones,
    health: &ServerHealth,
) -> Result<(GroupAnswers, Option<CommitMark>), Uncommitted> {
    health.faults.pass(FaultStep::Begin).await?;
    let (number, answers) = within(STATEMENT_TIMEOUT, write(session, requests, known)).await?;
    if answers.tombstones != *known {
        within(STATEMENT_TIMEOUT, roll_back(session)).await?;
        return Err(Uncommitted::Covered(answers.tombstones));
    }
    if let Err(failure) = health.faults.pass(FaultStep::Commit).await {
        within(STATEMENT_TIMEOUT, roll_back(session)).await?;
        return Err(failure.into());
    }
    let mark = number.map(|number| CommitMark::new(number, requests, &answers));
    match within(STATEMENT_TIMEOUT, commit(session)).await {
        Ok(()) => Ok((answers, mark)),
        Err(failure) if failure.ends_session() => match mark {
            Some(mark) => Err(Uncommitted::Unknown(mark, answers)),
            None => Err(failure.into()),
        },
        Err(failure) => Err(failure.into()),
    }
}

/// Everything up to the commit.
async fn write(
    session: &WriteSession,
    requests: &[WriteRequest],
    known: &KnownTombstones,
) -> Result<(Option<i64>, GroupAnswers), Failure> {
    let client = &session.client;
    let begin = vec![execute(client, "BEGIN")];
    if let [request] = requests
        && is_single(request)
    {
        let mut sent = begin;
        sent.push(query(client, &session.statements.number_transaction, vec![]));
        sent.extend(single::send(client, &session.singles, request));
        let rows = or_roll_back(session, together(sent).await).await?;
        let mut answers = GroupAnswers {
            pruned: rows.last().map_or(0, Vec::len),
            ..GroupAnswers::default()
        };
        if let WriteRequest::Revoke(..) = request
            && let Some(saved) = rows.last()
        {
            answers.revoked = or_roll_back(session, revocations::decode_all(saved)).await?.pop();
        }
        if let WriteRequest::Durable(write, _) = request
            && let [.., part, version] = rows.as_slice()
        {
            let left = or_roll_back(session, forget::decode_part(part, version)).await?;
            answers.parts.insert(write.user.as_str().to_owned(), left);
        }
        return Ok((number_of(&rows)?, answers));
    }
    let group = Group::new(requests, known);
    let sent = group.send((client, &session.statements), known, begin);
    let decoder = sent.decoder();
    let rows = or_roll_back(session, together(sent.answers).await).await?;
    let number = number_of(&rows)?;
    let mut answers = or_roll_back(session, decoder(rows)).await?;
    if group.is_empty() {
        // Nothing was looked for.
        answers.tombstones = known.clone();
    }
    Ok((number, answers))
}

fn number_of(rows: &[Vec<SqlRow>]) -> Result<Option<i64>, Failure> {
    let row = rows.get(NUMBER).and_then(|rows| rows.first());
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

async fn or_roll_back<T>(session: &WriteSession, result: Result<T, Failure>) -> Result<T, Failure> {
    if let Err(failure) = &result
        && !failure.ends_session()
    {
        roll_back(session).await?;
    }
    result
}

async fn roll_back(session: &WriteSession) -> Result<(), Failure> {
    Ok(session.client.batch_execute("ROLLBACK").await?)
}

/// PostgreSQL answers the commit of a transaction that has failed with success: none is sent after a failure.
async fn commit(session: &WriteSession) -> Result<(), Failure> {
    Ok(session.client.batch_execute("COMMIT").await?)
}
