//! The connection that writes: it holds the lock of the database, and is replaced by one that has taken the lock again.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Client;

use super::commit_mark::CommitMark;
use super::database_lock::{self, DatabaseAccess, LockHolders, ServerProcess};
use super::failure::Failure;
use super::health::ServerHealth;
use super::migration::{self, Identity};
use super::session::{Backoff, Connector, IDLE_WITH_LOCKS, SETUP_TIMEOUT, within};
use super::single::SingleStatements;
use super::statements::WriteStatements;
use crate::store::Access;
use crate::store::metrics::FailureKind;

/// Earlier connections of this daemon that the server may still have. Of more the latest are not remembered: the lock, if one
/// of them has it, is of the one before.
const EARLIER_MAX: usize = 8;

/// A connection that may write.
pub(super) struct WriteSession {
    pub(super) client: Client,
    pub(super) statements: WriteStatements,
    pub(super) singles: SingleStatements,
    pub(super) backend: ServerProcess,
}

impl WriteSession {
    /// Takes the lock. The holders, if there are other daemons.
    pub(super) async fn open(
        client: Client,
        access: DatabaseAccess,
        patience: Duration,
    ) -> Result<Result<Self, LockHolders>, Failure> {
        if let Some(holders) = database_lock::take(&client, access.lock, patience).await? {
            return Ok(Err(holders));
        }
        if access.access == Access::Shared {
            let patience = IDLE_WITH_LOCKS.as_millis();
            client
                .batch_execute(&format!("SET idle_in_transaction_session_timeout = {patience}"))
                .await?;
        }
        Ok(Ok(Self {
            statements: WriteStatements::prepare(&client, access.access).await?,
            singles: SingleStatements::prepare(&client).await?,
            backend: ServerProcess::of(&client).await?,
            client,
        }))
    }
}

/// Makes the connection anew when it broke.
pub(super) struct WriteLink {
    connector: Arc<Connector>,
    access: DatabaseAccess,
    /// Another database in its place is not written to.
    identity: Identity,
    health: Arc<ServerHealth>,
    session: Option<WriteSession>,
    /// The last commit that was acknowledged.
    last_commit: Option<CommitMark>,
    backoff: Backoff,
    earlier: Vec<ServerProcess>,
}

impl WriteLink {
    pub(super) fn new(
        opened: (Arc<Connector>, Identity),
        access: DatabaseAccess,
        session: WriteSession,
        health: &Arc<ServerHealth>,
    ) -> Self {
        let (connector, identity) = opened;
        Self {
            connector,
            access,
            identity,
            health: Arc::clone(health),
            session: Some(session),
            last_commit: None,
            backoff: Backoff::default(),
            earlier: Vec::new(),
        }
    }

    /// Whether there is a connection, which may be lost without having been noticed.
    pub(super) fn is_connected(&self) -> bool {
        self.session.is_some()
    }

    /// Gives the connection up.
    pub(super) fn drop_session(&mut self) {
        if let Some(session) = self.session.take() {
            self.remember(session.backend);
        }
    }

    fn remember(&mut self, backend: ServerProcess) {
        self.earlier.truncate(EARLIER_MAX - 1);
        self.earlier.push(backend);
    }

    /// A commit is acknowledged.
    pub(super) fn committed(&mut self, mark: CommitMark) {
        self.last_commit = Some(mark.after(self.last_commit.take()));
    }

    /// The connection, or a new one.
    pub(super) async fn session(&mut self) -> Result<&WriteSession, Failure> {
        if self.session.as_ref().is_some_and(|session| session.client.is_closed()) {
            self.drop_session();
        }
        if self.session.is_none() {
            // What comes right after the server is back is not refused for what was before.
            self.backoff.wait().await;
            match self.connect().await {
                Ok(session) => {
                    self.backoff.succeeded();
                    self.earlier.clear();
                    self.session = Some(session);
                }
                Err(failure) => {
                    self.backoff.failed(&failure);
                    return Err(failure);
                }
            }
        }
        let lost = || Failure::new(FailureKind::Unreachable, "the connection was closed");
        self.session.as_ref().ok_or_else(lost)
    }

    async fn connect(&mut self) -> Result<WriteSession, Failure> {
        let client = self.connector.connect().await?;
        within(SETUP_TIMEOUT, self.set_up(client)).await
    }

    async fn set_up(&mut self, client: Client) -> Result<WriteSession, Failure> {
        migration::check(&client, &self.identity).await?;
        if let Some(mark) = &self.last_commit
            && mark.is_lost(&client).await?
        {
            self.health.writes_lost();
            self.last_commit = None;
        }
        let mut alive = Vec::new();
        for backend in &self.earlier {
            if backend.terminate(&client).await? {
                alive.push(backend.clone());
            }
        }
        self.earlier = alive;
        // Whether it has the lock when it is lost before it is ready, the server knows alone.
        self.remember(ServerProcess::of(&client).await?);
        match WriteSession::open(client, self.access, self.connector.busy_timeout).await? {
            Ok(session) => Ok(session),
            Err(holders) => Err(holders.failure(&self.earlier)),
        }
    }
}
