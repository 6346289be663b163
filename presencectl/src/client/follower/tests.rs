//! Reconnects and liveness, with a test peer as the daemon.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::{LocalSet, spawn_local};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use super::super::discover::{DefaultPaths, TargetOptions};
use super::*;

/// Fails a test that waits longer.
const DEADLINE: Duration = Duration::from_secs(20);
const NOW: &str = "2026-11-23T05:00:00.000Z";

/// Awaits a future, and fails the test at the deadline.
pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.expect("in time")
}

/// Runs a test on a single thread: a follower need not be `Send`.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(LocalSet::new().run_until(test));
}

/// A test peer that acts as the daemon.
pub(crate) struct Peer {
    listener: TcpListener,
    dir: tempfile::TempDir,
}

impl Peer {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = std::fs::OpenOptions::new();
        let secret = options.write(true).create_new(true).mode(0o600);
        let mut secret = secret.open(dir.path().join("secret")).unwrap();
        secret.write_all(b"a-secret-of-the-tests").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, dir }
    }

    pub(crate) fn finder(&self) -> Finder {
        Finder {
            arguments: TargetOptions {
                server: Some(format!("http://{}", self.listener.local_addr().unwrap())),
                secret_file: Some(self.dir.path().join("secret")),
                ..TargetOptions::default()
            },
            environment: TargetOptions::default(),
            default_paths: DefaultPaths::default(),
            timeout: DEADLINE,
        }
    }

    pub(crate) async fn connection(&self) -> TcpStream {
        in_time(self.listener.accept()).await.unwrap().0
    }

    /// The next connection as a WebSocket, after the welcome.
    pub(crate) async fn socket(&self) -> PeerSocket {
        PeerSocket::upgrade(self.connection().await).await
    }

    /// An open connection with its socket on the peer's side.
    pub(crate) async fn attached(&self) -> (Target, Connection, PeerSocket) {
        let target = self.finder().find().unwrap();
        let (attached, socket) = tokio::join!(Connection::open(&target), self.socket());
        let attached = attached.unwrap_or_else(|error| panic!("{error}"));
        (target, attached, socket)
    }
}

/// A WebSocket on the peer's side.
pub(crate) struct PeerSocket(WebSocketStream<TcpStream>);

impl PeerSocket {
    async fn upgrade(tcp: TcpStream) -> Self {
        Self::upgrade_pinged(tcp, 25.0).await
    }

