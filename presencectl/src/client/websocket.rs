//! One WebSocket to a daemon: the handshake, and messages in and out. It does not reconnect by itself and knows no
//! command; whoever holds it decides what an end means.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use presence::wire::SUBPROTOCOL;
use presence::wire::server::ServerMessage;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response};
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::discover::{Credential, Target};
use super::private_file::Secret;
use super::problem::ProblemDetails;
use super::rest::{self, CONNECT_TIMEOUT, SECRET_HEADER, USER_HEADER};
use crate::failure::Failure;
use crate::output::escape::escape;

/// How long the handshake and the welcome may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a close may take before the socket is dropped.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Per connection, and there may be ten thousand of them in one process.
const READ_BUFFER_BYTES: usize = 2048;
/// The server's frames are at most 64 KiB; the rest is room for a newer server.
const MESSAGE_MAX_BYTES: usize = 1024 * 1024;
/// A watch list of 5,000 ids of 128 bytes, twice.
const WRITE_BUFFER_MAX_BYTES: usize = 2 * 1024 * 1024;

/// Who the connection is.
#[derive(Debug, Clone)]
pub(crate) enum Identity {
    /// Nobody: sees everyone and is seen by none. Needs the secret.
    Observer,
    /// A user, by the secret.
    Named(String),
    /// A user, by a token.
    Bearer(Secret),
}

/// The first message, read.
#[derive(Debug)]
pub(crate) struct Welcome {
    /// How often the server pings.
    pub(crate) ping: Duration,
    /// The node's name.
    pub(crate) node: String,
    /// Of the daemon.
    pub(crate) version: String,
}

/// What the socket gave.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A message.
    Message(Box<ServerMessage>),
    /// A sign of life, or a message that a newer server knows and we don't.
    Ignored,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// Nobody answers.
    #[error("{0}")]
    Unreachable(String),
    /// The server answered with an HTTP status instead of an upgrade.
    #[error("refused with HTTP status {status}: {detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The server's words, where it had some.
        detail: String,
    },
    /// The server opened and closed again at once.
    #[error("{0}")]
    Lost(ConnectionLost),
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(crate) struct ConnectionLost {
    /// The close code, if there was one.
    pub(crate) code: Option<u16>,
    /// For people.
    pub(crate) why: String,
}

impl ConnectError {
    /// For a command that gives up on it.
    pub(crate) fn failure(&self, target: &Target) -> Failure {
        match self {
            Self::Unreachable(why) => rest::unreachable(target, why),
            Self::Lost(lost) => rest::unreachable(target, &lost.why),
            Self::Refused {
                status: 401 | 403,
                detail,
            } => Failure::not_allowed(escape(detail)).next(rest::credential_advice(&target.credential)),
            Self::Refused { status, detail } => Failure::failed(format_args!("{} (HTTP {status})", escape(detail)))
                .next("`presencectl doctor` looks for the cause"),
        }
    }
}

/// One connection.
pub(crate) struct WebSocket {
    socket: WebSocketStream<TcpStream>,
}

impl WebSocket {
    /// Connects and waits for the welcome.
    ///
    /// # Errors
    /// Says who refused, or why nobody answers.
    pub(crate) async fn connect(target: &Target, identity: &Identity) -> Result<(Self, Welcome), ConnectError> {
        let unreachable = |why: &dyn ToString| ConnectError::Unreachable(why.to_string());
        let request = request(target, identity).map_err(|why| unreachable(&why))?;
        let (host, port) = target.server.host_and_port();
        let tcp = timeout(CONNECT_TIMEOUT, TcpStream::connect((host, port)))
            .await
            .map_err(|_| unreachable(&"no answer in time"))?
            .map_err(|error| unreachable(&error))?;
        // Ours are small messages that want to leave now.
        let _ = tcp.set_nodelay(true);
        let shake = async {
            let (socket, _) = client_async_with_config(request, tcp, Some(config()))
                .await
                .map_err(refusal)?;
            let mut stream = Self { socket };
            let welcome = stream.welcome().await?;
            Ok((stream, welcome))
        };
        timeout(HANDSHAKE_TIMEOUT, shake)
            .await
            .map_err(|_| unreachable(&"no WebSocket handshake in time"))?
    }

    async fn welcome(&mut self) -> Result<Welcome, ConnectError> {
        loop {
            match self.next().await.map_err(ConnectError::Lost)? {
                Incoming::Message(message) => match *message {
                    ServerMessage::Welcome {
                        ping_seconds,
                        node,
                        version,
                        ..
                    } => {
                        let ping = Duration::try_from_secs_f64(ping_seconds).unwrap_or(Duration::from_secs(25));
                        return Ok(Welcome { ping, node, version });
                    }
                    ServerMessage::Goodbye { .. } => {}
                    _ => return Err(ConnectError::Unreachable("its first message is no welcome".into())),
                },
                Incoming::Ignored => {}
            }
        }
    }

