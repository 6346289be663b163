//! The handshake of a WebSocket client: its headers, and how it can fail.

use serde_json::Value;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};

/// The headers of an upgrade request.
#[derive(Debug, Clone, Default)]
pub struct HandshakeHeaders(pub(super) Vec<(HeaderName, HeaderValue)>);

impl HandshakeHeaders {
    /// A user by `x-user-id` alone, which loopback is trusted with.
    pub fn user(user: &str) -> Self {
        Self::default().with("x-user-id", user.as_bytes())
    }

    /// A user by token.
    pub fn bearer(token: &str) -> Self {
        Self::default().with("authorization", format!("Bearer {token}").as_bytes())
    }

    /// A handshake that makes an observer.
    pub fn observer(secret: &str) -> Self {
        Self::default().with("x-secret-token", secret.as_bytes())
    }

    /// Adds a header.
    pub fn with(mut self, name: &str, value: &[u8]) -> Self {
        self.0
            .push((name.parse().unwrap(), HeaderValue::from_bytes(value).unwrap()));
        self
    }
}

/// A failed handshake.
#[derive(Debug, PartialEq, Eq)]
pub enum HandshakeError {
    /// The upgrade was rejected with this HTTP status and error code.
    Http(u16, String),
    /// The connection was closed with this code before a welcome.
    Closed(u16),
    /// The daemon does not listen, or exited before it answered.
    Unreachable,
}

pub(super) fn rejected(response: tokio_tungstenite::tungstenite::http::Response<Option<Vec<u8>>>) -> HandshakeError {
    let body: Value = serde_json::from_slice(response.body().as_deref().unwrap_or_default()).unwrap_or_default();
    HandshakeError::Http(
        response.status().as_u16(),
        body["code"].as_str().unwrap_or_default().to_owned(),
    )
}
