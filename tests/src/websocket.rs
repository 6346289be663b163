//! A well-behaved WebSocket client: it reads continuously, answers pings, and queues messages until the test reads
//! them.

use std::collections::VecDeque;
use std::net::SocketAddr;

use presence::wire::record::{Record, Update};
use presence::wire::server_message::ServerMessage;
use presence::{Status, Wall};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use self::handshake::rejected;
pub use self::handshake::{HandshakeError, HandshakeHeaders};
use self::late_load::LateLoads;
pub use self::snapshot::Snapshot;
use self::task::{Command, Event, run};
use crate::catch_up::{catch_up, note_answer, until_logged};
use crate::wait::{DEADLINE, within, within_deadline};

mod abrupt;
mod handshake;
mod late_load;
mod snapshot;
mod task;

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionEnd {
    /// With a close frame from the server, of this code and reason.
    Closed(u16, String),
    /// Without a close frame.
    Lost,
}

/// The client. Dropping it ends the connection without a close frame.
#[derive(Debug)]
pub struct Socket {
    /// The session id.
    pub session: String,
    /// The own record in the welcome; none for an observer.
    pub user: Option<Record>,
    /// The server's clock in the welcome.
    pub now: Wall,
    commands: mpsc::UnboundedSender<Command>,
    events: mpsc::UnboundedReceiver<Event>,
    kept: VecDeque<ServerMessage>,
    ended: Option<ConnectionEnd>,
    requests: u64,
    cursor: String,
    late_loads: LateLoads,
    address: SocketAddr,
}

impl Socket {
    /// Connects and reads the welcome.
    ///
    /// # Errors
    /// The daemon rejected or closed the connection.
    pub async fn connect(address: SocketAddr, headers: HandshakeHeaders) -> Result<Self, HandshakeError> {
        catch_up(address).await;
        let stream = TcpStream::connect(address)
            .await
            .map_err(|_| HandshakeError::Unreachable)?;
        stream.set_nodelay(true).map_err(|_| HandshakeError::Unreachable)?;
        let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
        for (name, value) in headers.0 {
            request.headers_mut().append(name, value);
        }
        let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(0);
        let upgrade = tokio_tungstenite::client_async_with_config(request, stream, Some(config));
        let ws = match within_deadline("the upgrade", upgrade).await {
            Ok((ws, _)) => ws,
            Err(Error::Http(response)) => return Err(rejected(*response)),
            Err(_) => return Err(HandshakeError::Unreachable),
        };
        let (command_sender, command_receiver) = mpsc::unbounded_channel();
        let (event_sender, mut events) = mpsc::unbounded_channel();
        tokio::spawn(run(ws, command_receiver, event_sender));
        match within_deadline("the welcome", events.recv()).await {
            Some(Event::Message(ServerMessage::Welcome {
                session_id, user, now, ..
            })) => {
                user.iter().for_each(|user| note_answer(address, user));
                Ok(Self {
                    session: session_id,
                    user,
                    now,
                    commands: command_sender,
                    events,
                    kept: VecDeque::new(),
                    ended: None,
                    requests: 0,
                    cursor: String::new(),
                    late_loads: LateLoads::default(),
                    address,
                })
            }
            Some(Event::Ended(ConnectionEnd::Closed(code, _))) => Err(HandshakeError::Closed(code)),
            Some(Event::Message(ServerMessage::Goodbye { .. })) => match events.recv().await {
                Some(Event::Ended(ConnectionEnd::Closed(code, _))) => Err(HandshakeError::Closed(code)),
                _ => Err(HandshakeError::Unreachable),
            },
            Some(Event::Message(other)) => panic!("not a welcome: {other:?}"),
            Some(Event::Ended(ConnectionEnd::Lost)) | None => Err(HandshakeError::Unreachable),
        }
    }

    /// Sends a message without waiting for the answer.
    pub fn send(&self, message: &Value) {
        self.send_text(message.to_string());
    }

    pub fn send_text(&self, text: impl Into<String>) {
        self.commands.send(Command::Text(text.into())).ok();
    }

    /// Sends these bytes as a binary message.
    pub fn send_binary(&self, bytes: impl Into<Vec<u8>>) {
        self.commands.send(Command::Binary(bytes.into())).ok();
    }