    /// What comes next. May be dropped while it waits: nothing is lost by that.
    ///
    /// # Errors
    /// When the connection is over.
    pub(crate) async fn next(&mut self) -> Result<Incoming, ConnectionLost> {
        match self.socket.next().await {
            Some(Ok(Message::Text(text))) => Ok(read(&text)),
            Some(Ok(Message::Close(frame))) => Err(closed(frame)),
            Some(Ok(_)) => Ok(Incoming::Ignored),
            Some(Err(error)) => Err(broken(&error)),
            None => Err(closed(None)),
        }
    }

    /// Sends one message, given as JSON.
    ///
    /// # Errors
    /// When the connection is over.
    pub(crate) async fn send(&mut self, json: String) -> Result<(), ConnectionLost> {
        self.socket
            .send(Message::text(json))
            .await
            .map_err(|error| broken(&error))
    }

    /// Says goodbye with a close code and waits, briefly, for the answer.
    pub(crate) async fn close(mut self, code: u16) {
        let frame = CloseFrame {
            code: code.into(),
            reason: "".into(),
        };
        let close = async {
            self.socket.close(Some(frame)).await?;
            while let Some(message) = self.socket.next().await {
                message?;
            }
            Ok::<(), Error>(())
        };
        let _ = timeout(CLOSE_TIMEOUT, close).await;
    }
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER_MAX_BYTES)
        .max_message_size(Some(MESSAGE_MAX_BYTES))
        .max_frame_size(Some(MESSAGE_MAX_BYTES))
}

fn request(target: &Target, identity: &Identity) -> Result<Request, String> {
    let url = target.server.web_socket();
    let mut request = url.as_str().into_client_request().map_err(|error| error.to_string())?;
    let headers = request.headers_mut();
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    let secret = |credential: &Credential| rest::credential_header(credential).map_err(|failure| failure.to_string());
    match identity {
        Identity::Observer | Identity::Named(_) => {
            if let Some((_, value)) = secret(&target.credential)? {
                headers.insert(SECRET_HEADER, value);
            }
        }
        Identity::Bearer(token) => {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
                .map_err(|_| "the token fits into no header")?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
    }
    if let Identity::Named(user) = identity {
        headers.insert(
            USER_HEADER,
            HeaderValue::from_str(user).map_err(|_| "the user fits into no header")?,
        );
    }
    Ok(request)
}

fn refusal(error: Error) -> ConnectError {
    match error {
        Error::Http(response) => ConnectError::Refused {
            status: response.status().as_u16(),
            detail: detail(&response),
        },
        error => ConnectError::Unreachable(broken(&error).why),
    }
}

/// The server's words, if it answered with a problem and its body came along.
fn detail(response: &Response) -> String {
    let problem = response
        .body()
        .as_deref()
        .and_then(|body| serde_json::from_slice::<ProblemDetails>(body).ok())
        .filter(|problem| !problem.detail.is_empty());
    match problem {
        Some(problem) => format!("{} ({})", problem.detail, problem.code),
        None => format!("the WebSocket was refused: {}", response.status()),
    }
}

fn read(text: &str) -> Incoming {
    // What isn't understood comes from a newer server; the contract says to ignore it.
    serde_json::from_str(text).map_or(Incoming::Ignored, |message| Incoming::Message(Box::new(message)))
}

fn closed(frame: Option<CloseFrame>) -> ConnectionLost {
    match frame {
        Some(frame) => {
            let code = u16::from(frame.code);
            let reason = if frame.reason.is_empty() {
                String::new()
            } else {
                format!(": {}", frame.reason)
            };
            ConnectionLost {
                code: Some(code),
                why: format!("the server closed with code {code}{reason}"),
            }
        }
        None => ConnectionLost {
            code: None,
            why: "the connection is gone".into(),
        },
    }
}

fn broken(error: &Error) -> ConnectionLost {
    let why = match error {
        Error::Io(error) => error.to_string(),
        Error::ConnectionClosed | Error::AlreadyClosed => "the connection is gone".into(),
        // Others may quote what was received.
        Error::Protocol(error) => error.to_string(),
        Error::Capacity(error) => error.to_string(),
        _ => "the connection broke".into(),
    };
    ConnectionLost { code: None, why }
}
