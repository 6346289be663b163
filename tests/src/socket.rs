//! A well-behaved WebSocket client: it reads all the time, answers pings, and keeps what came until the test asks for it.

use std::collections::VecDeque;
use std::net::SocketAddr;

use presence::wire::record::{Record, Update};
use presence::wire::server::ServerMessage;
use presence::{Status, Wall};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use self::hello::refused;
pub use self::hello::{Hello, NoSocket};
use self::link::{Command, Event, run};
use crate::wait::{DEADLINE, within, within_deadline};

mod hello;
mod link;

/// How a WebSocket ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// With a close frame from the server: code and reason.
    Closed(u16, String),
    /// Without one.
    Lost,
}

/// The client. Dropping it ends the connection without a close frame.
#[derive(Debug)]
pub struct Socket {
    /// The session's name.
    pub session: String,
    /// The own record as of the welcome.
    pub user: Option<Record>,
    /// The server's clock as of the welcome.
    pub now: Wall,
    commands: mpsc::UnboundedSender<Command>,
    events: mpsc::UnboundedReceiver<Event>,
    kept: VecDeque<ServerMessage>,
    ended: Option<Ended>,
    requests: u64,
    cursor: String,
}

/// A whole snapshot.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Where to resume.
    pub cursor: String,
    /// Whether users not listed are as they were.
    pub resumed: bool,
    /// Everyone listed, over all frames.
    pub users: Vec<Update>,
    /// The frames it came in.
    pub frames: usize,
}

impl Snapshot {
    /// The record of this user. Fails the test if there is none.
    pub fn record(&self, user: &str) -> Record {
        match self.users.iter().find(|update| update.user_id().as_str() == user) {
            Some(Update::Record(record)) => record.clone(),
            other => panic!("{user}: {other:?}"),
        }
    }
}

impl Socket {
    /// Connects and reads the welcome.
    ///
    /// # Errors
    /// Says how the daemon refused.
    pub async fn connect(address: SocketAddr, hello: Hello) -> Result<Self, NoSocket> {
        let stream = TcpStream::connect(address).await.map_err(|_| NoSocket::Gone)?;
        stream.set_nodelay(true).map_err(|_| NoSocket::Gone)?;
        let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
        for (name, value) in hello.0 {
            request.headers_mut().append(name, value);
        }
        let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(0);
        let upgrade = tokio_tungstenite::client_async_with_config(request, stream, Some(config));
        let ws = match within_deadline("the upgrade", upgrade).await {
            Ok((ws, _)) => ws,
            Err(Error::Http(response)) => return Err(refused(*response)),
            Err(_) => return Err(NoSocket::Gone),
        };
        let (command_sender, command_receiver) = mpsc::unbounded_channel();
        let (event_sender, mut events) = mpsc::unbounded_channel();
        tokio::spawn(run(ws, command_receiver, event_sender));
        match within_deadline("the welcome", events.recv()).await {
            Some(Event::Message(ServerMessage::Welcome {
                session_id, user, now, ..
            })) => Ok(Self {
                session: session_id,
                user,
                now,
                commands: command_sender,
                events,
                kept: VecDeque::new(),
                ended: None,
                requests: 0,
                cursor: String::new(),
            }),
            Some(Event::Ended(Ended::Closed(code, _))) => Err(NoSocket::Closed(code)),
            Some(Event::Message(ServerMessage::Goodbye { .. })) => match events.recv().await {
                Some(Event::Ended(Ended::Closed(code, _))) => Err(NoSocket::Closed(code)),
                _ => Err(NoSocket::Gone),
            },
            Some(Event::Message(other)) => panic!("not a welcome: {other:?}"),
            Some(Event::Ended(Ended::Lost)) | None => Err(NoSocket::Gone),
        }
    }

    /// Sends a message and does not wait for anything.
    pub fn send(&self, message: &Value) {
        self.send_text(message.to_string());
    }

    /// Sends this text.
    pub fn send_text(&self, text: impl Into<String>) {
        self.commands.send(Command::Text(text.into())).ok();
    }

    /// Sends these bytes as a binary message.
    pub fn send_binary(&self, bytes: impl Into<Vec<u8>>) {
        self.commands.send(Command::Binary(bytes.into())).ok();
    }

    /// Sends a message under a new id and gives the first answer to it; keeps what else comes.
    pub async fn ask(&mut self, mut message: Value) -> ServerMessage {
        self.requests += 1;
        let id = json!(self.requests);
        message["id"] = id.clone();
        self.send(&message);
        self.answer(&id).await
    }

