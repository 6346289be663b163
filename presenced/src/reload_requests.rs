//! Requests for a reload, from the API to the task that does it. A request waits until the reload before it is done.

use presence::wire::rest::ReloadStats;
use tokio::sync::{mpsc, oneshot};

use crate::request_id::{self, RequestId};

/// Requests that wait: each is of an operator, and one more than that waits where it is made.
const WAITING_MAX: usize = 16;

/// A request, as the task gets it.
#[derive(Debug)]
pub(crate) struct ReloadRequest {
    /// For what the reload logs.
    pub(crate) id: Option<RequestId>,
    /// Where the answer goes.
    pub(crate) answer: oneshot::Sender<ReloadStats>,
}

/// The task that reloads has ended: the daemon is about to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the daemon is shutting down")]
pub(crate) struct NoReloader;

#[derive(Debug, Clone)]
pub(crate) struct ReloadRequests(mpsc::Sender<ReloadRequest>);

impl ReloadRequests {
    /// With the other end, for the task.
    pub(crate) fn new() -> (Self, mpsc::Receiver<ReloadRequest>) {
        let (requests, received) = mpsc::channel(WAITING_MAX);
        (Self(requests), received)
    }

    /// Has everything reloaded that a reload reads, and waits for the outcome.
    pub(crate) async fn reload(&self) -> Result<ReloadStats, NoReloader> {
        let (answer, outcome) = oneshot::channel();
        let id = request_id::handed_on();
        self.0
            .send(ReloadRequest { id, answer })
            .await
            .map_err(|_| NoReloader)?;
        outcome.await.map_err(|_| NoReloader)
    }
}
