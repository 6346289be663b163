//! The lock that keeps a second daemon out of the database: an advisory lock of the session that writes.
//!
//! A daemon without a cluster believes that nobody else changes what it knows, so two of them must not share a database. The
//! lock belongs to the very connection that writes: when that breaks the lock is gone, and no write is made before a new
//! connection has taken it again. If another daemon was faster, this one writes no more.

use std::time::Duration;

use tokio_postgres::Client;

use super::failure::Failure;
use crate::clock::Stopwatch;
use crate::store::metrics::FailureKind;

/// The first half of the numbers of our advisory locks: "pres", as an application id of SQLite is.
pub(super) const LOCK_CLASS: i32 = 0x7072_6573;

/// How long a start waits for the connection of a daemon that was killed to be noticed by the server.
pub(super) const START_PATIENCE: Duration = Duration::from_secs(3);
/// How long a daemon waits for an earlier connection of its own.
pub(super) const OWN_PATIENCE: Duration = Duration::from_millis(500);
/// How often it tries meanwhile.
const TRY_EVERY: Duration = Duration::from_millis(50);

/// A connection as the server knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerProcess {
    pid: i32,
    /// Process ids are given anew; together with this it names one connection.
    started: String,
}

/// Who else has the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LockHolder {
    backend: ServerProcess,
    /// The name and the address of the other end, for people.
    pub(super) text: String,
}

/// The second half of the lock's number: the table, so that databases in several schemas are several.
const LOCK_NUMBER: &str = "'presence_database'::regclass::oid::int8::int4";

impl ServerProcess {
    pub(super) async fn of(client: &Client) -> Result<Self, Failure> {
        let row = client
            .query_one(
                "SELECT pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()",
                &[],
            )
            .await?;
        Ok(Self {
            pid: row.try_get(0)?,
            started: row.try_get(1)?,
        })
    }

    /// Ends a connection that this daemon has given up, with the transaction that it may have open.
    pub(super) async fn terminate(&self, client: &Client) -> Result<(), Failure> {
        client
            .query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE pid = $1 AND backend_start::text = $2 AND pid <> pg_backend_pid()",
                &[&self.pid, &self.started],
            )
            .await?;
        Ok(())
    }
}

/// Takes the lock. The other holder, if there is one that does not go away in time.
pub(super) async fn take(client: &Client, patience: Duration) -> Result<Option<LockHolder>, Failure> {
    let waiting = Stopwatch::start();
    loop {
        let sql = format!("SELECT pg_try_advisory_lock($1, {LOCK_NUMBER})");
        if client.query_one(&sql, &[&LOCK_CLASS]).await?.try_get(0)? {
            return Ok(None);
        }
        let holder = holder(client).await?;
        if waiting.elapsed() >= patience && holder.is_some() {
            return Ok(holder);
        }
        tokio::time::sleep(TRY_EVERY).await;
    }
}

/// None: it was given back meanwhile.
async fn holder(client: &Client) -> Result<Option<LockHolder>, Failure> {
    let sql = format!(
        "SELECT pid, backend_start::text, application_name, host(client_addr)
         FROM pg_locks JOIN pg_stat_activity USING (pid)
         WHERE locktype = 'advisory' AND granted AND classid::int8 = $1 AND objid::int8 = ({LOCK_NUMBER})::int8
           AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    );
    let Some(row) = client.query_opt(&sql, &[&i64::from(LOCK_CLASS)]).await? else {
        return Ok(None);
    };
    // Both are empty if the role may not see them.
    let (name, address): (Option<&str>, Option<&str>) = (row.try_get(2)?, row.try_get(3)?);
    let backend = ServerProcess {
        pid: row.try_get(0)?,
        started: row.try_get::<_, Option<String>>(1)?.unwrap_or_default(),
    };
    Ok(Some(LockHolder {
        text: format!(
            "{} from {} (process {} of the server)",
            name.filter(|name| !name.is_empty()).unwrap_or("another session"),
            address.unwrap_or("the server's own machine"),
            backend.pid
        ),
        backend,
    }))
}

impl LockHolder {
    /// What a running daemon says when it finds another one in its place.
    pub(super) fn failure(&self, own: &[ServerProcess]) -> Failure {
        if own.contains(&self.backend) {
            return Failure::new(
                FailureKind::Locked,
                "an earlier connection of this daemon still holds the lock",
            );
        }
        Failure::new(
            FailureKind::Moved,
            format!("another daemon has taken the database over: {}", self.text),
        )
        .with_advice("stop one of the two; this one writes no more until it is restarted")
    }
}
