//! One HTTP connection, served by hyper with every size and time limited, until it is closed or upgraded.

use std::convert::Infallible;
use std::future::{self, Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::future::RouteFuture;
use futures_util::FutureExt as _;
use futures_util::future::Either;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tower::Service;

use crate::clock::Stopwatch;
use crate::exceeded_limit::Limit;
use crate::tls::Transport;

use super::client_time::client_time;
use super::http_stream::{HttpExchange, HttpPhase, HttpStream};
use super::lookups::Lookups;
use super::upgrades::{Answered, PendingUpgrade, Requester, Upgrades};
use super::{ConnectionPermit, Peer, RequestOrder, ServerMetrics, Serving, StopPhase, TaskHandle};

/// Longest request head, and most bytes that hyper buffers for a connection.
pub(crate) const BUFFER_MAX_BYTES: usize = 16 * 1024;
/// Most headers of a request.
pub(crate) const HEADERS_MAX: usize = 64;

/// How long an HTTP connection may wait for its client.
#[derive(Debug, Clone, Copy)]
struct HttpTimes {
    head: Duration,
    idle: Duration,
}

impl HttpTimes {
    /// How long this phase may last; none: the handlers, and [`stuck`], have limits of their own.
    const fn limit_of(&self, phase: HttpPhase) -> Option<Duration> {
        match phase {
            HttpPhase::Head { .. } => Some(self.head),
            HttpPhase::Idle { .. } => Some(self.idle),
            HttpPhase::Response => None,
        }
    }
}

/// Until when the phase of an HTTP connection may last, and when its timer ends, by a stopwatch. A timer that ends before is left
/// alone, and another one is set when it has ended: timers for each request would be a twentieth of its cost.
#[derive(Debug)]
struct PhaseLimit {
    over_at: Option<Duration>,
    timer_ends: Duration,
}

impl PhaseLimit {
    /// The limit of the first phase, for which a timer is set.
    const fn new(limit: Duration) -> Self {
        Self {
            over_at: Some(limit),
            timer_ends: limit,
        }
    }

    /// A phase of this length begins. The time for which another timer is to be set now.
    fn begin(&mut self, limit: Option<Duration>, now: Duration) -> Option<Duration> {
        self.over_at = limit.map(|limit| now + limit);
        let is_early = |over_at: &Duration| *over_at < self.timer_ends;
        self.timer_ends = self.over_at.filter(is_early)?;
        limit
    }

    /// Ready when the phase is over, by this timer, or others that take its place.
    fn poll<T: Future<Output = ()>>(
        &mut self,
        watch: Stopwatch,
        mut timer: Pin<&mut T>,
        set: impl Fn(Duration) -> T,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        while self.applies() {
            ready!(timer.as_mut().poll(context));
            match self.time_left(watch.elapsed()) {
                Some(time) => timer.set(set(time)),
                None => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }

    const fn applies(&self) -> bool {
        self.over_at.is_some()
    }

    /// The timer has ended. The time for which another one is to be set; none if it was that of the phase.
    fn time_left(&mut self, now: Duration) -> Option<Duration> {
        let over_at = self.over_at.filter(|over_at| *over_at > self.timer_ends)?;
        self.timer_ends = over_at;
        Some(over_at.saturating_sub(now))
    }
}

/// An accepted connection, and what it holds.
pub(super) struct Arrival {
    pub(super) peer: SocketAddr,
    pub(super) permit: Arc<ConnectionPermit>,
    /// Held until the connection ends.
    pub(super) handle: TaskHandle,
}

/// Who answers requests.
#[derive(Clone)]
struct Handlers {
    router: Router,
    upgrades: Option<Upgrades>,
    lookups: Option<Lookups>,
    /// What responses tell of the idle time.
    keep_alive: Option<HeaderValue>,
}

/// Serves HTTP connections.
#[derive(Clone)]
pub(super) struct HttpServer {
    http: http1::Builder,
    handlers: Handlers,
    times: HttpTimes,
    stuck_after: Duration,
    metrics: ServerMetrics,
}

impl HttpServer {
    pub(super) fn new(serving: &Serving) -> Self {
        let limits = serving.limits.load();
        let mut http = http1::Builder::new();
        // hyper's own limit on heads counts from the response before. A client that closes its half after a request is
        // answered.
        http.header_read_timeout(None)
            .half_close(true)
            .max_buf_size(BUFFER_MAX_BYTES)
            .max_headers(HEADERS_MAX);
        Self {
            http,
            handlers: Handlers {
                router: serving.router.clone(),
                upgrades: serving.upgrades.clone(),
                lookups: serving.lookups.clone(),
                keep_alive: keep_alive(limits.http_idle_timeout),
            },
            times: HttpTimes {
                head: limits.handshake_timeout,
                idle: limits.http_idle_timeout,
            },
            // After a response that the client has read the next request is waited for and then read, so a client that exceeds
            // the sum has not read the response.
            stuck_after: limits.write_timeout + limits.http_idle_timeout + limits.handshake_timeout,
            metrics: serving.metrics.clone(),
        }
    }

    pub(super) const fn metrics(&self) -> &ServerMetrics {
        &self.metrics
    }

    /// How long a client may take until its first request head is there.
    pub(super) const fn head_time(&self) -> Duration {
        self.times.head
    }

    fn responder(&self, peer: SocketAddr, permit: Arc<ConnectionPermit>, exchange: Arc<HttpExchange>) -> Responder {
        Responder {
            handlers: self.handlers.clone(),
            peer: Peer(peer),
            permit,
            exchange,
        }
    }

    /// Serves one connection until it ends. Its first request head must be there within `first_head`.
    pub(super) fn serve(
        &self,
        transport: Transport,
        arrival: Arrival,
        first_head: Duration,
    ) -> impl Future<Output = ()> + Send + use<> {
        let Arrival {
            peer,
            permit,
            mut handle,
        } = arrival;
        let exchange = Arc::new(HttpExchange::default());
        let stream = TokioIo::new(HttpStream::new(transport, Arc::clone(&exchange)));
        let evictable = Arc::clone(&permit);
        let responder = self.responder(peer, permit, Arc::clone(&exchange));
        let service = service_fn(move |request| responder.respond(request));
        let http = self.http.serve_connection(stream, service);
        let (times, stuck_after, metrics) = (self.times, self.stuck_after, self.metrics.clone());
        async move {
            let mut http = pin!(http.with_upgrades());
            let mut stuck = pin!(stuck(&exchange, stuck_after));
            let mut phase = exchange.phase();
            let watch = Stopwatch::start();
            let mut limit = PhaseLimit::new(first_head);
            let mut late = pin!(client_time(first_head));
            let mut draining = false;
            loop {
                // Ready when the connection has ended, or waits for its client for too long.
                let ended = poll_fn(|context| {
                    if http.as_mut().poll(context).is_ready() {
                        return Poll::Ready(());
                    }
                    // Only what hyper does above changes the phase.
                    if phase != exchange.phase() {
                        phase = exchange.phase();
                        if let Some(time) = limit.begin(times.limit_of(phase), watch.elapsed()) {
                            late.set(client_time(time));
                        }
                    }
                    limit.poll(watch, late.as_mut(), client_time, context)
                });
                tokio::select! {
                    // What has arrived is read before its time is judged.
                    biased;
                    () = ended => break,
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
                    () = evictable.evicted() => {
                        metrics.count_limit(Limit::Unauthenticated);
                        break;
                    }
                }
            }
            if let Some(pending) = exchange.take_upgrade() {
                pending.finish().await;
            }
            drop((handle, evictable));
        }
    }
}

/// What the requests of one connection share.
struct Responder {
    handlers: Handlers,
    peer: Peer,
    permit: Arc<ConnectionPermit>,
    exchange: Arc<HttpExchange>,
}

impl Responder {
    fn respond(&self, request: hyper::Request<Incoming>) -> impl Future<Output = Result<Response, Infallible>> + use<> {
        let exchange = Arc::clone(&self.exchange);
        let client = Requester {
            peer: self.peer,
            order: match exchange.begin() {
                0 => RequestOrder::First,
                _ => RequestOrder::Later,
            },
            permit: Some(Arc::clone(&self.permit)),
        };
        let keep_alive = self.handlers.keep_alive.clone();
        let (upgrades, lookups) = (self.handlers.upgrades.as_ref(), self.handlers.lookups.as_ref());
        let answered = if let Some(upgrades) = upgrades.filter(|one| one.take(&request)) {
            Either::Left(future::ready(self.upgrade(upgrades, request, &client)))
        } else if let Some(lookups) = lookups.filter(|one| (one.take)(request.method(), request.uri().path())) {
            Either::Right(Either::Left((lookups.answer)(request, client)))
        } else {
            Either::Right(Either::Right(self.route(request, client)))
        };
        async move {
            let mut response = answered.await;
            if let Some(keep_alive) = keep_alive
                && response.status() != StatusCode::SWITCHING_PROTOCOLS
            {
                response.headers_mut().insert(KEEP_ALIVE, keep_alive);
            }
            exchange.respond();
            Ok(response)
        }
    }

    fn upgrade(&self, upgrades: &Upgrades, mut request: hyper::Request<Incoming>, client: &Requester) -> Response {
        let Answered { response, start } = (upgrades.answer)(&request, client);
        if let Some(start) = start {
            let upgrade = hyper::upgrade::on(&mut request);
            self.exchange.upgrade(PendingUpgrade { upgrade, start });
        }
        response
    }

    fn route(&self, request: hyper::Request<Incoming>, client: Requester) -> impl Future<Output = Response> + use<> {
        let mut request = request.map(Body::new);
        let extensions = request.extensions_mut();
        extensions.insert(client.peer);
        extensions.insert(client.order);
        if let Some(permit) = client.permit {
            extensions.insert(permit);
        }
        let routed: RouteFuture<Infallible> = self.handlers.router.clone().call(request);
        routed.map(|response| match response {
            Ok(response) => response,
        })
    }
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// What tells the client for how long it may use the connection again; none for less than a second.
fn keep_alive(idle: Duration) -> Option<HeaderValue> {
    let text = |seconds| HeaderValue::from_str(&format!("timeout={seconds}"));
    Some(idle.as_secs()).filter(|seconds| *seconds > 0).map(text)?.ok()
}

/// Returns once a response has neither been read by the client nor followed by another request for `after` at least and
/// twice that at most. hyper has no such limit; a timer that checks a counter now and then costs a request nothing.
async fn stuck(exchange: &HttpExchange, after: Duration) {
    let mut seen = 0;
    loop {
        client_time(after).await;
        let count = exchange.count();
        if count == seen && count > 0 && count.is_multiple_of(2) {
            return;
        }
        seen = count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_phase_with_an_earlier_limit_than_the_timer_has_another_timer() {
        let mut limit = PhaseLimit::new(at(75));
        assert_eq!(limit.begin(Some(at(5)), at(10)), Some(at(5)));
        assert_eq!(limit.time_left(at(15)), None, "over");
    }

    #[test]
    fn a_timer_that_ends_before_the_limit_is_followed_by_another() {
        let mut limit = PhaseLimit::new(at(5));
        for now in 1..5 {
            assert_eq!(limit.begin(Some(at(75)), at(now)), None, "idle");
            assert_eq!(limit.begin(Some(at(5)), at(now)), None, "a head");
        }
        // Set at 0 s; the head began at 4 s.
        assert_eq!(limit.time_left(at(5)), Some(at(4)));
        assert_eq!(limit.time_left(at(9)), None, "over");
    }

    #[test]
    fn nothing_is_late_while_no_limit_applies() {
        let mut limit = PhaseLimit::new(at(5));
        assert_eq!(limit.begin(None, at(1)), None);
        assert!(!limit.applies());
        // Long after the timer has ended.
        assert_eq!(limit.begin(Some(at(5)), at(60)), None);
        assert!(limit.applies());
        assert_eq!(limit.time_left(at(60)), Some(at(5)));
        assert_eq!(limit.time_left(at(65)), None, "over");
    }
}
