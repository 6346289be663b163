//! The beginning of a connection with TLS: its handshake, in the connection's own task and within the limits of a connection on
//! which nobody has asked for anything yet. What follows is HTTP.

use std::sync::Arc;

use presence::wire::error_code::Code;
use tokio::net::TcpStream;
use tokio_rustls::rustls::ServerConfig;

use super::client_time::client_time;
use super::http_connection::{Arrival, HttpServer};
use super::reject::Rejector;
use super::{ApiError, StopPhase};
use crate::clock::Stopwatch;
use crate::exceeded_limit::Limit;
use crate::tls::{AcceptError, Transport, accept};

/// What a client is told that speaks plain HTTP.
const TLS_REQUIRED: &str = "this port speaks TLS: use https:// and wss://";

/// Does the handshake, and serves the connection. The handshake and the first request head have the time of a request head together.
pub(super) async fn run(
    server: HttpServer,
    rejector: Rejector,
    config: Arc<ServerConfig>,
    stream: TcpStream,
    mut arrival: Arrival,
) {
    let watch = Stopwatch::start();
    let Arrival { peer, permit, handle } = &mut arrival;
    let accepted = tokio::select! {
        // What has arrived is read before its time is judged.
        biased;
        accepted = accept(config, stream) => accepted,
        () = client_time(server.head_time()) => {
            server.metrics().tls_failed.inc();
            tracing::debug!(%peer, "a TLS handshake took too long");
            return;
        }
        () = permit.evicted() => return server.metrics().count_limit(Limit::Unauthenticated),
        _ = handle.phase.wait_for(|phase| *phase != StopPhase::Serving) => return,
    };
    match accepted {
        Ok(socket) => {
            server.metrics().tls_handshakes.inc();
            let left = server.head_time().saturating_sub(watch.elapsed());
            server.serve(Transport::Tls(Box::new(socket)), arrival, left).await;
        }
        Err(error) => {
            server.metrics().tls_failed.inc();
            tracing::debug!(%peer, %error, "a TLS handshake failed");
            if let AcceptError::PlainHttp(stream) = error {
                rejector.reject(stream, ApiError::new(Code::TlsRequired, TLS_REQUIRED).to_bytes());
            }
        }
    }
}
