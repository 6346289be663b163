//! Requests for a reload, from the API to the task that does it. A request waits until the reload before it is done.

use presence::wire::rest::ReloadStats;
use tokio::sync::{mpsc, oneshot};

/// Requests that wait: each is of an operator, and one more than that waits where it is made.
const WAITING_MAX: usize = 16;

/// Where the answer to a request goes.
pub(crate) type Reloaded = oneshot::Sender<ReloadStats>;

/// The task that reloads has ended: the daemon is about to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the daemon is shutting down")]
pub(crate) struct NoReloader;

#[derive(Debug, Clone)]
pub(crate) struct ReloadRequests(mpsc::Sender<Reloaded>);

impl ReloadRequests {
    /// With the other end, for the task.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Reloaded>) {
        let (requests, received) = mpsc::channel(WAITING_MAX);
        (Self(requests), received)
    }

    /// Has everything reloaded that a reload reads, and waits for the outcome.
    pub(crate) async fn reload(&self) -> Result<ReloadStats, NoReloader> {
        let (answer, outcome) = oneshot::channel();
        self.0.send(answer).await.map_err(|_| NoReloader)?;
        outcome.await.map_err(|_| NoReloader)
    }
}
