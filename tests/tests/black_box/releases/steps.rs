//! Takes the steps of a recording against today's daemon: what `tests/releases/steps.mjs` did with the release.

use std::collections::{BTreeMap, VecDeque};

use futures_util::{SinkExt as _, StreamExt as _};
use presence_tests::Daemon;
use presence_tests::jwt::{claims, hs256};
use presence_tests::rest::send;
use presence_tests::wait::within_deadline;
use reqwest::Method;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::shape::missing;

/// A WebSocket whose messages are looked at as they came.
pub(super) struct RecordedSocket {
    stream: WebSocketStream<TcpStream>,
    waiting: VecDeque<Value>,
    /// The id of its first session.
    session: String,
    cursor: String,
}

impl RecordedSocket {
    pub(super) async fn connect(daemon: &Daemon, headers: &[(String, String)]) -> Self {
        let mut request = format!("ws://{}/ws", daemon.address()).into_client_request().unwrap();
        for (name, value) in headers {
            let name: reqwest::header::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let tcp = TcpStream::connect(daemon.address()).await.unwrap();
        let upgrade = tokio_tungstenite::client_async(request, tcp);
        let (stream, _) = within_deadline("the upgrade", upgrade).await.unwrap();
        Self {
            stream,
            waiting: VecDeque::new(),
            session: String::new(),
            cursor: String::new(),
        }
    }

    pub(super) async fn send(&mut self, message: &str) {
        self.stream.send(Message::text(message)).await.unwrap();
    }

    /// The next message that fits, whatever else comes before.
    pub(super) async fn next(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        if let Some(index) = self.waiting.iter().position(&fits) {
            return self.waiting.remove(index).unwrap();
        }
        loop {
            let frame = within_deadline(what, self.stream.next()).await;
            let text = match frame {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                end => panic!("{what}: {end:?} after {:?}", self.waiting),
            };
            let message: Value = serde_json::from_str(&text).unwrap();
            if let Some(session) = message["sessionId"].as_str() {
                session.clone_into(&mut self.session);
            }
            if let Some(cursor) = message["cursor"].as_str() {
                cursor.clone_into(&mut self.cursor);
            }
            match fits(&message) {
                true => return message,
                false => self.waiting.push_back(message),
            }
        }
    }

    /// The close code.
    async fn closed(&mut self) -> Option<u16> {
        loop {
            match within_deadline("the close", self.stream.next()).await {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }
}

/// Takes steps one after the other. Sockets stay open until this is dropped, or a step closes them.
pub(super) struct Taker<'a> {
    daemon: &'a Daemon,
    sockets: BTreeMap<String, RecordedSocket>,
}

impl<'a> Taker<'a> {
    pub(super) fn new(daemon: &'a Daemon) -> Self {
        Self {
            daemon,
            sockets: BTreeMap::new(),
        }
    }

    /// Takes all steps. What the recorded answers have that those of today lack.
    pub(super) async fn take_all(&mut self, steps: &Value) -> Vec<String> {
        let mut found = Vec::new();
        for step in steps.as_array().unwrap() {
            let lacking = self.take(step).await.into_iter();
            found.extend(lacking.map(|lacking| format!("{lacking}\n  in {step}")));
        }
        found
    }

    async fn take(&mut self, step: &Value) -> Vec<String> {
        let name = step["socket"].as_str().unwrap_or_default().to_owned();
        match step["do"].as_str().unwrap() {
            "request" => self.request(step).await,
            "open" => {
                let headers = self.headers(step["as"].as_str().unwrap());
                let mut socket = RecordedSocket::connect(self.daemon, &headers).await;
                let welcome = socket.next("a welcome", |message| message["type"] == "welcome").await;
                self.sockets.insert(name, socket);
                missing(&step["message"], &welcome)
            }
            "send" => {
                let message = self.filled(&step["sends"]);
                self.socket(&name).send(&message).await;
                Vec::new()
            }
            "receive" => {
                let what = step.to_string();
                let message = self
                    .socket(&name)
                    .next(&what, |message| message["type"] == step["type"]);
                missing(&step["message"], &message.await)
            }
            "close" => {
                let code = u16::try_from(step["code"].as_u64().unwrap()).unwrap();
                let frame = CloseFrame {
                    code: code.into(),
                    reason: "".into(),
                };
                let mut socket = self.sockets.remove(&name).unwrap();
                socket.stream.close(Some(frame)).await.unwrap();
                socket.closed().await;
                // What was heard over it is filled in later.
                self.sockets.insert(name, socket);
                Vec::new()
            }
            "closed" => {
                let (recorded, code) = (step["code"].as_u64(), self.socket(&name).closed().await);
                let is_same = code.map(u64::from) == recorded;
                Vec::from_iter((!is_same).then(|| format!("closed with {code:?}")))
            }
            other => panic!("unknown step: {other}"),
        }
    }

    async fn request(&self, step: &Value) -> Vec<String> {
        let method: Method = step["method"].as_str().unwrap().parse().unwrap();
        let mut request = self.daemon.rest().request(method, step["path"].as_str().unwrap());
        for (name, value) in self.headers(step["as"].as_str().unwrap()) {
            request = request.header(name, value);
        }
        if let Some(body) = step.get("body") {
            request = request.json(body);
        }
        let answer = send(request).await;
        let mut found = missing(step.get("answer").unwrap_or(&Value::Null), &answer.body);
        if step["status"] != answer.status {
            found.push(format!("{} in place of {}", answer.status, step["status"]));
        }
        found
    }

    /// The headers of a caller, as `headersOf` in `steps.mjs` makes them.
    fn headers(&self, caller: &str) -> Vec<(String, String)> {
        let secret = || ("x-secret-token".to_owned(), self.daemon.secret());
        let user = |name: &str| ("x-user-id".to_owned(), name.to_owned());
        match caller.split_once(' ') {
            None if caller == "nobody" => Vec::new(),
            None if caller == "internal" => vec![secret()],
            Some(("user", name)) => vec![user(name)],
            Some(("for", name)) => vec![secret(), user(name)],
            Some(("token", name)) => {
                let token = hs256(&self.daemon.jwt_key(), &claims(name, 300));
                vec![("authorization".to_owned(), format!("Bearer {token}"))]
            }
            _ => panic!("unknown caller: {caller}"),
        }
    }

    fn socket(&mut self, name: &str) -> &mut RecordedSocket {
        self.sockets.get_mut(name).unwrap()
    }

    /// The message with the sessions and cursors of today.
    fn filled(&self, message: &Value) -> String {
        let mut text = message.to_string();
        for (name, socket) in &self.sockets {
            text = text.replace(&format!("$session:{name}"), &socket.session);
            text = text.replace(&format!("$cursor:{name}"), &socket.cursor);
        }
        assert!(!text.contains('$'), "{text}");
        text
    }
}
