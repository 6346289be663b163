//! The HTTP server: our own accept loop over hyper, because `axum::serve` has no time limit for a request head. Who may
//! come in at all (capacity, rates of client addresses, failed logins) is decided here; what a request means is not.
//!
//! One task accepts, one task per HTTP connection serves it. A connection that is upgraded leaves its task and takes its
//! [`Slot`] along.

mod accept;
mod address_limits;
mod connection;
mod door;
pub(crate) mod listen;
mod metrics;
mod problem;
mod slots;
#[cfg(test)]
pub(crate) mod tests;
mod turn_away;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

pub(crate) use door::Door;
pub(crate) use metrics::ServerMetrics;
pub(crate) use problem::{ApiError, catching_panics};
pub(crate) use slots::{Slot, Slots};

use crate::clock::Clock;
use crate::config::limits::Limits;

/// The other end of the TCP connection: a client, or the proxy in front of it. In every request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Which request of its TCP connection this is. In every request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The first: for a client without a proxy, its handshake was counted when it connected.
    First,
    /// One after another.
    Later,
}

/// What a server needs for its connections.
#[derive(Clone)]
pub(crate) struct Serving {
    /// Answers the requests.
    pub(crate) router: Router,
    /// How many connections there may be.
    pub(crate) slots: Arc<Slots>,
    /// Who may come in.
    pub(crate) door: Arc<Door>,
    /// Times and sizes.
    pub(crate) limits: Arc<Limits>,
    /// For the pauses between complaints about the system.
    pub(crate) clock: Arc<Clock>,
    /// Figures of all servers together.
    pub(crate) metrics: ServerMetrics,
}

/// What a server is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It accepts.
    Serving,
    /// It accepts nothing; requests that are under way are answered.
    Draining,
    /// Whatever is left is dropped.
    Cut,
}

/// Whether everybody got an answer before the server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drained {
    /// Yes.
    All,
    /// Some were cut off, because they took too long.
    Cut,
}

/// A server that runs. Dropping it stops it at once.
pub(crate) struct Server {
    #[cfg(test)]
    local_addr: SocketAddr,
    phase: watch::Sender<Phase>,
    /// Every task of this server holds the other end; it says nothing but when the last one is gone.
    alive: mpsc::Receiver<()>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Begins to accept. What connected since [`listen::listen`] has waited in the kernel's queue.
    ///
    /// # Errors
    /// The socket can't be handed to the runtime.
    pub(crate) fn start(listener: std::net::TcpListener, serving: Serving) -> io::Result<Self> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        #[cfg(test)]
        let local_addr = listener.local_addr()?;
        let (phase, watched) = watch::channel(Phase::Serving);
        let (held, alive) = mpsc::channel(1);
        let accepting = tokio::spawn(accept::run(listener, serving, watched, held));
        Ok(Self {
            #[cfg(test)]
            local_addr,
            phase,
            alive,
            accepting,
        })
    }

    /// Where it listens.
    #[cfg(test)]
    pub(crate) const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Stops accepting, answers what is under way for `within` at most, then drops the rest. Upgraded connections are
    /// none of its business.
    pub(crate) async fn stop(mut self, within: Duration) -> Drained {
        self.phase.send_replace(Phase::Draining);
        // The listening socket is closed when the accepting task has ended: only then are new clients refused.
        let _ = (&mut self.accepting).await;
        if tokio::time::timeout(within, self.alive.recv()).await.is_ok() {
            return Drained::All;
        }
        self.phase.send_replace(Phase::Cut);
        let _ = self.alive.recv().await;
        Drained::Cut
    }
}
