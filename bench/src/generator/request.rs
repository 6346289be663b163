//! The requests that the load consists of. Tokens are signed before anything is measured.

use std::fmt::Write as _;

use anyhow::Result;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;

use crate::clock::unix_seconds;
use crate::server::Server;
use crate::user::{self, User};

const TOKEN_SECONDS: u64 = 3_600;

/// The upgrade of a user, with a token as a client has one, and with the id as plain text, which the floor goes by.
pub(crate) fn upgrade(server: &Server, user: User) -> Result<Vec<u8>> {
    // Another one in this process may have been first; it is the same.
    jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default().ok();
    let id = user::id(user);
    let claims = json!({"sub": id, "exp": unix_seconds() + TOKEN_SECONDS});
    let key = EncodingKey::from_secret(server.jwt_key().as_bytes());
    let token = encode(&Header::new(Algorithm::HS256), &claims, &key)?;
    Ok(handshake(
        server,
        &format!("Authorization: Bearer {token}\r\nx-user-id: {id}\r\n"),
    ))
}

/// The upgrade of an observer.
pub(crate) fn upgrade_observer(server: &Server) -> Vec<u8> {
    handshake(server, &format!("x-secret-token: {}\r\n", server.secret()))
}

fn handshake(server: &Server, credentials: &str) -> Vec<u8> {
    let address = server.address();
    format!(
        "GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: cHJlc2VuY2UgaXMgaGVyZQ==\r\n{credentials}\r\n"
    )
    .into_bytes()
}

/// A call over REST by the back end, in the name of a user if one is given.
pub(crate) fn rest(server: &Server, call: &str, user: Option<User>, body: &str) -> Vec<u8> {
    let mut text = format!(
        "{call} HTTP/1.1\r\nHost: {}\r\nx-secret-token: {}\r\n",
        server.address(),
        server.secret()
    );
    if let Some(user) = user {
        // Writing into memory does not fail.
        let _ = write!(text, "x-user-id: {}\r\n", user::id(user));
    }
    let _ = write!(text, "Content-Length: {}\r\n\r\n{body}", body.len());
    text.into_bytes()
}

/// The message that watches these users.
pub(crate) fn watch(users: impl Iterator<Item = User>) -> String {
    let ids: Vec<String> = users.map(|user| format!("\"{}\"", user::id(user))).collect();
    format!("{{\"type\":\"watch\",\"id\":1,\"userIds\":[{}]}}", ids.join(","))
}
