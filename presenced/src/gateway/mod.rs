//! WebSocket: the upgrade, one task per connection that reads, and one handler per message type. Everything is sent through
//! the connection's outbox; what a message does is decided in the engine. Nothing here knows of REST.

mod close;
#[cfg(feature = "autobahn")]
mod echo;
mod frame_scanner;
mod handlers;
mod metered_reader;
mod metrics;
mod reader;
mod replies;
mod session;
#[cfg(test)]
mod tests;
mod upgrade;

use std::sync::Arc;

use axum::routing::MethodRouter;

use crate::auth::Auth;
use crate::clock::Clock;
use crate::engine::Engine;
use crate::limits::CurrentLimits;
use crate::server::Admission;
use crate::server::upgrades::AnswerUpgrade;

pub(crate) use metrics::GatewayMetrics;

/// What every connection needs.
pub(crate) struct Gateway {
    pub(crate) engine: Arc<Engine>,
    pub(crate) auth: Arc<Auth>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) limits: Arc<CurrentLimits>,
    pub(crate) metrics: GatewayMetrics,
    /// For the welcome.
    pub(crate) ping_interval: std::time::Duration,
}

impl Gateway {
    /// Answers `GET /ws` without a router.
    pub(crate) fn answer(self: &Arc<Self>) -> Arc<AnswerUpgrade> {
        let gateway = Arc::clone(self);
        Arc::new(move |request: &_, client: &_| upgrade::answer(&gateway, request, client))
    }

    /// `/ws`, whatever the method: axum would take HEAD for a GET.
    pub(crate) fn route<S: Clone + Send + Sync + 'static>(self: &Arc<Self>) -> MethodRouter<S> {
        let gateway = Arc::clone(self);
        axum::routing::any(move |request| upgrade::handle(Arc::clone(&gateway), request))
    }

    /// `GET /autobahn`: an echo for the conformance suite, through the same upgrade, limits and sending.
    #[cfg(feature = "autobahn")]
    pub(crate) fn echo_route<S: Clone + Send + Sync + 'static>(self: &Arc<Self>) -> MethodRouter<S> {
        let gateway = Arc::clone(self);
        axum::routing::any(move |request| upgrade::handle_echo(Arc::clone(&gateway), request))
    }
}
