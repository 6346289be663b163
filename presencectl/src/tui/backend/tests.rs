//! The backend with a test peer as the daemon.

use presence::CustomStatus;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc::channel;
use tokio::task::spawn_local;

use super::super::event_loop::{INPUTS_MAX, REQUESTS_MAX};
use super::*;
use crate::client::follower::tests::{Peer, PeerSocket, in_time, refuse, run};

/// A running backend with its channels.
struct ServedBackend {
    requests: Sender<Effect>,
    inputs: Receiver<Input>,
}

impl ServedBackend {
    async fn new(peer: &Peer) -> (Self, PeerSocket) {
        let (target, first, socket) = peer.attached().await;
        let (input, inputs) = channel(INPUTS_MAX);
        let (requests, carried_out) = channel(REQUESTS_MAX);
        let backend = Arc::new(Backend::new(peer.finder(), target, input).unwrap());
        spawn_local(backend.serve(first, carried_out));
        (Self { requests, inputs }, socket)
    }

    async fn request(&self, request: Effect) {
        self.requests.send(request).await.unwrap();
    }

    /// The next matching message.
    async fn until<T>(&mut self, is_such: impl Fn(Message) -> Option<T>) -> T {
        loop {
            let Some(Input::Message(message)) = in_time(self.inputs.recv()).await else {
                panic!("the backend ended")
            };
            if let Some(found) = is_such(message) {
                return found;
            }
        }
    }

    async fn stream_event(&mut self, is_such: impl Fn(&StreamEvent) -> bool) -> StreamEvent {
        self.until(|message| match message {
            Message::Stream(event) if is_such(&event) => Some(event),
            _ => None,
        })
        .await
    }