    /// Sends a message with a new id and returns the first answer to it; queues other messages.
    pub async fn ask(&mut self, mut message: Value) -> ServerMessage {
        catch_up(self.address).await;
        self.requests += 1;
        let id = json!(self.requests);
        message["id"] = id.clone();
        self.send(&message);
        let answer = self.answer(&id).await;
        if let ServerMessage::Ok { user: Some(user), .. } = &answer {
            note_answer(self.address, user);
        }
        answer
    }

    /// Sets the custom status and returns the own record.
    pub async fn set_custom_status(&mut self, custom: &str) -> Record {
        match self.ask(json!({"type": "setStatus", "customStatus": custom})).await {
            ServerMessage::Ok { user: Some(user), .. } => user,
            other => panic!("not chosen: {other:?}"),
        }
    }

    pub async fn be_active(&mut self) {
        let answer = self.ask(json!({"type": "activity"})).await;
        assert!(matches!(answer, ServerMessage::Ok { .. }), "{answer:?}");
    }

    /// Reports that the user went idle.
    pub async fn be_idle(&mut self) {
        let answer = self.ask(json!({"type": "activity", "idle": true})).await;
        assert!(matches!(answer, ServerMessage::Ok { .. }), "{answer:?}");
    }

    pub async fn watch<T: AsRef<str>>(&mut self, users: &[T]) -> Snapshot {
        let users: Vec<&str> = users.iter().map(AsRef::as_ref).collect();
        self.snapshot(json!({"type": "watch", "userIds": users})).await
    }

    /// Requests a snapshot and reads all its frames.
    pub async fn snapshot(&mut self, request: Value) -> Snapshot {
        let snapshot = self.try_snapshot(request).await;
        snapshot.unwrap_or_else(|answer| panic!("not a snapshot: {answer:?}"))
    }

    /// Requests a snapshot and reads all its frames.
    ///
    /// # Errors
    /// The answer, if it is none.
    pub async fn try_snapshot(&mut self, request: Value) -> Result<Snapshot, ServerMessage> {
        let mut answer = self.ask(request).await;
        let id = json!(self.requests);
        let (mut all, mut frames) = (Vec::new(), 0);
        loop {
            let ServerMessage::Snapshot {
                cursor,
                resumed,
                users,
                done,
                ..
            } = answer
            else {
                return Err(answer);
            };
            self.late_loads.note(&users);
            all.extend(users);
            frames += 1;
            if done {
                self.cursor.clone_from(&cursor);
                return Ok(Snapshot {
                    cursor,
                    resumed,
                    users: all,
                    frames,
                });
            }
            answer = self.answer(&id).await;
        }
    }

    /// The cursor of the last snapshot or event that the test has read.
    pub fn cursor(&self) -> &str {
        &self.cursor
    }

    /// Reads the next message.
    pub async fn next(&mut self) -> Result<ServerMessage, ConnectionEnd> {
        within_deadline("a message", self.next_without_deadline()).await
    }

    /// Reads the next message, however long that takes.
    pub async fn next_without_deadline(&mut self) -> Result<ServerMessage, ConnectionEnd> {
        if let Some(message) = self.kept.pop_front() {
            return Ok(message);
        }
        let event = self.events.recv().await;
        self.received(event)
    }

    /// Reads up to the next message that satisfies the condition; drops those before it.
    pub async fn expect(&mut self, what: &str, fits: impl Fn(&ServerMessage) -> bool) -> ServerMessage {
        let mut seen = Vec::new();
        let found = async {
            loop {
                let message = match self.kept.pop_front() {
                    Some(message) => message,
                    None => self
                        .receive(what)
                        .await
                        .unwrap_or_else(|end| panic!("{end:?} before {what}; {seen:?}")),
                };
                if fits(&message) {
                    return message;
                }
                seen.push(message);
            }
        };
        within(what, DEADLINE, found).await
    }

    /// Reads the updates of the next event.
    pub async fn next_updates(&mut self) -> Vec<Update> {
        let message = self
            .expect("an event", |message| matches!(message, ServerMessage::Presence { .. }))
            .await;
        let ServerMessage::Presence { cursor, users, .. } = message else {
            unreachable!()
        };
        self.cursor = cursor;
        self.late_loads.note(&users);
        users
    }

    /// Reads all updates up to and including the first event with one that satisfies the condition.
    pub async fn updates_until(&mut self, what: &str, fits: impl Fn(&Update) -> bool) -> Vec<Update> {
        let mut all = Vec::new();
        let collected = async {
            loop {
                let users = self.next_updates().await;
                let found = users.iter().any(&fits);
                all.extend(users);
                if found {
                    return;
                }
            }
        };
        within(what, DEADLINE, collected).await;
        all
    }

