//! A fake daemon: the test provides a function for REST and one for WebSockets. One thread per connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::handshake::server::{Request as Upgrade, Response as Upgraded};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Message, WebSocket, accept_hdr};

use crate::DEADLINE;

#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// `GET /api/stats`.
    pub(crate) line: String,
    /// With names in lower case.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let value = self.headers.iter().find(|(known, _)| known == name);
        value.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

/// The status of an answer that is none: the connection ends instead.
pub(crate) const NO_ANSWER: u16 = 0;

pub(crate) fn ok(body: &Value) -> Answer {
    Answer {
        status: 200,
        headers: vec![("content-type", "application/json".into())],
        body: body.to_string(),
    }
}

pub(crate) fn problem(status: u16, code: &str, detail: &str) -> Answer {
    let body = json!({"type": "about:blank", "title": "x", "status": status, "code": code, "detail": detail});
    Answer {
        status,
        headers: vec![("content-type", "application/problem+json".into())],
        body: body.to_string(),
    }
}

/// A presence record for an internal caller.
pub(crate) fn record(user: &str, status: &str, revision: u64) -> Value {
    let at = "2026-11-23T05:00:00.000Z";
    json!({"userId": user, "status": status, "since": at, "lastSeen": at, "lastActive": at, "revision": revision,
           "customStatus": "ONLINE", "sessions": 1, "reason": "active", "nodes": ["n1"]})
}

pub(crate) type Socket = WebSocket<TcpStream>;

pub(crate) struct FakeDaemon {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl FakeDaemon {
    /// Serves REST requests.
    pub(crate) fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_with_sockets(answer, |_, _| {})
    }

    /// Serves REST requests, and runs `play` on each WebSocket with the number of earlier ones.
    pub(crate) fn start_with_sockets(
        answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
        play: impl Fn(Socket, usize) + Send + Sync + 'static,
    ) -> Self {
        Self::start_with_rejections(answer, play, |_| None)
    }

    /// As [`Self::start_with_sockets`], with the status that rejects the WebSocket of a number.
    pub(crate) fn start_with_rejections(
        answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
        play: impl Fn(Socket, usize) + Send + Sync + 'static,
        rejection: impl Fn(usize) -> Option<u16> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer, play) = (Arc::clone(&requests), Arc::new(answer), Arc::new(play));
        let rejection = Arc::new(rejection);
        thread::spawn(move || {
            let sockets = Arc::new(AtomicUsize::new(0));
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                stream.set_read_timeout(Some(DEADLINE)).unwrap();
                let (kept, answer, play) = (Arc::clone(&kept), Arc::clone(&answer), Arc::clone(&play));
                let (sockets, rejection) = (Arc::clone(&sockets), Arc::clone(&rejection));
                // A client may open a connection that it does not use: nobody else waits for it.
                thread::spawn(move || {
                    let mut start = [0; 8];
                    let peeked = stream.peek(&mut start).unwrap_or(0);
                    if !start[..peeked].starts_with(b"GET /ws ") {
                        return serve(stream, &kept, &*answer);
                    }
                    let number = sockets.fetch_add(1, Ordering::SeqCst);
                    if let Some(status) = rejection(number) {
                        return serve(stream, &kept, &|_| problem(status, "draining", "not now"));
                    }
                    if let Some(socket) = upgrade(stream, &kept) {
                        play(socket, number);
                    }
                });
            }
        });
        Self { address, requests }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, kept: &Mutex<Vec<Request>>, answer: &dyn Fn(&Request) -> Answer) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        kept.lock().unwrap().push(request.clone());
        let answer = answer(&request);
        if answer.status == NO_ANSWER {
            return;
        }
        let mut head = format!(
            "HTTP/1.1 {} X\r\ncontent-length: {}\r\n",
            answer.status,
            answer.body.len()
        );
        for (name, value) in &answer.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let text = format!("{head}\r\n{}", answer.body);
        if reader.get_mut().write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = Vec::new();
    let mut next = || {
        line.clear();
        match reader.read_until(b'\n', &mut line) {
            Ok(length) if length > 2 => Some(line[..length - 2].to_vec()),
            _ => None,
        }
    };
    let first = String::from_utf8(next()?).unwrap();
    let mut headers = Vec::new();
    while let Some(line) = next() {
        let colon = line.iter().position(|byte| *byte == b':').unwrap();
        let name = String::from_utf8_lossy(&line[..colon]).to_lowercase();
        headers.push((name, line[colon + 1..].trim_ascii().to_vec()));
    }
    let mut request = Request {
        line: first.trim_end_matches(" HTTP/1.1").to_owned(),
        headers,
        body: String::new(),
    };
    let length = request
        .header("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8(body).unwrap();
    Some(request)
}

fn upgrade(stream: TcpStream, kept: &Mutex<Vec<Request>>) -> Option<Socket> {
    #[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
    let choose = |request: &Upgrade, mut response: Upgraded| {
        let headers = request.headers().iter();
        kept.lock().unwrap().push(Request {
            line: "GET /ws".into(),
            headers: headers
                .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
                .collect(),
            body: String::new(),
        });
        let protocol = HeaderValue::from_static("presence.v1");
        response.headers_mut().insert("sec-websocket-protocol", protocol);
        Ok(response)
    };
    let mut socket = accept_hdr(stream, choose).ok()?;
    let welcome = json!({"type": "welcome", "sessionId": "s1", "now": "2026-11-23T05:00:00.000Z", "pingSeconds": 25.0,
                         "node": "n1", "version": "0.1.0"});
    say(&mut socket, &welcome);
    Some(socket)
}

/// Sends a message; errors are ignored.
pub(crate) fn say(socket: &mut Socket, message: &Value) {
    let _ = socket.send(Message::text(message.to_string()));
}

/// The next message; `None` when the connection is closed.
pub(crate) fn hear(socket: &mut Socket) -> Option<Value> {
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
            Ok(Message::Close(_)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

/// A snapshot in one frame.
pub(crate) fn snapshot(cursor: &str, users: &Value, resumed: bool) -> Value {
    json!({"type": "snapshot", "id": "watchAll", "cursor": cursor, "now": "2026-11-23T05:00:01.000Z", "users": users,
           "resumed": resumed, "done": true})
}

pub(crate) fn presence(cursor: &str, users: &Value) -> Value {
    json!({"type": "presence", "cursor": cursor, "now": "2026-11-23T05:00:02.000Z", "users": users})
}
