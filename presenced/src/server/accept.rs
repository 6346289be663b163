//! The accept loop. It only accepts: whatever may take time happens in the connection's own task, so that no client delays
//! another one here.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use presence::Mono;
use tokio::net::TcpListener;

use super::http_connection::{Arrival, HttpServer};
use super::problem::ApiError;
use super::reject::Rejector;
use super::tls_handshake;
use super::{ConnectionPermit, Serving, StopPhase, TaskHandle};
use crate::tls;

/// Pause after a failure that an immediate retry would repeat, such as no free file descriptor.
const BACK_OFF: Duration = Duration::from_millis(100);
/// Pause between two log lines about such failures.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// How a failure to accept is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AfterError {
    /// The client is gone; the next one is accepted at once.
    Retry,
    /// The system can't provide a socket now.
    BackOff,
}

/// Accepts until the server drains.
pub(super) async fn run(listener: TcpListener, serving: Serving, mut handle: TaskHandle) {
    let http_server = HttpServer::new(&serving);
    let rejector = Rejector::new(serving.rejections);
    let mut log_after = None;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = handle.phase.wait_for(|phase| *phase != StopPhase::Serving) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                serving.metrics.accepted.inc();
                match admit(&serving, peer) {
                    Ok(permit) => {
                        let handle = handle.clone();
                        let arrival = Arrival { peer, permit, handle };
                        match &serving.tls {
                            None => {
                                let head = http_server.head_time();
                                tokio::spawn(http_server.serve(stream.into(), arrival, head));
                            }
                            Some(tls) => {
                                let (server, rejector) = (http_server.clone(), rejector.clone());
                                let config = tls.config();
                                tokio::spawn(tls_handshake::run(server, rejector, config, stream, arrival));
                            }
                        }
                    }
                    Err(error) => rejector.reject(stream, rejection(&serving, &error)),
                }
            }
            Err(error) => {
                serving.metrics.accept_errors.inc();
                if after_error(&error) == AfterError::BackOff {
                    log_failure(&error, serving.clock.mono(), &mut log_after);
                    tokio::time::sleep(BACK_OFF).await;
                }
            }
        }
    }
}

/// What a connection is told that is not served. Over TLS there is no room for why: a handshake for that would cost more than a
/// connection that is served.
fn rejection(serving: &Serving, error: &ApiError) -> Vec<u8> {
    match serving.tls {
        Some(_) => tls::REJECTION.to_vec(),
        None => error.to_bytes(),
    }
}

fn admit(serving: &Serving, peer: SocketAddr) -> Result<Arc<ConnectionPermit>, ApiError> {
    // Rate first: an address that exceeds it must not be able to use up the connection limit.
    serving.admission.admit_connection(peer.ip())?;
    let address = serving.admission.limited_address(peer.ip());
    let acquired = serving.connection_limit.acquire(address, serving.clock.mono());
    acquired.map_err(|limit| serving.admission.at_capacity(limit))
}

fn after_error(error: &io::Error) -> AfterError {
    match error.kind() {
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted => {
            AfterError::Retry
        }
        _ => AfterError::BackOff,
    }
}

/// Logs once a minute, not ten times a second.
fn log_failure(error: &io::Error, now: Mono, log_after: &mut Option<Mono>) {
    if log_after.is_none_or(|after| now >= after) {
        *log_after = Some(now.after(LOG_PAUSE));
        tracing::error!(%error, "can't accept connections; retrying");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_backs_off_without_files_and_not_after_an_abort() {
        let aborted = io::Error::from(rustix::io::Errno::CONNABORTED);
        assert_eq!(after_error(&aborted), AfterError::Retry);
        for errno in [
            rustix::io::Errno::MFILE,
            rustix::io::Errno::NFILE,
            rustix::io::Errno::NOBUFS,
        ] {
            assert_eq!(after_error(&io::Error::from(errno)), AfterError::BackOff);
        }
    }
}
