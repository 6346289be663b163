//! One client: its connection, the changes that it makes one after the other, and what it is told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use presence::wire::record::{Record, Update};
use presence::wire::server_message::ServerMessage;
use presence::{Revision, Status};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::user;
use crate::clock::Stopwatch;
use crate::wait::within_deadline;

/// A client, until this is dropped.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) number: usize,
    messages: mpsc::UnboundedSender<Message>,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

/// A state that was delivered: of which user, at which revision, and when.
pub(super) type Delivery = (usize, Revision, Duration);

/// What a client was told.
#[derive(Debug, Default)]
struct Seen {
    last: BTreeMap<usize, Record>,
    told: Vec<Delivery>,
    /// When its own changes were made, by their revision.
    made: BTreeMap<Revision, Duration>,
    last_made: Option<Revision>,
    /// The change that was made and not yet told to this client: the status that it makes, and when it was made.
    pending: Option<(Status, Duration)>,
    /// Whether an odd number of changes was made.
    is_changed: bool,
}

impl Client {
    /// Connects, and waits for the snapshot of the watched users.
    pub(super) async fn connect(address: SocketAddr, number: usize, watched: &[String], clock: Stopwatch) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
        request.headers_mut().append("x-user-id", user(number).parse().unwrap());
        let config = WebSocketConfig::default().read_buffer_size(2048).write_buffer_size(0);
        let upgrade = tokio_tungstenite::client_async_with_config(request, stream, Some(config));
        let (mut ws, _) = within_deadline("the upgrade", upgrade).await.unwrap();
        let watch = json!({"type": "watch", "userIds": watched});
        ws.send(Message::text(watch.to_string())).await.unwrap();
        let seen = Arc::<Mutex<Seen>>::default();
        let reading = async { while !read(&mut ws, number, clock, &seen).await {} };
        within_deadline("the snapshot", reading).await;
        let (messages, sent) = mpsc::unbounded_channel();
        let task = tokio::spawn(run(ws, sent, number, clock, Arc::clone(&seen)));
        Self {
            number,
            messages,
            seen,
            task,
        }
    }

    /// Makes a change, unless the one before is not told yet. Whether it does.
    pub(super) fn change(&self, now: Duration) -> bool {
        let mut seen = self.seen.lock().unwrap();
        if seen.pending.is_some() {
            return false;
        }
        seen.is_changed = !seen.is_changed;
        let (message, status) = match ((self.number / 3).is_multiple_of(2), seen.is_changed) {
            (true, true) => (json!({"type": "activity", "idle": true}), Status::Idle),
            (true, false) => (json!({"type": "activity"}), Status::Online),
            (false, true) => (
                json!({"type": "setStatus", "customStatus": "DO_NOT_DISTURB"}),
                Status::DoNotDisturb,
            ),
            (false, false) => (json!({"type": "setStatus", "customStatus": "ONLINE"}), Status::Online),
        };
        seen.pending = Some((status, now));
        self.messages.send(Message::text(message.to_string())).unwrap();
        true
    }

    /// Whether all its changes were told to it.
    pub(super) fn is_settled(&self) -> bool {
        self.seen.lock().unwrap().pending.is_none()
    }

    /// What was told last of a user.
    pub(super) fn last(&self, of: usize) -> Option<(Revision, Status)> {
        let seen = self.seen.lock().unwrap();
        seen.last.get(&of).map(|record| (record.revision, record.status))
    }

    /// The revision of the last change that it made and was told.
    pub(super) fn last_made(&self) -> Option<Revision> {
        self.seen.lock().unwrap().last_made
    }

    pub(super) fn take_made(&self) -> BTreeMap<Revision, Duration> {
        std::mem::take(&mut self.seen.lock().unwrap().made)
    }

    pub(super) fn take_told(&self) -> Vec<Delivery> {
        std::mem::take(&mut self.seen.lock().unwrap().told)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Seen {
    fn note(&mut self, own: usize, update: &Update, at: Duration) {
        let Update::Record(record) = update else { return };
        let number = record.user_id.as_str().rsplit_once('-').unwrap().1.parse().unwrap();
        if number != own {
            let before = self.last.insert(number, record.clone());
            let grows = before.as_ref().is_none_or(|before| before.revision < record.revision);
            assert!(grows, "{record:?} after {before:?}");
            self.told.push((number, record.revision, at));
        } else if let Some((_, made)) = self.pending.take_if(|(status, _)| *status == record.status) {
            self.made.insert(record.revision, made);
            self.last_made = Some(record.revision);
        }
    }
}

async fn run(
    mut ws: WebSocketStream<TcpStream>,
    mut sent: mpsc::UnboundedReceiver<Message>,
    number: usize,
    clock: Stopwatch,
    seen: Arc<Mutex<Seen>>,
) {
    loop {
        tokio::select! {
            message = sent.recv() => match message {
                Some(message) => ws.send(message).await.unwrap(),
                None => return,
            },
            _ = read(&mut ws, number, clock, &seen) => {}
        }
    }
}

/// Reads a message. Whether it ends the snapshot.
async fn read(ws: &mut WebSocketStream<TcpStream>, own: usize, clock: Stopwatch, seen: &Mutex<Seen>) -> bool {
    let text = match ws.next().await {
        Some(Ok(Message::Text(text))) => text,
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => return false,
        other => panic!("{} was disconnected: {other:?}", user(own)),
    };
    let at = clock.elapsed();
    let (users, is_done) = match serde_json::from_str(&text).unwrap() {
        ServerMessage::<serde_json::Value>::Presence { users, .. } => (users, false),
        ServerMessage::Snapshot { users, done, .. } => (users, done),
        ServerMessage::Error { code, message, .. } => panic!("{}: {code:?} {message}", user(own)),
        _ => return false,
    };
    let mut seen = seen.lock().unwrap();
    for update in &users {
        seen.note(own, update, at);
    }
    is_done
}
