//! A client that sends any bytes, valid or not.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest anything here may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);
/// What internal callers send.
pub(super) const SECRET: &str = "test-secret";

pub(super) const CONTINUATION: u8 = 0x0;
pub(super) const TEXT: u8 = 0x1;
pub(super) const BINARY: u8 = 0x2;
pub(super) const CLOSE: u8 = 0x8;
pub(super) const PING: u8 = 0x9;
pub(super) const PONG: u8 = 0xA;
/// The bit of a message's last frame.
pub(super) const FINAL: u8 = 0x80;

/// What the server sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Received {
    Frame(u8, Vec<u8>),
    /// The server ended the stream.
    End,
    /// The server reset the connection.
    Reset,
}

/// How the server closed the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Closed {
    pub(super) code: Option<u16>,
    /// The `reason` of the goodbye; none if there was no goodbye.
    pub(super) reason: Option<String>,
    pub(super) retry_after_ms: Option<u64>,
}

pub(super) struct WsClient {
    pub(super) stream: TcpStream,
}

/// A masked frame whose first byte is `first`.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length), _) if length < 126 => bytes.push(0x80 | length),
        (_, Ok(length)) => {
            bytes.push(0x80 | 126);
            bytes.extend(length.to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend((payload.len() as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A whole text message.
pub(in crate::gateway) fn text(payload: &str) -> Vec<u8> {
    frame(FINAL | TEXT, payload.as_bytes())
}

/// A close frame.
pub(super) fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FINAL | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// A request to upgrade, with more headers.
pub(super) fn request(method: &str, headers: &[(&str, &str)]) -> String {
    let usual = [
        ("host", "localhost"),
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let lines = usual
        .iter()
        .filter(|(name, _)| !headers.iter().any(|(other, _)| other == name))
        .chain(headers)
        .fold(String::new(), |lines, (name, value)| {
            format!("{lines}{name}: {value}\r\n")
        });
    format!("{method} /ws HTTP/1.1\r\n{lines}\r\n")
}

impl WsClient {
    /// Connects and sends `bytes`.
    pub(super) async fn send_first(address: SocketAddr, bytes: &[u8]) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("an option");
        let mut client = Self { stream };
        client.send(bytes).await;
        client
    }

    /// Connects and is upgraded.
    pub(super) async fn open(address: SocketAddr, headers: &[(&str, &str)]) -> Self {
        let mut client = Self::send_first(address, request("GET", headers).as_bytes()).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        client
    }

    /// The head of an HTTP response.
    pub(super) async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(
                self.in_time(async |stream| stream.read_u8().await)
                    .await
                    .expect("a head"),
            );
        }
        String::from_utf8(head).expect("text")
    }

    /// The body of an HTTP response with this head.
    pub(super) async fn body(&mut self, head: &str) -> String {
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .and_then(|length| length.parse().ok())
            .expect("a length");
        let mut body = vec![0; length];
        self.in_time(async |stream| stream.read_exact(&mut body).await)
            .await
            .expect("a body");
        String::from_utf8(body).expect("text")
    }

    /// Sends; a closed connection is not a failure.
    pub(super) async fn send(&mut self, bytes: &[u8]) {
        let _ = self.in_time(async |stream| stream.write_all(bytes).await).await;
    }

    pub(super) async fn say(&mut self, message: &str) {
        self.send(&text(message)).await;
    }

    /// The next frame, or the end.
    pub(super) async fn next(&mut self) -> Received {
        match self.in_time(read_frame).await {
            Ok((opcode, payload)) => Received::Frame(opcode, payload),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Received::End,
            Err(_) => Received::Reset,
        }
    }

    /// The next frame, which is text, as JSON.
    pub(super) async fn json(&mut self) -> Value {
        match self.next().await {
            Received::Frame(TEXT, payload) => serde_json::from_slice(&payload).expect("JSON"),
            other => panic!("no text: {other:?}"),
        }
    }

    /// The next message with this id; others are skipped.
    pub(super) async fn answer(&mut self, id: &str) -> Value {
        loop {
            let message = self.json().await;
            if message["id"] == id {
                return message;
            }
        }
    }

    /// Whether a `ping` message gets its pong.
    pub(super) async fn is_served(&mut self) -> bool {
        self.say(r#"{"type":"ping","id":"served?"}"#).await;
        self.answer("served?").await["type"] == "pong"
    }

    /// Reads to the end: goodbye if there is one, close frame, end of the stream.
    pub(super) async fn until_closed(&mut self) -> Closed {
        let mut closed = Closed {
            code: None,
            reason: None,
            retry_after_ms: None,
        };
        loop {
            match self.next().await {
                Received::Frame(TEXT, payload) => {
                    let message: Value = serde_json::from_slice(&payload).expect("JSON");
                    if message["type"] == "goodbye" {
                        closed.reason = message["reason"].as_str().map(str::to_owned);
                        closed.retry_after_ms = message["reconnectAfterMs"].as_u64();
                    }
                }
                Received::Frame(CLOSE, payload) => {
                    closed.code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                    assert_eq!(self.next().await, Received::End, "after the close frame");
                    return closed;
                }
                Received::Frame(..) => {}
                end => panic!("no close frame, but {end:?}"),
            }
        }
    }

    async fn in_time<T>(&mut self, act: impl AsyncFnOnce(&mut TcpStream) -> T) -> T {
        tokio::time::timeout(DEADLINE, act(&mut self.stream))
            .await
            .expect("in time")
    }
}

async fn read_frame(stream: &mut TcpStream) -> std::io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).await?;
    assert_eq!(head[0] & 0xf0, FINAL, "whole frames without reserved bits");
    let length = match head[1] {
        126 => u64::from(stream.read_u16().await?),
        127 => stream.read_u64().await?,
        short => u64::from(short),
    };
    let mut payload = vec![0; usize::try_from(length).expect("a length")];
    stream.read_exact(&mut payload).await?;
    Ok((head[0] & 0x0f, payload))
}
