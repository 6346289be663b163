//! A client on a plain TCP socket: it sends exactly the given bytes and answers nothing automatically.

use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::frame::{Frame, Received, opcode};
use crate::wait::{completes_soon, within_deadline};

#[derive(Debug)]
pub struct RawClient {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Bytes that the server has not accepted yet.
    unsent: Vec<u8>,
}

/// A receive buffer that fills soon, but holds whole segments of the loopback (64 KiB).
const NARROW_BYTES: usize = 128 * 1024;

/// The next event from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawEvent {
    Frame(Received),
    /// The end of the stream (FIN).
    End,
    /// A connection reset (RST).
    Reset,
}

/// An HTTP response; status 0 if the connection ended before it.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    /// The body of `content-length` bytes.
    pub body: String,
}

impl Response {
    /// The error code of a problem document.
    pub fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        body["code"].as_str().unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }
}

impl RawClient {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: Vec::new(),
            unsent: Vec::new(),
        }
    }

    /// Connects from this address of the machine.
    pub async fn connect_from(own: IpAddr, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((own, 0))).unwrap();
        let stream = socket.connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: Vec::new(),
            unsent: Vec::new(),
        }
    }

    /// Connects with a small receive buffer, so that the server's writes soon block.
    pub async fn connect_narrow(address: SocketAddr) -> Self {
        Self::connect_with_buffer(address, NARROW_BYTES).await
    }

    /// Connects with a receive buffer of this size.
    pub async fn connect_with_buffer(address: SocketAddr, bytes: usize) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(bytes).unwrap();
        let stream = tokio::task::spawn_blocking(move || {
            socket.connect(&SockAddr::from(address)).unwrap();
            socket.set_nonblocking(true).unwrap();
            std::net::TcpStream::from(socket)
        });
        Self {
            stream: TcpStream::from_std(stream.await.unwrap()).unwrap(),
            buffer: Vec::new(),
            unsent: Vec::new(),
        }
    }

    /// Sends these bytes; false if the connection is closed.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let sent = self.stream.write_all(bytes.as_ref());
        within_deadline("the server takes bytes", sent).await.is_ok()
    }

    /// Sends a frame; false if the connection is closed.
    pub async fn send_frame(&mut self, frame: Frame) -> bool {
        self.send(frame.encode()).await
    }

    /// Sends these bytes until the server stops accepting them; the rest is sent while reading.
    pub async fn send_without_reading(&mut self, bytes: impl AsRef<[u8]>) {
        self.unsent.extend(bytes.as_ref());
        self.push_unsent();
        while !self.unsent.is_empty() && completes_soon(self.stream.writable()).await {
            self.push_unsent();
        }
    }

    fn push_unsent(&mut self) {
        while let Ok(count @ 1..) = self.stream.try_write(&self.unsent) {
            self.unsent.drain(..count);
        }
    }

    /// Requests an upgrade of `path` with these additional headers.
    pub async fn upgrade(&mut self, path: &str, headers: &[(&str, &str)]) -> Response {
        self.send(upgrade_request(path, headers)).await;
        self.response().await
    }

    /// Connects a WebSocket of `user` and reads the welcome.
    pub async fn user(address: SocketAddr, user: &str) -> Self {
        Self::with_headers(Self::connect(address).await, &[("x-user-id", user)]).await
    }

    /// Upgrades this connection with these headers and reads the welcome.
    pub async fn with_headers(mut self, headers: &[(&str, &str)]) -> Self {
        let response = self.upgrade("/ws", headers).await;
        assert_eq!(response.status, 101, "{} {}", response.head, response.body);
        let RawEvent::Frame(welcome) = self.next().await else {
            panic!("no welcome")
        };
        assert!(String::from_utf8_lossy(&welcome.payload).contains("\"welcome\""));
        self
    }

    /// Reads one HTTP response.
    pub async fn response(&mut self) -> Response {
        let none = || Response {
            status: 0,
            head: String::new(),
            body: String::new(),
        };
        let head_end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            if !self.fill().await {
                return none();
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..head_end]).into_owned();
        self.buffer.drain(..head_end);
        let mut response = Response {
            status: head[9..12].parse().unwrap(),
            head,
            body: String::new(),
        };
        let length: usize = response
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        while self.buffer.len() < length && self.fill().await {}
        let body: Vec<u8> = self.buffer.drain(..length.min(self.buffer.len())).collect();
        response.body = String::from_utf8_lossy(&body).into_owned();
        response
    }

    /// Reads the next frame or the end of the connection.
    pub async fn next(&mut self) -> RawEvent {
        loop {
            if let Some(frame) = Received::take(&mut self.buffer) {
                return RawEvent::Frame(frame);
            }
            self.push_unsent();
            let mut chunk = [0; 16 * 1024];
            match within_deadline("a frame from the server", self.stream.read(&mut chunk)).await {
                Ok(0) => return RawEvent::End,
                Ok(count) => self.buffer.extend(&chunk[..count]),
                Err(_) => return RawEvent::Reset,
            }
        }
    }

    /// Reads up to `count` bytes, as a slow link lets through. The frames that they complete; none at the end of the connection.
    pub async fn read_some(&mut self, count: usize) -> Option<Vec<Received>> {
        let mut chunk = vec![0; count];
        match within_deadline("bytes from the server", self.stream.read(&mut chunk)).await {
            Ok(read) if read > 0 => self.buffer.extend(&chunk[..read]),
            Ok(_) | Err(_) => return None,
        }
        Some(std::iter::from_fn(|| Received::take(&mut self.buffer)).collect())
    }

    /// Reads to the end of the connection and returns the close code, if there was a close frame with one.
    pub async fn close_code(&mut self) -> Option<u16> {
        let mut code = None;
        loop {
            match self.next().await {
                RawEvent::Frame(frame) if frame.opcode == opcode::CLOSE => code = code.or(frame.close_code()),
                RawEvent::Frame(_) => {}
                RawEvent::End | RawEvent::Reset => return code,
            }
        }
    }

    /// Reads up to the next text frame that contains `part`. Fails the test if the connection ends before.
    pub async fn text_with(&mut self, part: &str) -> String {
        match self.text_or_end(part).await {
            Ok(text) => text,
            Err(RawEvent::Frame(frame)) => panic!(
                "closed with {:?} ({:?}) before a text with {part:?}",
                frame.close_code(),
                String::from_utf8_lossy(&frame.payload[2..])
            ),
            Err(end) => panic!("{end:?} before a text with {part:?}"),
        }
    }

    /// Reads up to the next text frame that contains `part`.
    ///
    /// # Errors
    /// What ended the connection before: a close frame, or an end without one.
    pub async fn text_or_end(&mut self, part: &str) -> Result<String, RawEvent> {
        loop {
            match self.next().await {
                RawEvent::Frame(frame) if frame.opcode == opcode::TEXT => {
                    let text = String::from_utf8(frame.payload).unwrap();
                    if text.contains(part) {
                        return Ok(text);
                    }
                }
                RawEvent::Frame(frame) if frame.opcode != opcode::CLOSE => {}
                end => return Err(end),
            }
        }
    }

    /// Whether the connection still answers a `ping` message.
    pub async fn is_served(&mut self) -> bool {
        self.send_frame(Frame::text(r#"{"type":"ping","id":"still-here"}"#))
            .await;
        self.text_with("still-here").await.contains("pong")
    }

    /// Closes the connection with a reset.
    pub fn reset(self) {
        SockRef::from(&self.stream)
            .set_linger(Some(std::time::Duration::ZERO))
            .unwrap();
    }

    async fn fill(&mut self) -> bool {
        let mut chunk = [0; 16 * 1024];
        let read = within_deadline("an answer from the server", self.stream.read(&mut chunk)).await;
        match read {
            Ok(count) if count > 0 => {
                self.buffer.extend(&chunk[..count]);
                true
            }
            _ => false,
        }
    }
}

/// Encodes an upgrade request.
pub fn upgrade_request(path: &str, headers: &[(&str, &str)]) -> String {
    let mut request = format!(
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
