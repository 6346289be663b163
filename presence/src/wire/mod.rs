//! The wire format: REST bodies, WebSocket messages, error codes, close codes. [`record::Viewer`] decides which fields
//! a recipient may see. Nothing here does I/O.

pub mod client_message;
pub mod close_code;
pub mod error_code;
pub mod record;
pub mod rest;
#[cfg(feature = "openapi")]
mod schema;
pub mod server_message;
pub mod strict;

/// The name of the WebSocket subprotocol.
pub const SUBPROTOCOL: &str = "presence.v1";
/// The prefix of a second subprotocol that carries a token: browsers can't set headers on a WebSocket.
pub const BEARER_PREFIX: &str = "bearer.";
