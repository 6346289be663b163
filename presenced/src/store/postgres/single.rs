//! The writes that have a transaction of their own: a forget, the pruning of tombstones, and a node's heartbeat.

use presence::{Revision, UserId, Wall};
use tokio_postgres::{Client, Statement};

use super::failure::Failure;
use super::group::stored;
use super::session::{Parameters, ServerAnswer, prepare, query};
use super::tombstones;
use crate::store::options::ROWS_AT_ONCE;
use crate::store::write_request::{PlainWrite, WriteRequest};
use crate::store::{HEARTBEAT_KEPT, Heartbeat};

/// Makes the profile if there is none, so that its key is locked: a write of the user that is under way is waited for, and one
/// that comes meanwhile waits, and finds the tombstone then.
const LOCK_USER: &str =
    "INSERT INTO profile (user_id) VALUES ($1) ON CONFLICT (user_id) DO UPDATE SET version = profile.version";
const ADD_TOMBSTONE: &str = "INSERT INTO tombstone (user_hash, revision, version, forgotten_at)
     SELECT $1, $2, version, $3 FROM profile WHERE user_id = $4
     ON CONFLICT (user_hash) DO UPDATE SET
       revision = greatest(tombstone.revision, excluded.revision),
       version = greatest(tombstone.version, excluded.version),
       forgotten_at = greatest(tombstone.forgotten_at, excluded.forgotten_at)";
/// And the reports with it.
const DELETE_USER: &str = "DELETE FROM profile WHERE user_id = $1";
/// One that was raised meanwhile stays.
const PRUNE_TOMBSTONES: &str = "DELETE FROM tombstone WHERE revision <= $1 AND user_hash IN
       (SELECT user_hash FROM tombstone WHERE revision <= $1 LIMIT $2)
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
    lock_user: Statement,
    add_tombstone: Statement,
    delete_user: Statement,
    prune_tombstones: Statement,
    save_heartbeat: Statement,
    delete_heartbeats: Statement,
    delete_histories: Statement,
    save_history: Statement,
}

impl SingleStatements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, Failure> {
        let [lock_user, add_tombstone, delete_user, prune_tombstones] =
            prepare(client, [LOCK_USER, ADD_TOMBSTONE, DELETE_USER, PRUNE_TOMBSTONES]).await?;
        let [save_heartbeat, delete_heartbeats, delete_histories, save_history] = prepare(
            client,
            [SAVE_HEARTBEAT, DELETE_HEARTBEATS, DELETE_HISTORIES, SAVE_HISTORY],
        )
        .await?;
        Ok(Self {
            lock_user,
            add_tombstone,
            delete_user,
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
        WriteRequest::Prune(..) => true,
        WriteRequest::Durable(..) => false,
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
            forget(client, statements, user, (*revision, *now))
        }
        WriteRequest::Plain(PlainWrite::Heartbeat { node, heartbeat }, _) => {
            save_heartbeat(client, statements, node.as_str(), *heartbeat)
        }
        WriteRequest::Prune(removed_to, _) => {
            let limit = i64::try_from(ROWS_AT_ONCE).unwrap_or(i64::MAX);
            let parameters: Parameters<'a> = vec![Box::new(stored(removed_to.get())), Box::new(limit)];
            vec![query(client, &statements.prune_tombstones, parameters)]
        }
        WriteRequest::Plain(..) | WriteRequest::Durable(..) => Vec::new(),
    }
}

fn forget<'a>(
    client: &'a Client,
    statements: &'a SingleStatements,
    user: &'a UserId,
    (revision, now): (Revision, Wall),
) -> Vec<ServerAnswer<'a>> {
    let (user, hash) = (user.as_str(), tombstones::hash(user).to_vec());
    vec![
        query(client, &statements.lock_user, vec![Box::new(user)]),
        query(
            client,
            &statements.add_tombstone,
            vec![
                Box::new(hash),
                Box::new(stored(revision.get())),
                Box::new(now.as_millis()),
                Box::new(user),
            ],
        ),
        query(client, &statements.delete_user, vec![Box::new(user)]),
    ]
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