    /// Reads up to the first record of `user` with this status.
    pub async fn wait_for_status(&mut self, user: &str, status: Status) -> Record {
        let what = format!("{user} is told to be {status}");
        let updates = self.updates_until(&what, |update| shows(update, user, status)).await;
        match updates.into_iter().rfind(|update| shows(update, user, status)) {
            Some(Update::Record(record)) => record,
            _ => unreachable!(),
        }
    }

    /// Makes a change of `marker`, which is watched too, and returns all updates of other users before it: after that
    /// event no earlier one can arrive. Not those of late loads.
    pub async fn updates_before(&mut self, marker: &str, change: impl Future<Output = Record>) -> Vec<Update> {
        let changed = change.await;
        // The answer may be older than the event.
        let revision = match changed.stale {
            true => until_logged(self.address, marker).await.max(changed.revision),
            false => changed.revision,
        };
        let is_marker = |update: &Update| update.user_id().as_str() == marker;
        let reached = |update: &Update| is_marker(update) && update.revision() >= revision;
        let mut updates = self.updates_until("the marker's change", reached).await;
        updates.retain(|update| !is_marker(update) && !self.late_loads.is_one(update));
        updates
    }

    /// Closes with this code, or none, and waits for the server's close frame.
    pub async fn close(mut self, code: Option<u16>) -> ConnectionEnd {
        self.commands.send(Command::Close(code)).ok();
        self.ended().await
    }

    /// Waits for the end of the connection; queues the messages before it.
    pub async fn ended(&mut self) -> ConnectionEnd {
        loop {
            match self.receive("the end of the connection").await {
                Ok(message) => self.kept.push_back(message),
                Err(ended) => return ended,
            }
        }
    }

    /// Waits for a goodbye and the close: returns the close code, the reason and `reconnectAfterMs`.
    pub async fn goodbye(&mut self) -> (u16, String, Option<u64>) {
        let ended = self.ended().await;
        let Some(ServerMessage::Goodbye {
            reason,
            reconnect_after_ms,
        }) = self.kept.pop_back()
        else {
            panic!("{ended:?} without a goodbye");
        };
        match ended {
            ConnectionEnd::Closed(code, _) => (code, reason, reconnect_after_ms),
            ConnectionEnd::Lost => panic!("goodbye ({reason}) without a close"),
        }
    }

    /// Removes the queued messages without waiting.
    pub fn unseen(&mut self) -> Vec<ServerMessage> {
        while let Ok(event) = self.events.try_recv() {
            match event {
                Event::Message(message) => self.kept.push_back(message),
                Event::Ended(ended) => self.ended = Some(ended),
            }
        }
        self.kept.drain(..).collect()
    }

    async fn answer(&mut self, id: &Value) -> ServerMessage {
        loop {
            let message = self
                .receive("an answer")
                .await
                .unwrap_or_else(|end| panic!("{end:?} instead of an answer"));
            if answers(&message) == Some(id) {
                return message;
            }
            self.kept.push_back(message);
        }
    }

    async fn receive(&mut self, what: &str) -> Result<ServerMessage, ConnectionEnd> {
        let event = match &self.ended {
            Some(ended) => return Err(ended.clone()),
            None => within_deadline(what, self.events.recv()).await,
        };
        self.received(event)
    }

    fn received(&mut self, event: Option<Event>) -> Result<ServerMessage, ConnectionEnd> {
        match event {
            Some(Event::Message(message)) => Ok(message),
            Some(Event::Ended(ended)) => {
                self.ended = Some(ended.clone());
                Err(ended)
            }
            None => Err(self.ended.clone().unwrap_or(ConnectionEnd::Lost)),
        }
    }
}

/// Whether this update shows `user` with this status.
pub fn shows(update: &Update, user: &str, status: Status) -> bool {
    matches!(update, Update::Record(record) if record.user_id.as_str() == user && record.status == status)
}

/// The id of the request that this message answers.
fn answers(message: &ServerMessage) -> Option<&Value> {
    match message {
        ServerMessage::Snapshot { id, .. }
        | ServerMessage::Ok { id, .. }
        | ServerMessage::Error { id, .. }
        | ServerMessage::Pong { id } => id.as_ref(),
        _ => None,
    }
}
