//! One WebSocket connection to a daemon: the handshake, and messages in both directions. Reconnecting is the caller's
//! decision.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use presence::wire::SUBPROTOCOL;
use presence::wire::server_message::ServerMessage;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response};
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::discover::Target;
use super::private_file::Secret;
use super::problem::ProblemDetails;
use super::rest::{self, SECRET_HEADER, USER_HEADER};
use super::stream::Stream;
use super::tls::TlsProblem;
use crate::failure::Failure;
use crate::output::escape::escape;

/// After this the socket is dropped.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Per connection, of which a process may have ten thousand.
const READ_BUFFER_BYTES: usize = 2048;
/// The server's frames are at most 64 KiB; the rest is reserve for newer servers.
const MESSAGE_MAX_BYTES: usize = 1024 * 1024;
/// A watch list of 5,000 ids of 128 bytes, twice.
const WRITE_BUFFER_MAX_BYTES: usize = 2 * 1024 * 1024;

/// How a connection authenticates.
#[derive(Debug, Clone)]
pub(crate) enum Identity {
    /// Without a user; receives everyone's changes. Needs the secret.
    Observer,
    /// As a user, with the secret.
    Named(String),
    /// As a user, with a token.
    Bearer(Secret),
}

/// The server's first message.
#[derive(Debug)]
pub(crate) struct Welcome {
    /// The session's id, by which a later connection continues it.
    pub(crate) session: String,
    pub(crate) node: String,
    /// The daemon's version.
    pub(crate) version: String,
}

#[derive(Debug)]
pub(crate) enum Incoming {
    Message(Box<ServerMessage>),
    /// A control frame, or a message of a newer server.
    Ignored,
}

/// Why no connection was established.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("{0}")]
    Unreachable(String),
    /// The server has no TLS, or a certificate that is not accepted.
    #[error("{0}")]
    Tls(TlsProblem),
    /// The connection was accepted, but the handshake with the welcome took longer than the target's timeout.
    #[error("no answer")]
    TimedOut,
    /// The server responded with an HTTP status instead of an upgrade.
    #[error("HTTP status {status}: {detail}")]
    Rejected {
        status: u16,
        /// From the problem details, if the response has some.
        detail: String,
    },
    /// The connection ended before the welcome.
    #[error("{0}")]
    Lost(ConnectionLost),
}

/// Why an established connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(crate) struct ConnectionLost {
    pub(crate) code: Option<u16>,
    /// The reason as messages to the operator show it.
    pub(crate) why: String,
}

impl ConnectError {
    /// As the failure of a command.
    pub(crate) fn failure(&self, target: &Target) -> Failure {
        match self {
            Self::Unreachable(why) => rest::unreachable(target, why),
            Self::Tls(problem) => problem.failure(target),
            Self::TimedOut => rest::no_answer(target),
            Self::Lost(lost) => rest::unreachable(target, &lost.why),
            Self::Rejected {
                status: status @ (401 | 403),
                detail,
            } => Failure::not_allowed(escape(detail)).next(rest::credential_advice(&target.credential, *status)),
            Self::Rejected { status, detail } => Failure::failed(format_args!("{} (HTTP {status})", escape(detail)))
                .next("run `presencectl doctor` to find the cause"),
        }
    }
}

pub(crate) struct WebSocket {
    socket: WebSocketStream<Stream>,
}

impl WebSocket {
    /// Connects and waits for the welcome.
    pub(crate) async fn connect(target: &Target, identity: &Identity) -> Result<(Self, Welcome), ConnectError> {
        match (Self::connect_once(target, identity).await, target.credential.other()) {
            (Err(ConnectError::Rejected { status: 403, .. }), Some(credential)) => {
                let other = Target {
                    credential,
                    ..target.clone()
                };
                Self::connect_once(&other, identity).await
            }
            (connected, _) => connected,
        }
    }