    /// With a given ping interval in the welcome.
    async fn upgrade_pinged(tcp: TcpStream, ping_seconds: f64) -> Self {
        #[expect(clippy::result_large_err, reason = "the library's own type")]
        let choose = |_: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
            let chosen = HeaderValue::from_static(presence::wire::SUBPROTOCOL);
            response.headers_mut().insert("sec-websocket-protocol", chosen);
            Ok(response)
        };
        let mut socket = Self(in_time(accept_hdr_async(tcp, choose)).await.unwrap());
        let welcome = json!({"type": "welcome", "sessionId": "s", "now": NOW, "pingSeconds": ping_seconds, "node": "n1", "version": "9"});
        socket.send(&welcome).await;
        socket
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        in_time(self.0.send(Message::text(message.to_string()))).await.unwrap();
    }

    /// A complete snapshot without users.
    pub(crate) async fn send_empty_snapshot(&mut self, cursor: &str) {
        let snapshot =
            json!({"type": "snapshot", "cursor": cursor, "now": NOW, "users": [], "resumed": false, "done": true});
        self.send(&snapshot).await;
    }

    async fn receive(&mut self) -> Value {
        loop {
            if let Message::Text(text) = in_time(self.0.next()).await.unwrap().unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    pub(crate) async fn close(mut self, code: u16) {
        let frame = CloseFrame {
            code: code.into(),
            reason: "".into(),
        };
        in_time(self.0.close(Some(frame))).await.unwrap();
    }
}

/// Responds with an HTTP status and problem details.
pub(crate) async fn refuse(mut tcp: TcpStream, status: u16) {
    let mut request = [0; 4096];
    assert!(in_time(tcp.read(&mut request)).await.unwrap() > 0);
    let body = json!({"type": "about:blank", "status": status, "code": "some_code", "detail": "rejected"}).to_string();
    let head = format!(
        "HTTP/1.1 {status} No\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    in_time(tcp.write_all((head + &body).as_bytes())).await.unwrap();
}

/// A follower in its own task, with its events.
struct RunningFollower {
    ended: tokio::task::JoinHandle<Result<(), Failure>>,
    events: UnboundedReceiver<FollowerEvent>,
    now: std::sync::Arc<Notify>,
}

impl RunningFollower {
    fn start(mut follower: Follower, first: Option<Connection>) -> Self {
        let (sender, events) = unbounded_channel();
        let now = std::sync::Arc::new(Notify::new());
        let retry_now = std::sync::Arc::clone(&now);
        let ended = spawn_local(async move {
            let sender = async |event| sender.send(event).map_err(|_| Failure::PipeClosed);
            follower.follow(first, &retry_now, sender).await
        });
        Self { ended, events, now }
    }

    async fn next(&mut self) -> FollowerEvent {
        in_time(self.events.recv()).await.expect("it goes on")
    }

    /// The delay of the next retry.
    async fn lost(&mut self) -> Duration {
        loop {
            if let FollowerEvent::Lost { retry_in, .. } = self.next().await {
                return retry_in;
            }
        }
    }

    async fn failure(self) -> Failure {
        in_time(self.ended).await.unwrap().unwrap_err()
    }
}

fn goodbye() -> Value {
    json!({"type": "goodbye", "reason": "restart", "reconnectAfterMs": 60_000})
}

#[test]
fn an_interactive_follower_reconnects_soon_and_resumes() {
    run(async {
        let peer = Peer::new().await;
        let (_, attached, mut socket) = peer.attached().await;
        let longest = Duration::from_millis(500);
        let follower = Follower::new(peer.finder(), Vec::new()).retrying_within(longest);
        let mut following = RunningFollower::start(follower, Some(attached));
        let asked = socket.receive().await;
        assert_eq!((&asked["type"], asked.get("since")), (&json!("watchAll"), None));
        assert!(
            matches!(following.next().await, FollowerEvent::Connected { is_reconnect: false, node, version, .. } if node == "n1" && version == "9")
        );
        socket.send_empty_snapshot("7.1").await;
        assert!(matches!(
            following.next().await,
            FollowerEvent::Snapshot { done: true, .. }
        ));
        socket.send(&goodbye()).await;
        socket.close(1012).await;
        assert!(
            following.lost().await <= longest,
            "although the server requested a minute"
        );
        let mut socket = peer.socket().await;
        assert_eq!(socket.receive().await["since"], "7.1");
        assert!(matches!(
            following.next().await,
            FollowerEvent::Connected { is_reconnect: true, .. }
        ));
        // Delays grow again from the first one, up to the bound.
        drop(socket);
        for _ in 0..4 {
            let retry_in = following.lost().await;
            assert!(retry_in <= longest, "{retry_in:?}");
            drop(peer.connection().await);
        }
    });
}

#[test]
fn a_default_follower_waits_as_requested_until_told_to_retry() {
    run(async {
        let peer = Peer::new().await;
        let (_, attached, mut socket) = peer.attached().await;
        let mut following = RunningFollower::start(Follower::new(peer.finder(), Vec::new()), Some(attached));
        socket.send_empty_snapshot("7.1").await;
        socket.send(&goodbye()).await;
        socket.close(1012).await;
        assert_eq!(following.lost().await, Duration::from_secs(60));
        following.now.notify_one();
        let _socket = peer.socket().await;
        assert!(matches!(
            following.next().await,
            FollowerEvent::Connected { is_reconnect: true, .. }
        ));
    });
}

#[test]
fn a_cursor_is_used_only_after_a_complete_snapshot() {
    run(async {
        let peer = Peer::new().await;
        let (_, attached, mut socket) = peer.attached().await;
        let follower = Follower::new(peer.finder(), Vec::new()).retrying_within(Duration::from_millis(50));
        let mut following = RunningFollower::start(follower, Some(attached));
        let part =
            json!({"type": "snapshot", "cursor": "7.1", "now": NOW, "users": [], "resumed": false, "done": false});
        socket.send(&part).await;
        socket.close(1012).await;
        following.lost().await;
        let mut socket = peer.socket().await;
        assert_eq!(socket.receive().await.get("since"), None);
    });
}

#[test]
fn permanent_close_codes_and_rejections_end_the_follower() {
    run(async {
        for code in [4003, 4008, 4010] {
            let peer = Peer::new().await;
            let (_, attached, socket) = peer.attached().await;
            let following = RunningFollower::start(Follower::new(peer.finder(), Vec::new()), Some(attached));
            socket.close(code).await;
            assert_eq!(following.failure().await.exit(), Some(Exit::Failed), "{code}");
        }
        for status in [401, 403] {
            let peer = Peer::new().await;
            let following = RunningFollower::start(Follower::new(peer.finder(), Vec::new()), None);
            refuse(peer.connection().await, status).await;
            assert_eq!(following.failure().await.exit(), Some(Exit::NotAllowed), "{status}");
        }
    });
}

#[test]
fn a_follower_without_a_connection_starts_with_a_reconnect() {
    run(async {
        let peer = Peer::new().await;
        let follower = Follower::new(peer.finder(), Vec::new()).retrying_within(Duration::from_millis(50));
        let mut following = RunningFollower::start(follower, None);
        refuse(peer.connection().await, 503).await;
        following.lost().await;
        let _socket = peer.socket().await;
        assert!(matches!(
            following.next().await,
            FollowerEvent::Connected { is_reconnect: true, .. }
        ));
    });
}

#[test]
fn an_interactive_follower_pings_and_drops_a_silent_server() {
    run(async {
        let peer = Peer::new().await;
        let (_, attached, mut socket) = peer.attached().await;
        let follower = Follower::new(peer.finder(), Vec::new())
            .retrying_within(Duration::from_millis(50))
            .with_liveness(LivenessPolicy {
                ping_after: Duration::from_millis(50),
                pong_timeout: Duration::from_millis(2_950),
            });
        let mut following = RunningFollower::start(follower, Some(attached));
        assert_eq!(socket.receive().await["type"], "watchAll");
        socket.send_empty_snapshot("7.1").await;
        for _ in 0..3 {
            assert_eq!(socket.receive().await["type"], "ping");
            socket.send(&json!({"type": "pong", "now": NOW})).await;
        }
        // From here on the peer hangs: the connection is open, and nothing is sent.
        let why = loop {
            if let FollowerEvent::Lost { why, .. } = following.next().await {
                break why;
            }
        };
        assert!(why.contains("no answer for 3s"), "{why}");
        let _again = peer.socket().await;
        assert!(matches!(
            following.next().await,
            FollowerEvent::Connected { is_reconnect: true, .. }
        ));
        drop(socket);
    });
}

#[test]
fn a_server_with_any_ping_interval_is_accepted() {
    run(async {
        for seconds in [-1.0, 0.0, 1e9, 1.5e19, 1e300] {
            let peer = Peer::new().await;
            let target = peer.finder().find().unwrap();
            let greeted = async { PeerSocket::upgrade_pinged(peer.connection().await, seconds).await };
            let (attached, mut socket) = tokio::join!(Connection::open(&target), greeted);
            let follower = Follower::new(peer.finder(), Vec::new());
            let mut following = RunningFollower::start(follower, attached.ok());
            assert_eq!(socket.receive().await["type"], "watchAll", "{seconds}");
            assert!(
                matches!(following.next().await, FollowerEvent::Connected { .. }),
                "{seconds}"
            );
        }
    });
}
