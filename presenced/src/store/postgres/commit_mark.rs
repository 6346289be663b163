//! How a later connection finds out whether a commit is in the database: whether one that was not answered was done, and
//! whether one that was acknowledged is still there. A server that has taken over may never have received it, and a backup
//! that was put back is from before it.
//!
//! The number of a transaction alone does not tell: what is behind gives the same numbers again, to others. So a value goes
//! with it that the transaction stored and that never sinks.

use presence::{NodeName, UserId};
use tokio_postgres::Client;

use super::columns::stored;
use super::failure::Failure;
use super::group::GroupAnswers;
use super::session::{STATEMENT_TIMEOUT, within};
use super::tombstones;
use crate::store::metrics::FailureKind;
use crate::store::write_request::{PlainWrite, WriteRequest};

/// A user that was forgotten has its version in its tombstone.
const IS_USER_THERE: &str = "SELECT greatest((SELECT version FROM profile WHERE user_id = $1),
     (SELECT version FROM tombstone WHERE user_hash = $2), 0) >= $3";
/// Another node removes the heartbeat of one that was away for long: that is no loss.
const IS_HEARTBEAT_THERE: &str = "SELECT coalesce((SELECT ceiling FROM heartbeat WHERE node = $1) >= $2, true)";
/// Nothing deletes one, and its number only grows.
const IS_REVOCATION_THERE: &str = "SELECT EXISTS (SELECT 1 FROM revocation WHERE user_hash = $1 AND number >= $2)";
/// Its commit is answered when the server has made durable all that was committed before, on its synchronous standbys too.
const WRITE_SOMETHING: &str = "UPDATE presence_database SET version = version";

/// What there must be in the database after a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CommitMark {
    /// The number of the transaction.
    number: i64,
    value: Option<StoredValue>,
}

/// A value that never sinks.
#[derive(Debug, Clone, PartialEq, Eq)]
enum StoredValue {
    Version(UserId, i64),
    Ceiling(NodeName, i64),
    Revocation(Vec<u8>, i64),
}

/// How a transaction ended whose commit was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    Committed,
    Aborted,
    /// The server is still at it, or waits for a client that is gone.
    Open,
    /// The server does not remember it.
    Forgotten,
}

impl CommitMark {
    /// Of a transaction that did these requests.
    pub(super) fn new(number: i64, requests: &[WriteRequest], answers: &GroupAnswers) -> Self {
        let value = requests.iter().find_map(|request| match request {
            WriteRequest::Durable(write, _) => {
                let version = answers.version(&write.user)?;
                Some(StoredValue::Version(write.user.clone(), stored(version.get())))
            }
            WriteRequest::Plain(PlainWrite::Heartbeat { node, heartbeat }, _) => {
                Some(StoredValue::Ceiling(node.clone(), stored(heartbeat.ceiling)))
            }
            WriteRequest::Revoke(..) => {
                let saved = answers.revoked?;
                Some(StoredValue::Revocation(saved.user_hash.to_vec(), stored(saved.number)))
            }
            WriteRequest::Plain(..) | WriteRequest::Prune(..) => None,
        });
        Self { number, value }
    }

    /// This one, which is the later, with the value of the earlier one if it has none itself.
    pub(super) fn after(self, earlier: Option<Self>) -> Self {
        Self {
            number: self.number,
            value: self.value.or_else(|| earlier.and_then(|earlier| earlier.value)),
        }
    }

    /// How the transaction ended, if its answer was lost. What is told to be committed is as durable as any other commit.
    pub(super) async fn decide(&self, client: &Client) -> Result<Decision, Failure> {
        within(STATEMENT_TIMEOUT, async {
            let decision = self.status(client).await?;
            if decision != Decision::Committed {
                return Ok(decision);
            }
            if !self.is_value_there(client).await? {
                return Ok(Decision::Aborted);
            }
            // A commit that waits for a standby is ended with its connection, and is there without having been replicated.
            client.batch_execute(WRITE_SOMETHING).await?;
            Ok(Decision::Committed)
        })
        .await
    }

    /// Whether the transaction is not there any more, though its commit was answered.
    pub(super) async fn is_lost(&self, client: &Client) -> Result<bool, Failure> {
        Ok(self.status(client).await? == Decision::Aborted || !self.is_value_there(client).await?)
    }

    async fn status(&self, client: &Client) -> Result<Decision, Failure> {
        let answer = client.query_one("SELECT txid_status($1)", &[&self.number]).await;
        let status = match answer.map_err(Failure::from) {
            // The server that has taken over has not come as far as this transaction.
            Err(failure) if failure.kind == FailureKind::Request => return Ok(Decision::Aborted),
            status => status?,
        };
        Ok(match status.try_get::<_, Option<&str>>(0)? {
            Some("committed") => Decision::Committed,
            Some("aborted") => Decision::Aborted,
            Some(_) => Decision::Open,
            None => Decision::Forgotten,
        })
    }

    async fn is_value_there(&self, client: &Client) -> Result<bool, Failure> {
        let row = match &self.value {
            None => return Ok(true),
            Some(StoredValue::Version(user, version)) => {
                let hash = tombstones::hash(user);
                let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
                    [&user.as_str(), &hash.as_slice(), version];
                client.query_one(IS_USER_THERE, &parameters).await?
            }
            Some(StoredValue::Ceiling(node, ceiling)) => {
                client.query_one(IS_HEARTBEAT_THERE, &[&node.as_str(), ceiling]).await?
            }
            Some(StoredValue::Revocation(user_hash, number)) => {
                client.query_one(IS_REVOCATION_THERE, &[user_hash, number]).await?
            }
        };
        Ok(row.try_get(0)?)
    }
}