    async fn connect_once(target: &Target, identity: &Identity) -> Result<(Self, Welcome), ConnectError> {
        let unreachable = |why: &dyn ToString| ConnectError::Unreachable(why.to_string());
        let (host, port) = target.server.host_and_port();
        let tcp = timeout(target.timeout, TcpStream::connect((host, port)))
            .await
            .map_err(|_| unreachable(&"timed out"))?
            .map_err(|error| unreachable(&error))?;
        // Messages are small and must not be delayed.
        let _ = tcp.set_nodelay(true);
        let tls = |error: std::io::Error| match TlsProblem::below(&error) {
            Some(problem) => ConnectError::Tls(problem),
            None => unreachable(&error),
        };
        let stream = timeout(target.timeout, Stream::over(tcp, target)).await;
        let stream = stream.map_err(|_| ConnectError::TimedOut)?.map_err(tls)?;
        // Only now: while the daemon that recorded the address runs, nobody else accepts connections there.
        let request = request(target, identity).map_err(|why| unreachable(&why))?;
        let handshake = async {
            let (socket, _) = client_async_with_config(request, stream, Some(config()))
                .await
                .map_err(handshake_error)?;
            let mut connected = Self { socket };
            let welcome = connected.welcome().await?;
            Ok((connected, welcome))
        };
        timeout(target.timeout, handshake)
            .await
            .map_err(|_| ConnectError::TimedOut)?
    }

    async fn welcome(&mut self) -> Result<Welcome, ConnectError> {
        loop {
            match self.next().await.map_err(ConnectError::Lost)? {
                Incoming::Message(message) => match *message {
                    ServerMessage::Welcome {
                        session_id: session,
                        node,
                        version,
                        ..
                    } => return Ok(Welcome { session, node, version }),
                    ServerMessage::Goodbye { .. } => {}
                    _ => {
                        return Err(ConnectError::Unreachable(
                            "the server's first message is not a welcome".into(),
                        ));
                    }
                },
                Incoming::Ignored => {}
            }
        }
    }

    /// Receives the next message. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Incoming, ConnectionLost> {
        match self.socket.next().await {
            Some(Ok(Message::Text(text))) => Ok(read(&text)),
            Some(Ok(Message::Close(frame))) => Err(closed(frame)),
            Some(Ok(_)) => Ok(Incoming::Ignored),
            Some(Err(error)) => Err(broken(&error)),
            None => Err(closed(None)),
        }
    }

    /// Sends one JSON message.
    pub(crate) async fn send(&mut self, json: String) -> Result<(), ConnectionLost> {
        self.socket
            .send(Message::text(json))
            .await
            .map_err(|error| broken(&error))
    }

    /// Closes with a code and waits briefly for the peer's close frame.
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
    target.check_is_daemon().map_err(|failure| failure.to_string())?;
    let headers = request.headers_mut();
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    match identity {
        Identity::Observer | Identity::Named(_) => {
            let secret = rest::credential_header(&target.credential).map_err(|failure| failure.to_string())?;
            if let Some((_, value)) = secret {
                headers.insert(SECRET_HEADER, value);
            }
        }
        Identity::Bearer(token) => {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
                .map_err(|_| "the token can't be sent in an HTTP header")?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
    }
    if let Identity::Named(user) = identity {
        headers.insert(
            USER_HEADER,
            HeaderValue::from_bytes(user.as_bytes()).map_err(|_| "the user id can't be sent in an HTTP header")?,
        );
    }
    Ok(request)
}

fn handshake_error(error: Error) -> ConnectError {
    match error {
        Error::Http(response) => ConnectError::Rejected {
            status: response.status().as_u16(),
            detail: detail(&response),
        },
        error => ConnectError::Unreachable(broken(&error).why),
    }
}

/// The detail of the problem details, if the response has some.
fn detail(response: &Response) -> String {
    let problem = response
        .body()
        .as_deref()
        .and_then(|body| serde_json::from_slice::<ProblemDetails>(body).ok())
        .filter(|problem| !problem.detail.is_empty());
    match problem {
        Some(problem) => format!("{} {}", problem.detail, problem.reference()),
        None => format!("the WebSocket handshake failed: {}", response.status()),
    }
}

fn read(text: &str) -> Incoming {
    // Unknown messages come from a newer server and are ignored, as the protocol demands.
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
                why: format!("the server closed the connection with code {code}{reason}"),
            }
        }
        None => ConnectionLost {
            code: None,
            why: "connection closed".into(),
        },
    }
}

fn broken(error: &Error) -> ConnectionLost {
    let why = match error {
        Error::Io(error) => error.to_string(),
        Error::ConnectionClosed | Error::AlreadyClosed => "connection closed".into(),
        // The other variants may quote received data.
        Error::Protocol(error) => error.to_string(),
        Error::Capacity(error) => error.to_string(),
        _ => "connection error".into(),
    };
    ConnectionLost { code: None, why }
}
