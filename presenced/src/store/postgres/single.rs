//! The writes that have a transaction of their own: a forget, and a node's heartbeat.

use presence::{Revision, UserId, Wall};
use tokio_postgres::{Client, Statement};

use super::failure::Failure;
use super::group::stored;
use super::session::{ServerAnswer, prepare, query};
use super::tombstones;
use crate::store::write_request::PlainWrite;
use crate::store::{HEARTBEAT_KEPT, Heartbeat, TOMBSTONE_KEPT};

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
const DELETE_TOMBSTONES: &str = "DELETE FROM tombstone WHERE forgotten_at < $1";
const SAVE_HEARTBEAT: &str = "INSERT INTO heartbeat (node, wall, ceiling, clean) VALUES ($1, $2, $3, $4)
     ON CONFLICT (node) DO UPDATE SET
       wall = excluded.wall, ceiling = greatest(heartbeat.ceiling, excluded.ceiling), clean = excluded.clean";
const DELETE_HEARTBEATS: &str = "DELETE FROM heartbeat WHERE node <> $1 AND wall < $2 AND ceiling < $3";
/// A node that is gone leaves its history for as long as its heartbeat.
const DELETE_HISTORIES: &str = "DELETE FROM history WHERE node = $1 OR node NOT IN (SELECT node FROM heartbeat)";
const SAVE_HISTORY: &str = "INSERT INTO history (node, incarnation, resumes_from) VALUES ($1, $2, $3)";

/// The statements of a connection that writes.
#[derive(Debug)]
pub(super) struct SingleStatements {
    lock_user: Statement,
    add_tombstone: Statement,
    delete_user: Statement,
    delete_tombstones: Statement,
    save_heartbeat: Statement,
    delete_heartbeats: Statement,
    delete_histories: Statement,
    save_history: Statement,
}

impl SingleStatements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, Failure> {
        let [lock_user, add_tombstone, delete_user, delete_tombstones] =
            prepare(client, [LOCK_USER, ADD_TOMBSTONE, DELETE_USER, DELETE_TOMBSTONES]).await?;
        let [save_heartbeat, delete_heartbeats, delete_histories, save_history] = prepare(
            client,
            [SAVE_HEARTBEAT, DELETE_HEARTBEATS, DELETE_HISTORIES, SAVE_HISTORY],
        )
        .await?;
        Ok(Self {
            lock_user,
            add_tombstone,
            delete_user,
            delete_tombstones,
            save_heartbeat,
            delete_heartbeats,
            delete_histories,
            save_history,
        })
    }
}

/// Whether a write has a transaction of its own. Nothing that waits behind a forget may be done before it.
pub(super) fn is_single(write: &PlainWrite) -> bool {
    matches!(write, PlainWrite::Forget { .. } | PlainWrite::Heartbeat { .. })
}

/// The statements that do it, in the transaction that is open.
pub(super) fn send<'a>(
    client: &'a Client,
    statements: &'a SingleStatements,
    write: &'a PlainWrite,
) -> Vec<ServerAnswer<'a>> {
    match write {
        PlainWrite::Forget { user, revision, now } => forget(client, statements, user, (*revision, *now)),
        PlainWrite::Heartbeat { node, heartbeat } => save_heartbeat(client, statements, node.as_str(), *heartbeat),
        PlainWrite::Statuses(_) | PlainWrite::Expired(_) | PlainWrite::Barrier => Vec::new(),
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
        query(client, &statements.delete_tombstones, vec![Box::new(before(now))]),
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

/// KnownTombstones of before this have been kept for long enough.
fn before(now: Wall) -> i64 {
    let kept = i64::try_from(TOMBSTONE_KEPT.as_millis()).unwrap_or(i64::MAX);
    now.as_millis().saturating_sub(kept)
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
            &statements.delete_tombstones,
            vec![Box::new(before(heartbeat.wall))],
        ),
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
        let parameters = vec![
            Box::new(node) as Box<dyn tokio_postgres::types::ToSql + Sync + Send>,
            Box::new(incarnation),
            Box::new(from),
        ];
        sent.push(query(client, &statements.save_history, parameters));
    }
    sent
}
