//! One HTTP connection, served by hyper with every size and time limited, until it is closed or upgraded.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tower::Service;

use super::{ConnectionPermit, Peer, RequestOrder, ServerMetrics, Serving, StopPhase, TaskHandle};

/// Longest request head, and most bytes that hyper buffers for a connection.
const BUFFER_MAX_BYTES: usize = 16 * 1024;
/// Most headers of a request.
const HEADERS_MAX: usize = 64;

/// Serves HTTP connections.
#[derive(Clone)]
pub(super) struct HttpServer {
    http: http1::Builder,
    router: Router,
    stuck_after: Duration,
    metrics: ServerMetrics,
}

impl HttpServer {
    pub(super) fn new(serving: &Serving) -> Self {
        let mut http = http1::Builder::new();
        // Without a timer hyper's limit is silently inert. The limit also ends connections that idle between requests.
        http.timer(TokioTimer::new())
            .header_read_timeout(serving.limits.handshake_timeout)
            .max_buf_size(BUFFER_MAX_BYTES)
            .max_headers(HEADERS_MAX);
        Self {
            http,
            router: serving.router.clone(),
            // After a response that the client has read hyper waits one handshake timeout for the next request, so a client
            // that exceeds the sum has not read the response.
            stuck_after: serving.limits.write_timeout + serving.limits.handshake_timeout,
            metrics: serving.metrics.clone(),
        }
    }

    /// Serves one connection, and holds `handle` until it ends.
    pub(super) fn serve(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        permit: Arc<ConnectionPermit>,
        mut handle: TaskHandle,
    ) -> impl Future<Output = ()> + Send + use<> {
        // Counts up when a request begins and when its response is made, so it is odd while the router works.
        let exchanges = Arc::new(AtomicU64::new(0));
        let http = self.http.serve_connection(TokioIo::new(stream), {
            let (router, exchanges) = (self.router.clone(), Arc::clone(&exchanges));
            service_fn(move |request| respond(router.clone(), request, Peer(peer), &permit, Arc::clone(&exchanges)))
        });
        let (stuck_after, metrics) = (self.stuck_after, self.metrics.clone());
        async move {
            let mut http = pin!(http.with_upgrades());
            let mut stuck = pin!(stuck(&exchanges, stuck_after));
            let mut draining = false;
            loop {
                tokio::select! {
                    _ = http.as_mut() => break,
                    changed = handle.phase.changed() => match changed.map(|()| *handle.phase.borrow()) {
                        Ok(StopPhase::Draining) if !draining => {
                            draining = true;
                            http.as_mut().graceful_shutdown();
                        }
                        Ok(StopPhase::Serving | StopPhase::Draining) => {}
                        // Cut, or the server was dropped.
                        Ok(StopPhase::Cut) | Err(_) => break,
                    },
                    () = stuck.as_mut() => {
                        metrics.stuck.inc();
                        break;
                    }
                }
            }
            drop(handle);
        }
    }
}

fn respond(
    mut router: Router,
    request: hyper::Request<Incoming>,
    peer: Peer,
    permit: &Arc<ConnectionPermit>,
    exchanges: Arc<AtomicU64>,
) -> impl Future<Output = Result<axum::response::Response, std::convert::Infallible>> + use<> {
    let mut request = request.map(Body::new);
    let extensions = request.extensions_mut();
    extensions.insert(peer);
    extensions.insert(Arc::clone(permit));
    extensions.insert(match exchanges.fetch_add(1, Ordering::Relaxed) {
        0 => RequestOrder::First,
        _ => RequestOrder::Later,
    });
    let response = router.call(request);
    async move {
        let response = response.await;
        exchanges.fetch_add(1, Ordering::Relaxed);
        response
    }
}

/// Returns once a response has neither been read by the client nor followed by another request for `after` at least and
/// twice that at most. hyper has no such limit; a timer that checks a counter now and then costs a request nothing.
async fn stuck(exchanges: &AtomicU64, after: Duration) {
    let mut seen = 0;
    loop {
        tokio::time::sleep(after).await;
        let count = exchanges.load(Ordering::Relaxed);
        if count == seen && count > 0 && count.is_multiple_of(2) {
            return;
        }
        seen = count;
    }
}
