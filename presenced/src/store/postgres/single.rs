//! The writes that have a transaction of their own: a forget, the pruning of tombstones, a revocation, and a node's heartbeat.

use tokio_postgres::{Client, Statement};

use super::columns::stored;
use super::failure::Failure;
use super::forget::ForgetStatements;
use super::revocations::RevocationStatements;
use super::session::{Parameters, ServerAnswer, prepare, query};
use crate::store::options::ROWS_AT_ONCE;
use crate::store::write_request::{DurableChange, PlainWrite, WriteRequest};
use crate::store::{HEARTBEAT_KEPT, Heartbeat};

/// One that was raised meanwhile stays, and one that another node prunes or raises is left to it.
const PRUNE_TOMBSTONES: &str = "DELETE FROM tombstone WHERE revision <= $1 AND user_hash IN
       (SELECT user_hash FROM tombstone WHERE revision <= $1 ORDER BY user_hash LIMIT $2 FOR UPDATE SKIP LOCKED)
     RETURNING 1";
pub(super) const SAVE_HEARTBEAT: &str = "INSERT INTO heartbeat (node, wall, ceiling, clean) VALUES ($1, $2, $3, $4)
     ON CONFLICT (node) DO UPDATE SET
       wall = excluded.wall, ceiling = greatest(heartbeat.ceiling, excluded.ceiling), clean = excluded.clean";
const DELETE_HEARTBEATS: &str = "DELETE FROM heartbeat WHERE node <> $1 AND wall < $2 AND ceiling < $3";
/// A node that is gone leaves its history for as long as its heartbeat.
const DELETE_HISTORIES: &str = "DELETE FROM history WHERE node = $1 OR node NOT IN (SELECT node FROM heartbeat)";
pub(super) const SAVE_HISTORY: &str = "INSERT INTO history (node, incarnation, resumes_from) VALUES ($1, $2, $3)";

/// The statements of a connection that writes.
#[derive(Debug)]
pub(super) struct SingleStatements {
    pub(super) forget: ForgetStatements,
    revocations: RevocationStatements,
    prune_tombstones: Statement,
    save_heartbeat: Statement,
    delete_heartbeats: Statement,
    delete_histories: Statement,
    save_history: Statement,
}

impl SingleStatements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, Failure> {
        let [prune_tombstones] = prepare(client, [PRUNE_TOMBSTONES]).await?;
        let [save_heartbeat, delete_heartbeats, delete_histories, save_history] = prepare(
            client,
            [SAVE_HEARTBEAT, DELETE_HEARTBEATS, DELETE_HISTORIES, SAVE_HISTORY],
        )
        .await?;
        Ok(Self {
            forget: ForgetStatements::prepare(client).await?,
            revocations: RevocationStatements::prepare(client).await?,
            prune_tombstones,
            save_heartbeat,
            delete_heartbeats,
            delete_histories,
            save_history,
        })
    }
}

/// Whether a request has a transaction of its own. Nothing that waits behind a forget may be done before it.
pub(super) fn is_single(request: &WriteRequest) -> bool {
    match request {
        WriteRequest::Plain(write, _) => matches!(write, PlainWrite::Forget { .. } | PlainWrite::Heartbeat { .. }),
        WriteRequest::Prune(..) | WriteRequest::Revoke(..) => true,
        WriteRequest::Durable(write, _) => matches!(write.change, DurableChange::ForgetOlder { .. }),
    }
}

/// The statements that do it, in the transaction that is open; the rows of the last one are counted.
pub(super) fn send<'a>(
    client: &'a Client,
    statements: &'a SingleStatements,
    request: &'a WriteRequest,
) -> Vec<ServerAnswer<'a>> {
    match request {
        WriteRequest::Plain(PlainWrite::Forget { user, revision, now }, _) => {
            statements.forget.send(client, user, (*revision, *now))
        }
        WriteRequest::Plain(PlainWrite::Heartbeat { node, heartbeat }, _) => {
            save_heartbeat(client, statements, node.as_str(), *heartbeat)
        }
        WriteRequest::Prune(removed_to, _) => {
            let limit = i64::try_from(ROWS_AT_ONCE).unwrap_or(i64::MAX);
            let parameters: Parameters<'a> = vec![Box::new(stored(removed_to.get())), Box::new(limit)];
            vec![query(client, &statements.prune_tombstones, parameters)]
        }
        WriteRequest::Durable(write, _) => match write.change {
            DurableChange::ForgetOlder { revision, now } => {
                statements
                    .forget
                    .send_older(client, (&write.user, write.proposed), (revision, now))
            }
            _ => Vec::new(),
        },
        WriteRequest::Revoke(new, _) => statements.revocations.send(client, *new),
        WriteRequest::Plain(..) => Vec::new(),
    }
}

fn save_heartbeat<'a>(
    client: &'a Client,
    statements: &'a SingleStatements,
    node: &'a str,
    heartbeat: Heartbeat,
) -> Vec<ServerAnswer<'a>> {
    let (wall, ceiling) = (heartbeat.wall.as_millis(), stored(heartbeat.ceiling));
    let kept = i64::try_from(HEARTBEAT_KEPT.as_millis()).unwrap_or(i64::MAX);
    let mut sent = vec![
        query(
            client,
            &statements.save_heartbeat,
            vec![
                Box::new(node),
                Box::new(wall),
                Box::new(ceiling),
                Box::new(heartbeat.clean),
            ],
        ),
        query(
            client,
            &statements.delete_heartbeats,
            vec![Box::new(node), Box::new(wall.saturating_sub(kept)), Box::new(ceiling)],
        ),
        query(client, &statements.delete_histories, vec![Box::new(node)]),
    ];
    if let Some(history) = heartbeat.history {
        let (incarnation, from) = (history.incarnation.cast_signed(), stored(history.from.get()));
        let parameters: Parameters<'a> = vec![Box::new(node), Box::new(incarnation), Box::new(from)];
        sent.push(query(client, &statements.save_history, parameters));
    }
    sent
}