    async fn response(&mut self) -> Response {
        self.until(|message| match message {
            Message::Response(response) => Some(response),
            _ => None,
        })
        .await
    }
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// Reads a request without a response.
async fn head(tcp: &mut TcpStream) -> String {
    let mut request = vec![0; 4096];
    let length = in_time(tcp.read(&mut request)).await.unwrap();
    String::from_utf8(request[..length].to_vec()).unwrap()
}

#[test]
fn a_newer_poll_replaces_the_pending_one_without_delays() {
    run(async {
        let peer = Peer::new().await;
        let (mut backend, mut socket) = ServedBackend::new(&peer).await;
        backend.request(Effect::FetchExplanation(user("ann"))).await;
        let mut older = peer.connection().await;
        assert!(head(&mut older).await.starts_with("GET /api/presence/ann/explain "));
        // The stream and other requests continue.
        socket.send_empty_snapshot("7.1").await;
        backend
            .stream_event(|event| matches!(event, StreamEvent::Snapshot { done: true, .. }))
            .await;
        backend.request(Effect::Kick(user("bob"))).await;
        refuse(peer.connection().await, 503).await;
        assert_eq!(
            backend.response().await,
            Response::Failed("\"bob\": rejected (some_code)".into())
        );
        backend.request(Effect::FetchExplanation(user("bob"))).await;
        refuse(peer.connection().await, 503).await;
        let expected = Response::Explained {
            user: user("bob"),
            result: Err("rejected (some_code)".into()),
        };
        assert_eq!(backend.response().await, expected);
        assert_eq!(
            in_time(older.read(&mut [0; 8])).await.unwrap(),
            0,
            "the older request was aborted"
        );
    });
}

#[test]
fn a_change_is_never_cancelled_by_a_newer_one() {
    run(async {
        let peer = Peer::new().await;
        let (mut backend, _socket) = ServedBackend::new(&peer).await;
        backend.request(Effect::Kick(user("ann"))).await;
        let first = peer.connection().await;
        backend.request(Effect::Kick(user("bob"))).await;
        refuse(peer.connection().await, 503).await;
        refuse(first, 503).await;
        let mut responses = [backend.response().await, backend.response().await].map(|response| match response {
            Response::Failed(text) => text,
            other => panic!("{other:?}"),
        });
        responses.sort();
        assert!(responses[0].starts_with("\"ann\"") && responses[1].starts_with("\"bob\""));
    });
}

#[test]
fn failed_statistics_have_no_round_trip_time() {
    run(async {
        let peer = Peer::new().await;
        let (mut backend, _socket) = ServedBackend::new(&peer).await;
        backend.request(Effect::FetchStats).await;
        refuse(peer.connection().await, 503).await;
        assert!(
            matches!(backend.response().await, Response::Stats(Err(_))),
            "a failed request has no round trip time"
        );
    });
}

#[test]
fn after_a_permanent_failure_a_reconnect_request_retries() {
    run(async {
        let peer = Peer::new().await;
        let (mut backend, socket) = ServedBackend::new(&peer).await;
        drop(socket);
        refuse(peer.connection().await, 401).await;
        backend
            .stream_event(|event| matches!(event, StreamEvent::Ended { next: Some(_), .. }))
            .await;
        backend.request(Effect::Reconnect).await;
        refuse(peer.connection().await, 503).await;
        backend
            .stream_event(|event| matches!(event, StreamEvent::Lost { .. }))
            .await;
        let mut socket = peer.socket().await;
        backend
            .stream_event(|event| matches!(event, StreamEvent::Connected { node, .. } if node == "n1"))
            .await;
        socket
            .send(&json!({"type": "presence", "cursor": "7.2", "now": "2026-11-23T05:00:00.000Z", "users": []}))
            .await;
        backend
            .stream_event(|event| matches!(event, StreamEvent::Changed { .. }))
            .await;
    });
}

#[test]
fn a_poll_without_a_response_times_out() {
    run(async {
        let peer = Peer::new().await;
        let (target, _first, _socket) = peer.attached().await;
        let (input, _inputs) = channel(INPUTS_MAX);
        // Enough for the connection on a busy machine, which has the same timeout.
        let timeout = Duration::from_secs(2);
        let backend = Backend::new(peer.finder(), Target { timeout, ..target }, input).unwrap();
        let asked = backend.respond(Effect::FetchStats);
        let hung = async {
            let mut hung = peer.connection().await;
            head(&mut hung).await;
            hung
        };
        let (response, _hung) = tokio::join!(asked, hung);
        assert!(
            matches!(&response, Some(Response::Stats(Err(why))) if why.contains("no answer")),
            "{response:?}"
        );
    });
}

#[test]
fn changes_of_one_user_are_made_in_order() {
    run(async {
        let peer = Peer::new().await;
        let (backend, _socket) = ServedBackend::new(&peer).await;
        for status in [CustomStatus::Idle, CustomStatus::Online] {
            let user = user("ann");
            backend.request(Effect::SetStatus { user, status }).await;
        }
        let mut first = peer.connection().await;
        assert!(head(&mut first).await.contains("IDLE"));
        backend.request(Effect::Kick(user("bob"))).await;
        let mut other = peer.connection().await;
        assert!(head(&mut other).await.starts_with("DELETE /api/presence/bob/"));
        drop(first);
        let mut second = peer.connection().await;
        assert!(head(&mut second).await.contains("ONLINE"));
    });
}

#[test]
fn a_reconnect_request_while_connected_is_ignored() {
    run(async {
        let peer = Peer::new().await;
        let (mut backend, mut socket) = ServedBackend::new(&peer).await;
        backend.request(Effect::Reconnect).await;
        socket.send_empty_snapshot("7.1").await;
        backend
            .stream_event(|event| matches!(event, StreamEvent::Snapshot { .. }))
            .await;
        socket.close(4008).await;
        backend
            .stream_event(|event| matches!(event, StreamEvent::Ended { .. }))
            .await;
        backend.request(Effect::Kick(user("bob"))).await;
        assert!(head(&mut peer.connection().await).await.starts_with("DELETE "));
    });
}
