//! How a client introduces itself, and how it may be turned away.

use serde_json::Value;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};

/// The headers with which a client asks for its WebSocket.
#[derive(Debug, Clone, Default)]
pub struct Hello(pub(super) Vec<(HeaderName, HeaderValue)>);

impl Hello {
    /// A user who is believed because the connection comes from this machine.
    pub fn user(user: &str) -> Self {
        Self::default().with("x-user-id", user.as_bytes())
    }

    /// A user with a token.
    pub fn bearer(token: &str) -> Self {
        Self::default().with("authorization", format!("Bearer {token}").as_bytes())
    }

    /// An operator.
    pub fn observer(secret: &str) -> Self {
        Self::default().with("x-secret-token", secret.as_bytes())
    }

    /// One more header.
    pub fn with(mut self, name: &str, value: &[u8]) -> Self {
        self.0
            .push((name.parse().unwrap(), HeaderValue::from_bytes(value).unwrap()));
        self
    }
}

/// Why there is no WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub enum NoSocket {
    /// The upgrade was refused: HTTP status and code.
    Http(u16, String),
    /// It was closed before a welcome.
    Closed(u16),
    /// There is no daemon, or it did not live to answer.
    Gone,
}

pub(super) fn refused(response: tokio_tungstenite::tungstenite::http::Response<Option<Vec<u8>>>) -> NoSocket {
    let body: Value = serde_json::from_slice(response.body().as_deref().unwrap_or_default()).unwrap_or_default();
    NoSocket::Http(
        response.status().as_u16(),
        body["code"].as_str().unwrap_or_default().to_owned(),
    )
}
