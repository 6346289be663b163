//! What goes over the wire: REST bodies, WebSocket messages, error codes. Shapes only; who may see what is decided by
//! [`record::Viewer`], and nothing here reads or writes a socket.

pub mod client;
pub mod code;
pub mod record;
pub mod rest;
pub mod server;
pub mod strict;

/// The WebSocket subprotocol.
pub const SUBPROTOCOL: &str = "presence.v1";
/// What a browser's second subprotocol begins with when it carries the token.
pub const BEARER_PREFIX: &str = "bearer.";

/// Close codes of our own, beside those of RFC 6455.
pub mod close {
    /// The server restarts or drains: reconnect after the delay given.
    pub const RESTART: u16 = 1012;
    /// Credentials expired: get new ones, reconnect.
    pub const EXPIRED: u16 = 4001;
    /// Kicked by an operator: don't come back by yourself.
    pub const KICKED: u16 = 4003;
    /// Abusive: stop.
    pub const ABUSIVE: u16 = 4008;
    /// Too slow: reconnect with the cursor.
    pub const TOO_SLOW: u16 = 4009;
    /// Forgotten by an operator: don't come back by yourself.
    pub const FORGOTTEN: u16 = 4010;
    /// Too many sessions of this user: later.
    pub const TOO_MANY_SESSIONS: u16 = 4029;
}
