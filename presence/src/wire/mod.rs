//! The wire format: REST bodies, WebSocket messages, error codes, close codes. [`record::Viewer`] decides which fields
//! a recipient may see. Nothing here does I/O.

pub mod client;
pub mod code;
pub mod record;
pub mod rest;
pub mod server;
pub mod strict;

/// The name of the WebSocket subprotocol.
pub const SUBPROTOCOL: &str = "presence.v1";
/// The prefix of a second subprotocol that carries a token: browsers can't set headers on a WebSocket.
pub const BEARER_PREFIX: &str = "bearer.";

/// WebSocket close codes: 1012 of the IANA registry, and those of the private range 4000 to 4999 (RFC 6455, section
/// 7.4.2).
pub mod close {
    /// The server restarts or drains: reconnect after the delay of the goodbye.
    pub const RESTART: u16 = 1012;
    /// The token expired: reconnect with a new one.
    pub const EXPIRED: u16 = 4001;
    /// Kicked by an operator: don't reconnect automatically.
    pub const KICKED: u16 = 4003;
    /// A limit was exceeded: don't reconnect automatically.
    pub const ABUSIVE: u16 = 4008;
    /// The client read too slowly: reconnect with the cursor.
    pub const TOO_SLOW: u16 = 4009;
    /// The user was forgotten by an operator: don't reconnect automatically.
    pub const FORGOTTEN: u16 = 4010;
    /// The connection limit of the user was reached: reconnect after the delay of the goodbye.
    pub const TOO_MANY_SESSIONS: u16 = 4029;
}
