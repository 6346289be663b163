//! A running server, and clients that write HTTP byte by byte.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::routing::{any, get};
use axum::{Extension, Router};
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};

use super::auth;
use crate::clock::Clock;
use crate::limits::{CurrentLimits, Limits};
use crate::server::{
    Admission, ConnectionBounds, ConnectionLimit, ConnectionPermit, Peer, RequestOrder, Server, ServerMetrics, Serving,
    listen::listen,
};

/// The longest anything here may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);
/// A request that is answered at once.
pub(super) const HELLO: &str = "GET /hello HTTP/1.1\r\nhost: localhost\r\n\r\n";

pub(super) struct ServerFixture {
    pub(super) server: Server,
    pub(super) connection_limit: Arc<ConnectionLimit>,
    pub(super) metrics: ServerMetrics,
    /// What `/slow` waits for.
    pub(super) go: Arc<Semaphore>,
    /// Notified when `/slow` is requested.
    pub(super) asked: Arc<Notify>,
    /// Upgraded connections, each with its permit.
    pub(super) upgraded: tokio::sync::mpsc::Receiver<(hyper::upgrade::Upgraded, Arc<ConnectionPermit>)>,
}

impl ServerFixture {
    pub(super) fn start(limits: Limits) -> Self {
        Self::start_with(limits, 32)
    }

    /// With a bound on the connections that may be rejected gracefully at the same time.
    pub(super) fn start_with(limits: Limits, rejections: usize) -> Self {
        let metrics = ServerMetrics::register(&mut Registry::default());
        let clock = Arc::new(Clock::new());
        let (go, asked) = (Arc::new(Semaphore::new(0)), Arc::new(Notify::new()));
        let (upgrades, upgraded) = tokio::sync::mpsc::channel(16);
        let router = Router::new()
            .route("/hello", get(|| async { "hello" }))
            .route("/big", get(|| async { "x".repeat(32 << 20) }))
            .route(
                "/order",
                get(|order: Extension<RequestOrder>, peer: Extension<Peer>| async move {
                    format!("{:?} {}", order.0, peer.0.0.ip())
                }),
            )
            .route("/ws", any(move |request: Request| upgrade(request, upgrades.clone())))
            .route(
                "/slow",
                get({
                    let (go, asked) = (Arc::clone(&go), Arc::clone(&asked));
                    move || async move {
                        asked.notify_one();
                        let _ = go.acquire().await;
                        "at last"
                    }
                }),
            );
        let max = limits.max_connections.unwrap_or(100);
        let bounds = ConnectionBounds::of(&limits, max);
        let connection_limit = ConnectionLimit::new(bounds, metrics.connections.clone());
        let limits = CurrentLimits::new(limits);
        let serving = Serving {
            router,
            upgrades: None,
            lookups: None,
            tls: None,
            connection_limit: Arc::clone(&connection_limit),
            admission: Arc::new(Admission::new(
                Arc::clone(&limits),
                Arc::new(auth()),
                Arc::clone(&clock),
                metrics.clone(),
            )),
            limits,
            clock,
            rejections,
            metrics: metrics.clone(),
        };
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        Self {
            server: Server::start(listener, serving).unwrap(),
            connection_limit,
            metrics,
            go,
            asked,
            upgraded,
        }
    }

    pub(super) async fn connect(&self) -> HttpClient {
        HttpClient(TcpStream::connect(self.server.local_addr()).await.unwrap())
    }

    pub(super) async fn until_open(&self, count: usize) {
        until(&format!("{count} connections"), || {
            self.connection_limit.open() == count
        })
        .await;
    }
}

async fn upgrade(
    mut request: Request,
    upgrades: tokio::sync::mpsc::Sender<(hyper::upgrade::Upgraded, Arc<ConnectionPermit>)>,
) -> (StatusCode, [(&'static str, &'static str); 2]) {
    let permit = request.extensions_mut().remove::<Arc<ConnectionPermit>>().unwrap();
    tokio::spawn(async move {
        let upgraded = hyper::upgrade::on(request).await.unwrap();
        upgrades.send((upgraded, permit)).await.unwrap();
    });
    let headers = [("connection", "upgrade"), ("upgrade", "websocket")];
    (StatusCode::SWITCHING_PROTOCOLS, headers)
}

pub(super) struct HttpClient(pub(super) TcpStream);

impl HttpClient {
    pub(super) async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// One response with a content length; empty if the server closed first.
    pub(super) async fn response(&mut self) -> String {
        within(async {
            let mut bytes = Vec::new();
            loop {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                if let Some((head, body)) = text.split_once("\r\n\r\n") {
                    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                    if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                        return text;
                    }
                }
                let mut part = [0; 4096];
                match self.0.read(&mut part).await {
                    Ok(0) | Err(_) => return text,
                    Ok(read) => bytes.extend(&part[..read]),
                }
            }
        })
        .await
    }

    pub(super) async fn ask(&mut self, path: &str) -> String {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"))
            .await;
        self.response().await
    }

    /// Reads to the end, whatever comes.
    pub(super) async fn until_closed(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        within(async {
            let _ = self.0.read_to_end(&mut rest).await;
        })
        .await;
        rest
    }
}

pub(super) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.expect("not in time")
}

/// A client that is slow on purpose.
pub(super) async fn pause(length: Duration) {
    let _ = tokio::time::timeout(length, std::future::pending::<()>()).await;
}

/// Waits until `is_so`. The only place that lets time pass.
pub(super) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(2));
        while !is_so() {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting)
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"));
}

pub(super) fn times(handshake: u64, write: u64) -> Limits {
    Limits {
        handshake_timeout: Duration::from_millis(handshake),
        http_idle_timeout: Duration::from_millis(handshake),
        write_timeout: Duration::from_millis(write),
        ..Limits::default()
    }
}
