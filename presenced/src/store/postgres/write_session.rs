//! The connection that writes: it holds the lock of the database, and is replaced by one that has taken the lock again.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Client;

use super::exclusive::{self, LockHolder, OWN_PATIENCE, ServerProcess};
use super::failure::Failure;
use super::migration::{self, Identity};
use super::session::{Backoff, Connector};
use super::single::SingleStatements;
use super::statements::WriteStatements;
use crate::store::metrics::FailureKind;

/// Earlier connections of this daemon that the server may still have. More are not remembered: each is ended when the next
/// one is made.
const EARLIER_MAX: usize = 8;

/// Whether the store keeps every other daemon out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// It has the database to itself.
    Exclusive,
    /// Others write as well: other nodes.
    #[cfg(test)]
    Shared,
}

/// A connection that may write.
pub(super) struct WriteSession {
    pub(super) client: Client,
    pub(super) statements: WriteStatements,
    pub(super) singles: SingleStatements,
    pub(super) backend: ServerProcess,
}

impl WriteSession {
    /// Takes the lock. The holder, if there is another daemon.
    pub(super) async fn open(
        client: Client,
        access: Access,
        patience: Duration,
    ) -> Result<Result<Self, LockHolder>, Failure> {
        if access == Access::Exclusive
            && let Some(holder) = exclusive::take(&client, patience).await?
        {
            return Ok(Err(holder));
        }
        Ok(Ok(Self {
            statements: WriteStatements::prepare(&client).await?,
            singles: SingleStatements::prepare(&client).await?,
            backend: ServerProcess::of(&client).await?,
            client,
        }))
    }
}

/// Makes the connection anew when it broke.
pub(super) struct WriteLink {
    connector: Arc<Connector>,
    access: Access,
    /// Another database in its place is not written to.
    identity: Identity,
    session: Option<WriteSession>,
    backoff: Backoff,
    earlier: Vec<ServerProcess>,
}

impl WriteLink {
    pub(super) fn new(connector: Arc<Connector>, access: Access, identity: Identity, session: WriteSession) -> Self {
        Self {
            connector,
            access,
            identity,
            session: Some(session),
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
            if self.earlier.len() == EARLIER_MAX {
                self.earlier.remove(0);
            }
            self.earlier.push(session.backend);
        }
    }

    /// The connection, or a new one.
    pub(super) async fn session(&mut self) -> Result<&WriteSession, Failure> {
        if self.session.as_ref().is_some_and(|session| session.client.is_closed()) {
            self.drop_session();
        }
        if self.session.is_none() {
            self.backoff.check()?;
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

    async fn connect(&self) -> Result<WriteSession, Failure> {
        let client = self.connector.connect().await?;
        if migration::identity(&client).await? != self.identity {
            return Err(Failure::new(
                FailureKind::Moved,
                "another database is in the place of the one that was opened",
            ));
        }
        for backend in &self.earlier {
            backend.terminate(&client).await?;
        }
        match WriteSession::open(client, self.access, OWN_PATIENCE).await? {
            Ok(session) => Ok(session),
            Err(holder) => Err(holder.failure(&self.earlier)),
        }
    }
}
