//! The lock that keeps daemons apart that don't know of each other: an advisory lock of the session that writes.
//!
//! A daemon without a cluster believes that nobody else changes what it knows: its lock is exclusive. The nodes of a cluster share
//! theirs. The lock belongs to the very connection that writes: when that breaks the lock is gone, and no write is made before a new
//! connection has taken it again. If another daemon was faster, this one writes no more.

use std::time::Duration;

use tokio_postgres::{Client, Row};

use super::failure::Failure;
use crate::clock::Stopwatch;
use crate::store::Access;
use crate::store::metrics::FailureKind;

/// The first half of the numbers of our advisory locks: "pres", as an application id of SQLite is.
pub(super) const LOCK_CLASS: i32 = 0x7072_6573;

/// How long a start waits for the connection of a daemon that was killed to be noticed by the server.
pub(super) const START_PATIENCE: Duration = Duration::from_secs(3);
/// How often it tries meanwhile.
const TRY_EVERY: Duration = Duration::from_millis(50);

/// A connection as the server knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerProcess {
    pid: i32,
    /// Process ids are given anew; together with this it names one connection.
    started: String,
}

/// How a daemon uses the database.
#[derive(Debug, Clone, Copy)]
pub(super) struct DatabaseAccess {
    pub(super) lock: LockMode,
    /// Whether other daemons write to it.
    pub(super) access: Access,
}

/// How a daemon takes the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LockMode {
    /// It keeps everybody out.
    Exclusive,
    /// It keeps out who wants it alone.
    Shared,
    /// It takes none: a second handle in a test.
    #[cfg(test)]
    Unlocked,
}

impl LockMode {
    pub(super) fn of(access: Access) -> Self {
        match access {
            Access::Exclusive => Self::Exclusive,
            Access::Shared => Self::Shared,
        }
    }

    /// The function that takes it at once or not at all.
    fn function(self) -> Option<&'static str> {
        match self {
            Self::Exclusive => Some("pg_try_advisory_lock"),
            Self::Shared => Some("pg_try_advisory_lock_shared"),
            #[cfg(test)]
            Self::Unlocked => None,
        }
    }
}

/// Who else has the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LockHolders {
    backends: Vec<ServerProcess>,
    /// The names and addresses of the other ends, for people.
    pub(super) text: String,
    /// What to do about them.
    pub(super) advice: &'static str,
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

    /// Ends a connection that this daemon has given up, with the transaction that it may have open. Whether the server had it:
    /// one that waits for its disk ends later, and keeps its locks until then.
    pub(super) async fn terminate(&self, client: &Client) -> Result<bool, Failure> {
        let ended = client
            .query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE pid = $1 AND backend_start::text = $2 AND pid <> pg_backend_pid()",
                &[&self.pid, &self.started],
            )
            .await?;
        Ok(!ended.is_empty())
    }
}

/// Takes the lock. The other holders, if there are some that don't go away in time.
pub(super) async fn take(client: &Client, mode: LockMode, patience: Duration) -> Result<Option<LockHolders>, Failure> {
    let Some(function) = mode.function() else {
        return Ok(None);
    };
    let waiting = Stopwatch::start();
    loop {
        let sql = format!("SELECT {function}($1, {LOCK_NUMBER})");
        if client.query_one(&sql, &[&LOCK_CLASS]).await?.try_get(0)? {
            return Ok(None);
        }
        let holders = holders(client, mode).await?;
        if waiting.elapsed() >= patience && holders.is_some() {
            return Ok(holders);
        }
        tokio::time::sleep(TRY_EVERY).await;
    }
}

/// None: it was given back meanwhile.
async fn holders(client: &Client, wanted: LockMode) -> Result<Option<LockHolders>, Failure> {
    let sql = format!(
        "SELECT pid, backend_start::text, application_name, host(client_addr), mode = 'ExclusiveLock'
         FROM pg_locks JOIN pg_stat_activity USING (pid)
         WHERE locktype = 'advisory' AND granted AND classid::int8 = $1 AND objid::int8 = ({LOCK_NUMBER})::int8
           AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
         ORDER BY backend_start"
    );
    let rows = client.query(&sql, &[&i64::from(LOCK_CLASS)]).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let (mut backends, mut texts) = (Vec::new(), Vec::new());
    for row in &rows {
        let backend = ServerProcess {
            pid: row.try_get(0)?,
            started: row.try_get::<_, Option<String>>(1)?.unwrap_or_default(),
        };
        texts.push(describe(row, backend.pid)?);
        backends.push(backend);
    }
    let is_alone = first.try_get(4)?;
    let text = match is_alone {
        true => texts.concat(),
        false => format!("a cluster, by {}", texts.join(", ")),
    };
    let advice = match (is_alone, wanted) {
        (true, LockMode::Shared) => "stop it, or give it the --redis of this one",
        (true, _) => "stop it",
        (false, _) => "stop them, or give this one the --redis that they have",
    };
    Ok(Some(LockHolders { backends, text, advice }))
}

/// Name and address are empty if the role may not see them.
fn describe(row: &Row, pid: i32) -> Result<String, Failure> {
    let (name, address): (Option<&str>, Option<&str>) = (row.try_get(2)?, row.try_get(3)?);
    Ok(format!(
        "{} from {} (process {pid} of the server)",
        name.filter(|name| !name.is_empty()).unwrap_or("another session"),
        address.unwrap_or("the server's own machine"),
    ))
}

impl LockHolders {
    /// What a running daemon says when it finds others in its place.
    pub(super) fn failure(&self, own: &[ServerProcess]) -> Failure {
        if self.backends.iter().any(|backend| own.contains(backend)) {
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
