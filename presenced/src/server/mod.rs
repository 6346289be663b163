//! The HTTP server: an accept loop over hyper, because `axum::serve` has no time limit for a request head. Admission
//! (connection limit, rate limits per client address, failed logins) is decided here; what a request means is not.
//!
//! One task accepts, one task per HTTP connection serves it. An upgraded connection leaves its task and keeps its
//! [`ConnectionPermit`].

mod accept;
mod address_key;
mod address_limits;
mod admission;
mod client_time;
mod connection_bounds;
mod connection_limit;
mod http_connection;
mod http_stream;
pub(crate) mod listen;
pub(crate) mod lookups;
mod metrics;
mod problem;
mod reject;
#[cfg(test)]
pub(crate) mod tests;
mod tls_handshake;
pub(crate) mod upgrades;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::sync::{mpsc, watch};

pub(crate) use admission::Admission;
pub(crate) use client_time::within_client_time;
pub(crate) use connection_bounds::ConnectionBounds;
pub(crate) use connection_limit::{ConnectionLimit, ConnectionPermit};
pub(crate) use http_connection::{BUFFER_MAX_BYTES as HEAD_MAX_BYTES, HEADERS_MAX};
pub(crate) use metrics::ServerMetrics;
pub(crate) use problem::{ApiError, Exceeded, catching_panics, catching_panics_of};

use self::lookups::Lookups;
use self::upgrades::Upgrades;
use crate::clock::Clock;
use crate::limits::CurrentLimits;
use crate::tls::ServedIdentity;
use crate::vital::{self, VitalTask};

/// The remote address of the TCP connection: a client, or the proxy in front of it. In every request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Whether a request is the first of its TCP connection. In every request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestOrder {
    /// The handshake of a client without a proxy was counted when it connected.
    First,
    Later,
}

/// What a server needs for its connections.
#[derive(Clone)]
pub(crate) struct Serving {
    pub(crate) router: Router,
    /// What does not go through the router.
    pub(crate) upgrades: Option<Upgrades>,
    pub(crate) lookups: Option<Lookups>,
    /// What TLS is spoken with; none: the listener is plain.
    pub(crate) tls: Option<Arc<ServedIdentity>>,
    pub(crate) connection_limit: Arc<ConnectionLimit>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) limits: Arc<CurrentLimits>,
    /// For the pauses between log lines about failures to accept.
    pub(crate) clock: Arc<Clock>,
    /// Connections that may be rejected gracefully at the same time.
    pub(crate) rejections: usize,
    /// Shared by all servers.
    pub(crate) metrics: ServerMetrics,
}

/// How far the stop of a server has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StopPhase {
    Serving,
    /// No connection is accepted; requests in progress are finished.
    Draining,
    /// Open connections are dropped.
    Cut,
}

/// Held by every task of a server.
#[derive(Clone)]
struct TaskHandle {
    phase: watch::Receiver<StopPhase>,
    /// Dropped when the task ends: the server waits for the last one.
    _alive: mpsc::Sender<()>,
}

/// Whether all requests were finished before the server stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drained {
    All,
    /// Connections were dropped because they took too long.
    Cut,
}

/// A running server. Dropping it stops it at once.
pub(crate) struct Server {
    #[cfg(test)]
    local_addr: SocketAddr,
    phase: watch::Sender<StopPhase>,
    /// Every [`TaskHandle`] holds the other end; it is closed when the last task has ended.
    alive: mpsc::Receiver<()>,
    accepting: VitalTask,
}

impl Server {
    /// Begins to accept. Connections made since [`listen::BoundAddress::listen`] have waited in the kernel's queue.
    ///
    /// # Errors
    /// The socket can't be handed to the runtime.
    pub(crate) fn start(listener: std::net::TcpListener, serving: Serving) -> io::Result<Self> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        #[cfg(test)]
        let local_addr = listener.local_addr()?;
        let (phase, phase_receiver) = watch::channel(StopPhase::Serving);
        let (alive_sender, alive) = mpsc::channel(1);
        let handle = TaskHandle {
            phase: phase_receiver,
            _alive: alive_sender,
        };
        let accepting = vital::start_task(accept::run(listener, serving, handle));
        Ok(Self {
            #[cfg(test)]
            local_addr,
            phase,
            alive,
            accepting,
        })
    }

    #[cfg(test)]
    pub(crate) const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Stops accepting, finishes requests in progress for `within` at most, then drops the rest. Upgraded connections are
    /// not its concern.
    async fn stop(mut self, within: Duration) -> Drained {
        self.phase.send_replace(StopPhase::Draining);
        // The listening socket is closed when the accepting task has ended: only then are connections refused.
        self.accepting.ended().await;
        if tokio::time::timeout(within, self.alive.recv()).await.is_ok() {
            return Drained::All;
        }
        self.phase.send_replace(StopPhase::Cut);
        let _ = self.alive.recv().await;
        Drained::Cut
    }
}

/// All servers of the daemon. They stop together: none accepts while another one finishes its requests.
#[derive(Default)]
pub(crate) struct Servers(Vec<Server>);

impl Servers {
    /// Starts one more, as [`Server::start`] does.
    ///
    /// # Errors
    /// The socket can't be handed to the runtime.
    pub(crate) fn start(&mut self, listener: std::net::TcpListener, serving: Serving) -> io::Result<()> {
        self.0.push(Server::start(listener, serving)?);
        Ok(())
    }

    /// Stops all of them, and waits for the end of the connections, upgraded ones too, for `within` at most. Requests in
    /// progress have half of it.
    pub(crate) async fn drain(self, metrics: &ServerMetrics, within: Duration) {
        let disconnecting = async {
            while metrics.connections.get() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let stopping = self.stop(within / 2);
        let _ = tokio::time::timeout(within, async { tokio::join!(stopping, disconnecting) }).await;
    }

    /// Stops all of them at once, each as [`Server::stop`] does.
    async fn stop(self, within: Duration) {
        let stopping = self.0.into_iter().map(|server| tokio::spawn(server.stop(within)));
        let stopping: Vec<_> = stopping.collect();
        for stopped in stopping {
            // A panic is logged by the hook, and that server has stopped too.
            let _ = stopped.await;
        }
    }
}