    /// The user sets its custom status; the own record.
    pub async fn choose(&mut self, custom: &str) -> Record {
        match self.ask(json!({"type": "setStatus", "customStatus": custom})).await {
            ServerMessage::Ok { user: Some(user), .. } => user,
            other => panic!("not chosen: {other:?}"),
        }
    }

    /// The user did something.
    pub async fn be_active(&mut self) {
        let answer = self.ask(json!({"type": "activity"})).await;
        assert!(matches!(answer, ServerMessage::Ok { .. }), "{answer:?}");
    }

    /// The user went away.
    pub async fn be_idle(&mut self) {
        let answer = self.ask(json!({"type": "activity", "idle": true})).await;
        assert!(matches!(answer, ServerMessage::Ok { .. }), "{answer:?}");
    }

    /// Watches these users.
    pub async fn watch<T: AsRef<str>>(&mut self, users: &[T]) -> Snapshot {
        let users: Vec<&str> = users.iter().map(AsRef::as_ref).collect();
        self.snapshot(json!({"type": "watch", "userIds": users})).await
    }

    /// Sends a request for a snapshot and reads all its frames.
    pub async fn snapshot(&mut self, request: Value) -> Snapshot {
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
                panic!("not a snapshot: {answer:?}");
            };
            all.extend(users);
            frames += 1;
            if done {
                self.cursor.clone_from(&cursor);
                return Snapshot {
                    cursor,
                    resumed,
                    users: all,
                    frames,
                };
            }
            answer = self.answer(&id).await;
        }
    }

    /// The cursor of the last snapshot or event that the test has seen.
    pub fn cursor(&self) -> &str {
        &self.cursor
    }

    /// The next message that was not seen yet.
    pub async fn next(&mut self) -> Result<ServerMessage, Ended> {
        match self.kept.pop_front() {
            Some(message) => Ok(message),
            None => self.receive("a message").await,
        }
    }

    /// Reads until the next message that fits; what came before is dropped.
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

    /// The updates of the next event.
    pub async fn next_updates(&mut self) -> Vec<Update> {
        let message = self
            .expect("an event", |message| matches!(message, ServerMessage::Presence { .. }))
            .await;
        let ServerMessage::Presence { cursor, users, .. } = message else {
            unreachable!()
        };
        self.cursor = cursor;
        users
    }

    /// All updates from here on, up to and with the event that has one that fits.
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

    /// The record with which `user` is first told to have this status.
    pub async fn told(&mut self, user: &str, status: Status) -> Record {
        let what = format!("{user} is told to be {status}");
        let updates = self.updates_until(&what, |update| shows(update, user, status)).await;
        match updates.into_iter().rfind(|update| shows(update, user, status)) {
            Some(Update::Record(record)) => record,
            _ => unreachable!(),
        }
    }

    /// Everything told of others from here until `marker`, a user that is watched too, was changed by the test: proof
    /// that nothing else was on its way.
    pub async fn told_before(&mut self, marker: &str, change: impl Future<Output = Record>) -> Vec<Update> {
        let revision = change.await.revision;
        let is_marker = |update: &Update| update.user_id().as_str() == marker;
        let reached = |update: &Update| is_marker(update) && update.revision() >= revision;
        let mut updates = self.updates_until("the marker's change", reached).await;
        updates.retain(|update| !is_marker(update));
        updates
    }

    /// Closes with this code, or none, and waits until the server has confirmed.
    pub async fn close(mut self, code: Option<u16>) -> Ended {
        self.commands.send(Command::Close(code)).ok();
        self.ended().await
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        self.commands.send(Command::Reset).ok();
    }

    /// Waits for the end; what still came before it is kept.
    pub async fn ended(&mut self) -> Ended {
        loop {
            match self.receive("the end of the connection").await {
                Ok(message) => self.kept.push_back(message),
                Err(ended) => return ended,
            }
        }
    }

    /// Waits for the end, which must be said goodbye to: code, reason and when to come back.
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
            Ended::Closed(code, _) => (code, reason, reconnect_after_ms),
            Ended::Lost => panic!("goodbye ({reason}) without a close"),
        }
    }

    /// Messages that came and were not looked at; waits for none.
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

    async fn receive(&mut self, what: &str) -> Result<ServerMessage, Ended> {
        if let Some(ended) = &self.ended {
            return Err(ended.clone());
        }
        match within_deadline(what, self.events.recv()).await {
            Some(Event::Message(message)) => Ok(message),
            Some(Event::Ended(ended)) => {
                self.ended = Some(ended.clone());
                Err(ended)
            }
            None => Err(Ended::Lost),
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
